//! One subscription as the contract has it: its ledger, and the checks of each form of frame against the history.

use crate::broker::{History, Relation};
use crate::client::{Checked, Context, goes_on};
use crate::laws;
use tally_protocol::{
    After, Attach, ChannelName, Counts, Epoch, Ledger, Position, Record, Reset, Rung, RungFrame, Seq, State,
    Subscribed, SummaryChannel, TickMs, Totals, UpstreamStatus, Why,
};

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) channel: ChannelName,
    pub(crate) id: u64,
    pub(crate) asked: Rung,
    pub(crate) tick: TickMs,
    pub(crate) tail: bool,
    pub(crate) last: Option<u64>,
    /// The cursor asked for; without a ledger it was invented.
    pub(crate) after: Option<(After, Option<Ledger>)>,
    pub(crate) told_pending: bool,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) told: Rung,
    /// The attach of a refused resume: a reset with the same values has to follow.
    refused: Option<Position>,
    /// Nothing but a replay may come as `replay`, and only first.
    resume: laws::Resume,
    /// Whether the log ends at the position that a take-back left.
    pub(crate) free_since: u64,
    pub(crate) bucket: laws::Bucket,
    throttled_at: Option<u64>,
    /// The grid and tick of the newest frame that comes once a tick.
    pub(crate) ticked: Option<(u64, u64)>,
}

impl Listener {
    pub(crate) fn new(
        channel: ChannelName,
        id: u64,
        asked: Rung,
        tick: TickMs,
        tail: bool,
        rate: u64,
    ) -> Self {
        Self {
            channel,
            id,
            asked,
            tick,
            tail,
            last: None,
            after: None,
            told_pending: false,
            ledger: None,
            told: asked,
            refused: None,
            resume: laws::Resume::None,
            free_since: 0,
            bucket: laws::Bucket::new(rate, 2),
            throttled_at: None,
            ticked: None,
        }
    }

    pub(crate) fn subscribed(&mut self, frame: &Subscribed, on: &mut Context<'_>) -> Checked {
        let granted = (self.id, self.asked, self.tick, self.bucket.rate());
        if (frame.id, frame.rung, frame.tick_ms, frame.max_rate) != granted {
            return Err(format!("{frame:?} is not what was asked for"));
        }
        self.free_since = on.now;
        self.told = frame.rung;
        match &frame.attach {
            Attach::Pending => {
                on.coverage.note("attach pending");
                let is_right = on.upstream == UpstreamStatus::Down && !self.told_pending;
                self.told_pending = true;
                return if is_right { Ok(()) } else { Err("pending without need, or twice".into()) };
            }
            Attach::Resumed { epoch, seq } => self.resumed(epoch, *seq, on)?,
            Attach::At(position) => self.attached_at(position, on)?,
        }
        let kept = self.after.as_ref().and_then(|(_, kept)| kept.clone());
        self.ledger = Ledger::attach(frame, kept).map_err(|broken| broken.to_string())?;
        Ok(())
    }

    fn resumed(&mut self, epoch: &Epoch, seq: Seq, on: &mut Context<'_>) -> Checked {
        on.coverage.note("attach resumed");
        self.resume = laws::Resume::MayReplay;
        let (after, kept) = self.after.as_ref().ok_or("resumed without being asked")?;
        if kept.is_none() || (&after.epoch, after.seq) != (epoch, seq) {
            return Err(format!("resumed at {epoch} {seq}, asked for {after:?}"));
        }
        Ok(())
    }

    fn attached_at(&mut self, position: &Position, on: &mut Context<'_>) -> Checked {
        self.is_real(position, on)?;
        if self.last.is_none() && position.state.is_some() {
            on.coverage.note("attach with state");
        }
        let head = on.shell.hub.head(&self.channel).ok_or("attached to what the hub does not watch")?;
        if self.last.is_none() && head != (position.epoch.as_ref(), position.seq) {
            return Err(format!("attached at {:?}, the hub is at {head:?}", position.seq));
        }
        if let Some((after, kept)) = &self.after {
            on.coverage.note("attach refused");
            if kept.is_some() && !self.may_break(&after.epoch, after.seq, position.epoch.as_ref(), on) {
                return Err(format!(
                    "{} refused {after:?}, and attached at {:?}",
                    self.channel, position.seq
                ));
            }
            self.refused = Some(position.clone());
        } else if self.last.is_some() && position.seq < head.1 {
            on.coverage.note("attach back");
        }
        Ok(())
    }

    /// Whether a cursor cannot go on in another numbering (or none).
    fn may_break(&self, from: &Epoch, cursor: Seq, to: Option<&Epoch>, on: &Context<'_>) -> bool {
        match to {
            None => on.broker.current(&self.channel).is_none_or(|(now, _)| now != from),
            Some(to) => matches!(
                on.broker.relation(&self.channel, from, cursor.get(), to),
                Relation::Broken | Relation::ContinuesOverSeveral
            ),
        }
    }

    fn is_real(&self, position: &Position, on: &Context<'_>) -> Checked {
        let Some(epoch) = &position.epoch else {
            let is_nothing = *position == Position::default();
            return if is_nothing { Ok(()) } else { Err("a position without an epoch".into()) };
        };
        let history = self.history(epoch, position.seq, on)?;
        self.totals_are_true(history, position.seq, &position.totals)?;
        let state = history.state(position.seq.get());
        if position.state == state {
            return Ok(());
        }
        Err(format!("{}: state {:?} at {}, truly {state:?}", self.channel, position.state, position.seq))
    }

    fn history<'a>(&self, epoch: &Epoch, seq: Seq, on: &Context<'a>) -> Checked<&'a History> {
        let history = on.broker.history(&self.channel, epoch).filter(|history| seq.get() <= history.seq());
        history.ok_or_else(|| format!("{}: there is no {seq} in {epoch}", self.channel))
    }

    fn totals_are_true(&self, history: &History, seq: Seq, totals: &Totals) -> Checked {
        let truly = &history.totals[seq.get() as usize];
        if totals == truly {
            Ok(())
        } else {
            Err(format!("{}: totals {totals:?} at {seq}, truly {truly:?}", self.channel))
        }
    }

    fn ledger(&mut self) -> Checked<&mut Ledger> {
        if self.refused.is_some() {
            return Err(format!("{}: something else before the reset of a refused resume", self.channel));
        }
        self.ledger.as_mut().ok_or_else(|| "not attached".into())
    }

    /// Answers whether the events are charged to the rate.
    pub(crate) fn events(&mut self, record: &Record, on: &mut Context<'_>) -> Checked<bool> {
        on.coverage.note("output events");
        let channel = self.channel.clone();
        let history = self.history(&record.epoch, record.to, on)?;
        let ledger = self.ledger()?;
        if !goes_on(ledger, &channel, &record.epoch, on.broker) {
            return Err(format!("{channel}: events of {} without a reset", record.epoch));
        }
        let truth = history.record(&record.epoch, record.from.get(), record.to.get());
        if (&record.body, &record.counts) != (&truth.body, &truth.counts) {
            return Err(format!("{channel}: events that were not published so: {record:?}"));
        }
        if let tally_protocol::Body::Events(events) = &record.body {
            on.coverage.add("sent as", events.iter().filter(|event| event.sent_as.is_some()).count() as u64);
            on.coverage.add("state in events", u64::from(record.state().is_some()));
        }
        ledger.handle_events(&laws::wire_events(&channel, record)).map_err(|broken| broken.to_string())?;
        self.replayed();
        let delivered = on.shell.delivered.get(&channel);
        let came_at = delivered.and_then(|one| one.records.get(&(record.epoch.clone(), record.to.get())));
        let is_charged = came_at.is_some_and(|came_at| *came_at > self.free_since);
        if is_charged && !self.bucket.pay(record.len(), on.now) {
            return Err(format!("{channel}: more events than max_rate {}", self.bucket.rate()));
        }
        Ok(is_charged)
    }

    /// `reason`: why the rung is reduced; none at full, where the frame has its own.
    pub(crate) fn counts(&mut self, frame: &Counts, reason: Option<Why>, on: &mut Context<'_>) -> Checked {
        on.coverage.note(&format!(
            "counts {} at {}",
            frame.why,
            if reason.is_some() { "counts" } else { "full" }
        ));
        self.step(&frame.epoch, frame.seq, &frame.totals, frame.state.as_ref(), on)?;
        on.coverage.add("state in counts", u64::from(frame.state.is_some()));
        let channel = self.channel.clone();
        let history = self.history(&frame.epoch, frame.seq, on)?;
        let cursor = self.ledger()?.cursor();
        match reason {
            Some(reason) if reason != frame.why => {
                return Err(format!("{channel}: counts that say {} at {reason}", frame.why));
            }
            Some(_) => self.once_a_tick(self.tick.as_millis(), on.now)?,
            None => laws::gap_is_true(&channel, history, cursor, frame, self.resume, on)?,
        }
        laws::tail_is_true(self.tail, frame, history, on)?;
        self.replayed();
        self.ledger()?.handle_counts(frame).map_err(|broken| broken.to_string())
    }

    pub(crate) fn summary(&mut self, frame: &SummaryChannel, why: Why, on: &mut Context<'_>) -> Checked {
        on.coverage.note(&format!("summary {why}"));
        self.step(&frame.epoch, frame.seq, &frame.totals, frame.state.as_ref(), on)?;
        on.coverage.add("state in a summary", u64::from(frame.state.is_some()));
        self.once_a_tick(if why == Why::Asked { 5_000 } else { 1_000 }, on.now)?;
        self.ledger()?.handle_summary(why, frame).map_err(|broken| broken.to_string())
    }

    /// What holds for every frame with totals.
    fn step(
        &mut self,
        epoch: &Epoch,
        seq: Seq,
        totals: &Totals,
        state: Option<&State>,
        on: &Context<'_>,
    ) -> Checked {
        let channel = self.channel.clone();
        let history = self.history(epoch, seq, on)?;
        self.totals_are_true(history, seq, totals)?;
        let ledger = self.ledger()?;
        if !goes_on(ledger, &channel, epoch, on.broker) {
            return Err(format!("{channel}: totals of {epoch} without a reset"));
        }
        let newest = history.state(seq.get()).filter(|newest| newest.seq > ledger.cursor());
        if state == newest.as_ref() {
            return Ok(());
        }
        Err(format!("{channel}: state {state:?} rides to {seq} from {}, truly {newest:?}", ledger.cursor()))
    }

    fn once_a_tick(&mut self, grid_ms: u64, now: u64) -> Checked {
        let tick = now / (grid_ms * 1_000);
        if self.ticked.is_some_and(|(grid, before)| grid == grid_ms && tick <= before) {
            return Err(format!("{}: two frames in one tick of {grid_ms} ms", self.channel));
        }
        self.ticked = Some((grid_ms, tick));
        Ok(())
    }

    fn replayed(&mut self) {
        if self.resume == laws::Resume::MayReplay {
            self.resume = laws::Resume::Done;
        }
    }

    pub(crate) fn rung(&mut self, frame: &RungFrame, unblocked_at: u64, on: &mut Context<'_>) -> Checked {
        self.ledger()?;
        let reason = if frame.rung < self.asked { Why::Throttled } else { Why::Asked };
        let is_climb = frame.rung > self.told;
        let is_reason = frame.why == reason || (is_climb && matches!(frame.why, Why::Throttled | Why::Asked));
        if frame.rung == self.told || frame.rung > self.asked || !is_reason {
            return Err(format!(
                "{}: from {} to {} because {}",
                self.channel, self.told, frame.rung, frame.why
            ));
        }
        if !is_climb && frame.why == Why::Throttled {
            // A socket that was full may tell later than it happened.
            self.throttled_at = (unblocked_at < on.now).then_some(on.now);
        } else if let Some(at) = self.throttled_at.take().filter(|_| is_climb && frame.why == Why::Throttled)
        {
            laws::dwell(at, on.now)?;
        }
        if frame.rung == Rung::Full {
            self.free_since = on.now;
        }
        self.ticked = None;
        self.told = frame.rung;
        Ok(())
    }

    pub(crate) fn reset(&mut self, frame: &Reset, on: &mut Context<'_>) -> Checked {
        on.coverage.note("output reset");
        let position = Position {
            epoch: frame.epoch.clone(),
            seq: frame.seq,
            totals: frame.totals.clone(),
            state: frame.state.clone(),
        };
        let same = self.refused.take().is_some_and(|refused| refused == position);
        self.is_real(&position, on)?;
        let ledger = self.ledger()?;
        let from = ledger.epoch().cloned();
        let cursor = ledger.cursor();
        on.coverage.note(match (&position.epoch, same) {
            (_, true) => "reset of a refused resume",
            (None, _) => "reset to nothing",
            (Some(_), _) => "reset to another epoch",
        });
        let is_needed = match &from {
            Some(from) => self.may_break(from, cursor, position.epoch.as_ref(), on),
            // It was told nothing yet of an epoch that is gone by now; the first epoch of all needs no reset.
            None => on.broker.epochs_of(&self.channel) > 1 || on.broker.current(&self.channel).is_none(),
        };
        if !same && !is_needed {
            return Err(format!("{}: an unnecessary reset at {cursor} to {:?}", self.channel, position.seq));
        }
        (self.resume, self.free_since, self.ticked) = (laws::Resume::None, on.now, None);
        self.ledger()?.handle_reset(frame).map_err(|broken| broken.to_string())?;
        Ok(())
    }

    /// Law 1, with the truth: the ledger closes, and its totals are those of the history.
    pub(crate) fn conserves(&self, on: &Context<'_>) -> Checked {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        if !ledger.closes() {
            return Err(format!("{}: the ledger does not close: {ledger:?}", self.channel));
        }
        let Some(epoch) = ledger.epoch() else { return Ok(()) };
        self.totals_are_true(self.history(epoch, ledger.cursor(), on)?, ledger.cursor(), ledger.totals())
    }
}
