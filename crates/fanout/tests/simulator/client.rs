//! One client as the contract has it: what it asked for, what it was told, and the checks of every frame it gets.

use crate::broker::{Broker, Relation};
use crate::coverage::Coverage;
use crate::laws;
use crate::listener::Listener;
use crate::plan::Reader;
use crate::shell::Shell;
use crate::socket::{Received, Socket};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tally_fanout::{ConnId, Output};
use tally_protocol::{
    ChannelName, ClientFrame, Counts, ErrorFrame, Ledger, Reset, Rung, RungFrame, ServerFrame, Subscribed,
    Summary, Unsubscribed, UpstreamStatus, Why, write_events_frame,
};

pub(crate) type Checked<T = ()> = Result<T, String>;

/// What the checks may look at beside the frame.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: u64,
    pub(crate) broker: &'a Broker,
    pub(crate) shell: &'a Shell,
    pub(crate) upstream: UpstreamStatus,
    pub(crate) coverage: &'a mut Coverage,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) reader: Reader,
    pub(crate) hub: usize,
    pub(crate) conn: Option<ConnId>,
    pub(crate) socket: Socket<Ledger>,
    /// What it sent, with the ledgers that it had then.
    pub(crate) inbox: VecDeque<(ClientFrame, BTreeMap<ChannelName, Ledger>)>,
    pub(crate) listeners: BTreeMap<ChannelName, Listener>,
    /// Unsubscribed from, and not yet told so.
    pub(crate) leaving: Vec<(u64, ChannelName, Listener)>,
    /// What the client itself has read, and keeps when it leaves.
    pub(crate) kept: BTreeMap<ChannelName, Ledger>,
    /// Codes and ids of the errors that are due.
    pub(crate) errors: VecDeque<(&'static str, u64)>,
    pub(crate) asked: Rung,
    pub(crate) told: Rung,
    pub(crate) bucket: laws::Bucket,
    told_upstream: UpstreamStatus,
    pub(crate) pressure: laws::Pressure,
    pub(crate) unblocked_at: u64,
    pub(crate) next_id: u64,
    pub(crate) digest: u64,
    pub(crate) frames: u64,
}

impl Client {
    pub(crate) fn new(reader: Reader, connection_max_rate: u64) -> Self {
        Self {
            reader,
            hub: 0,
            conn: None,
            socket: Socket::new(reader.capacity, reader.bytes_per_second, 0),
            inbox: VecDeque::new(),
            listeners: BTreeMap::new(),
            leaving: vec![],
            kept: BTreeMap::new(),
            errors: VecDeque::new(),
            asked: Rung::Full,
            told: Rung::Full,
            bucket: laws::Bucket::new(connection_max_rate, 4),
            told_upstream: UpstreamStatus::Up,
            pressure: laws::Pressure::default(),
            unblocked_at: 0,
            next_id: 1,
            digest: 0xcbf2_9ce4_8422_2325,
            frames: 0,
        }
    }

    /// A fresh connection; what was kept stays.
    pub(crate) fn connect(
        &mut self,
        conn: ConnId,
        hub: usize,
        upstream: UpstreamStatus,
        rate: u64,
        now: u64,
    ) {
        let fresh = Self::new(self.reader, rate);
        let kept = std::mem::take(&mut self.kept);
        let (digest, next_id) = (self.digest, self.next_id);
        *self = Self { kept, digest, next_id, hub, conn: Some(conn), told_upstream: upstream, ..fresh };
        self.socket = Socket::new(self.reader.capacity, self.reader.bytes_per_second, now);
    }

    pub(crate) fn keep(&mut self, read: Vec<Received<Ledger>>) {
        self.kept.extend(read.into_iter().flatten());
    }

    /// Checks one frame against the truth and books it; it then is on its way through the socket.
    pub(crate) fn take(&mut self, output: Output, on: &mut Context<'_>) -> Checked {
        let bytes = encode(&output);
        let mut booked = vec![];
        match output {
            Output::Subscribed(frame) => {
                self.subscribed(&frame, on)?;
                booked.push(frame.channel.clone());
            }
            Output::Unsubscribed(frame) => self.unsubscribed(&frame, on)?,
            Output::Error(frame) => self.error(&frame)?,
            Output::Events(shared) => {
                let record = shared.value();
                self.attached(&record.channel)?;
                self.events(&record.channel, &record.record, on)?;
                booked.push(record.channel.clone());
            }
            Output::Counts(shared) => {
                let channel = &shared.value().channel;
                self.attached(channel)?;
                self.counts(&shared, on)?;
                booked.push(channel.clone());
            }
            Output::Summary(summary) => {
                laws::summary_bounded(&summary, bytes.len())?;
                booked.extend(summary.channels.iter().map(|channel| channel.channel.clone()));
                self.summary(&summary, on)?;
            }
            Output::Rung(frame) => self.rung(&frame, on)?,
            Output::Reset(frame) => {
                self.attached(&frame.channel)?;
                self.reset(&frame, on)?;
                booked.push(frame.channel.clone());
            }
            Output::Upstream(frame) => {
                laws::upstream(self.told_upstream, frame.status, on.upstream)?;
                self.told_upstream = frame.status;
                on.coverage.note("output upstream");
            }
            Output::Unnumbered(shared) => drop(self.attached(&shared.value().channel)?),
        }
        for channel in &booked {
            self.listeners[channel].conserves(on)?;
        }
        let read = booked.iter().filter_map(|c| Some((c.clone(), self.listeners[c].ledger.clone()?)));
        let read = read.collect();
        self.socket.write(bytes.len() as u64, read);
        self.frames += 1;
        for byte in bytes.iter().copied().chain(on.now.to_le_bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        Ok(())
    }

    /// No frame of a channel comes before its attach or after its `unsubscribed`.
    fn attached(&mut self, channel: &ChannelName) -> Checked<&mut Listener> {
        let held = self.listeners.get_mut(channel).filter(|held| held.ledger.is_some());
        held.ok_or_else(|| format!("a frame of {channel}, which is not attached"))
    }

    fn subscribed(&mut self, frame: &Subscribed, on: &mut Context<'_>) -> Checked {
        if frame.upstream != on.upstream {
            return Err(format!("subscribed says that upstream is {:?}", frame.upstream));
        }
        let Some(held) = self.listeners.get_mut(&frame.channel).filter(|held| held.ledger.is_none()) else {
            return Err(format!("subscribed to {} twice, or not asked for", frame.channel));
        };
        held.subscribed(frame, on)
    }

    fn unsubscribed(&mut self, frame: &Unsubscribed, on: &mut Context<'_>) -> Checked {
        let at = self
            .leaving
            .iter()
            .position(|(id, channel, _)| frame.id == Some(*id) && frame.channel == *channel);
        let (_, channel, held) = self.leaving.remove(at.ok_or("unsubscribed without being asked")?);
        on.coverage.note("output unsubscribed");
        let Some(ledger) = &held.ledger else {
            return if frame.seq.is_none() {
                Ok(())
            } else {
                Err("a cursor of what was never attached".into())
            };
        };
        let head = on.shell.hub.head(&channel).and_then(|(epoch, _)| epoch);
        let Some(seq) = frame.seq else {
            // Only where a reset was due does the hub not know the old numbering any more.
            return if head.is_some() && head == ledger.epoch() {
                Err("unsubscribed without the cursor".into())
            } else {
                Ok(())
            };
        };
        if seq != ledger.cursor() {
            return Err(format!("unsubscribed at {seq}, told up to {}", ledger.cursor()));
        }
        if frame.totals.as_ref().is_some_and(|totals| totals != ledger.totals()) {
            return Err("unsubscribed with other totals than those told".into());
        }
        if frame.totals.is_some() {
            on.coverage.note("unsubscribed with totals");
        }
        Ok(())
    }

    fn error(&mut self, frame: &ErrorFrame) -> Checked {
        let due = self.errors.pop_front().ok_or_else(|| format!("an error for nothing: {frame:?}"))?;
        let id = (due.1 > 0).then_some(due.1);
        if (due.0, id) == (frame.code.as_str(), frame.id) {
            Ok(())
        } else {
            Err(format!("{frame:?} for {due:?}"))
        }
    }

    fn effective(&self, channel: &ChannelName) -> Rung {
        self.listeners[channel].told.min(self.told)
    }

    /// The reason that holds for a reduced rung, by what was told and asked.
    fn reason(&self, channel: &ChannelName) -> Why {
        let held = &self.listeners[channel];
        match (held.told <= self.told, held.told < held.asked, self.told < self.asked) {
            (true, true, _) => Why::Throttled,
            (false, _, true) => Why::Backpressure,
            (true, false, _) | (false, _, false) => Why::Asked,
        }
    }

    /// A frame comes only once the rung that it belongs to was told.
    fn rung_is_told(&self, channel: &ChannelName, form: Rung, on: &Context<'_>) -> Checked {
        let conn = self.conn.ok_or("a frame without a connection")?;
        let held = &self.listeners[channel];
        if on.shell.hub.rungs(conn, channel) != Some((held.told, self.told)) {
            return Err(format!("{channel}: a rung was not told before a frame"));
        }
        // At full, a gap goes out in place as counts.
        let told = self.effective(channel);
        if told == form || (told == Rung::Full && form == Rung::Counts) {
            return Ok(());
        }
        Err(format!("{channel}: a frame of {form} at {told}"))
    }

    fn events(
        &mut self,
        channel: &ChannelName,
        record: &tally_protocol::Record,
        on: &mut Context<'_>,
    ) -> Checked {
        self.rung_is_told(channel, Rung::Full, on)?;
        let held = self.listeners.get_mut(channel).expect("checked to be attached");
        if held.asked != Rung::Full || self.asked != Rung::Full {
            return Err(format!("{channel}: events to a client that asked for less"));
        }
        if held.events(record, on)? && !self.bucket.pay(record.len(), on.now) {
            return Err(format!("{channel}: more events than the connection's rate"));
        }
        Ok(())
    }

    fn counts(&mut self, shared: &Arc<tally_fanout::Shared<Counts>>, on: &mut Context<'_>) -> Checked {
        let frame = shared.value();
        self.rung_is_told(&frame.channel, Rung::Counts, on)?;
        let reason = (self.effective(&frame.channel) == Rung::Counts).then(|| self.reason(&frame.channel));
        if reason.is_some() {
            laws::encoded_once(shared, self.hub, self.listeners[&frame.channel].tick, on)?;
        }
        self.listeners.get_mut(&frame.channel).expect("checked").counts(frame, reason, on)
    }

    fn summary(&mut self, frame: &Summary, on: &mut Context<'_>) -> Checked {
        on.coverage.note("output summary");
        for one in &frame.channels {
            self.attached(&one.channel)?;
            self.rung_is_told(&one.channel, Rung::Summary, on)?;
            let reason = self.reason(&one.channel);
            if frame.why != reason {
                return Err(format!("{}: a summary that says {} at {reason}", one.channel, frame.why));
            }
            self.listeners.get_mut(&one.channel).expect("checked").summary(one, frame.why, on)?;
        }
        Ok(())
    }

    fn rung(&mut self, frame: &RungFrame, on: &mut Context<'_>) -> Checked {
        on.coverage.note(&format!("rung {} {}", frame.rung, frame.why));
        if let Some(channel) = &frame.channel {
            let unblocked_at = self.unblocked_at;
            return self.attached(channel)?.rung(frame, unblocked_at, on);
        }
        let reason = if frame.rung < self.asked { Why::Backpressure } else { Why::Asked };
        let is_reason = frame.why == reason || (frame.rung > self.told && frame.why != Why::Throttled);
        if frame.rung == self.told || frame.rung > self.asked || !is_reason {
            return Err(format!("ceiling from {} to {} because {}", self.told, frame.rung, frame.why));
        }
        on.coverage.note(if frame.rung > self.told { "ceiling climbs" } else { "ceiling falls" });
        if frame.rung == Rung::Full {
            self.listeners.values_mut().for_each(|held| held.free_since = on.now);
        }
        self.listeners.values_mut().for_each(|held| held.ticked = None);
        self.told = frame.rung;
        Ok(())
    }

    fn reset(&mut self, frame: &Reset, on: &mut Context<'_>) -> Checked {
        let held = self.listeners.get_mut(&frame.channel).expect("checked to be attached");
        held.reset(frame, on)
    }
}

/// Whether a frame of `epoch` may come at this ledger without a reset.
pub(crate) fn goes_on(
    ledger: &Ledger,
    channel: &ChannelName,
    epoch: &tally_protocol::Epoch,
    broker: &Broker,
) -> bool {
    let Some(held) = ledger.epoch() else { return ledger.cursor().get() == 0 };
    broker.relation(channel, held, ledger.cursor().get(), epoch) != Relation::Broken
}

fn encode(output: &Output) -> Vec<u8> {
    let frame: ServerFrame = match output {
        Output::Events(shared) => {
            let encode = |record: &tally_fanout::ChannelRecord| {
                write_events_frame(&record.channel, &record.record).expect("it has payloads").into()
            };
            return shared.frame(encode).to_vec();
        }
        Output::Counts(shared) => {
            return shared.frame(|counts| ServerFrame::Counts(counts.clone()).encode().into()).to_vec();
        }
        Output::Subscribed(frame) => (**frame).clone().into(),
        Output::Unsubscribed(frame) => (**frame).clone().into(),
        Output::Error(frame) => (**frame).clone().into(),
        Output::Summary(frame) => (**frame).clone().into(),
        Output::Rung(frame) => frame.clone().into(),
        Output::Reset(frame) => (**frame).clone().into(),
        Output::Upstream(frame) => frame.clone().into(),
        Output::Unnumbered(shared) => shared.value().clone().into(),
    };
    frame.encode().into_bytes()
}
