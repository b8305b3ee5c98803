//! What the gateway says: each frame is read once, checked against its channel's ledger, booked, and told.

use super::channel::{Account, Granted, Phase, Then};
use super::{ASKED, Link, Session};
use crate::disconnect::Disconnect;
use crate::update::{Continuity, Frame, FrameText, Update};
use std::fmt;
use std::time::Instant;
use tally_protocol::{
    Attach, ChannelName, Counts, ErrorCode, ErrorFrame, Events, Goodbye, Law, Ledger, Position, Reset,
    RungFrame, SUBPROTOCOL, ServerFrame, Subscribed, Summary, Unnumbered, Unsubscribed, Violation,
};

/// Characters of an unreadable frame that the application is shown.
const START_MAX: usize = 120;

/// What became of a frame that a ledger was to book.
enum Booked {
    Yes,
    /// The channel is being left after a violation; nothing of it is read.
    Dropped,
}

impl Session {
    /// A text frame came. Types that this build does not know are ignored.
    pub(crate) fn handle_text(&mut self, text: FrameText, now: Instant) {
        let frame = match ServerFrame::decode(text.as_str()) {
            Ok(frame) => frame,
            Err(error) => return self.handle_unreadable(&error, text.as_str(), now),
        };
        match &mut self.link {
            Link::Up(up) => up.heard_at = now,
            Link::Greeting { .. } => return self.handle_first(frame, text, now),
            Link::Down { .. } | Link::Ended => return,
        }
        let told = match frame {
            ServerFrame::Subscribed(frame) => self.handle_subscribed(frame, &text, now),
            ServerFrame::Unsubscribed(frame) => self.handle_unsubscribed(frame, &text, now),
            ServerFrame::Events(frame) => self.handle_events(frame, &text),
            ServerFrame::Counts(frame) => self.handle_counts(frame, &text),
            ServerFrame::Summary(frame) => {
                self.handle_summary(frame, &text, now);
                Ok(())
            }
            ServerFrame::Rung(frame) => self.handle_rung(frame, &text),
            ServerFrame::Reset(frame) => self.handle_reset(frame, &text),
            ServerFrame::Unnumbered(frame) => self.handle_unnumbered(frame, &text),
            ServerFrame::Error(frame) => {
                self.handle_error(frame, &text, now);
                Ok(())
            }
            ServerFrame::Goodbye(frame) => {
                self.handle_goodbye(frame, &text);
                Ok(())
            }
            ServerFrame::Upstream(frame) => self.tell(Update::Upstream(Frame::new(frame, text.clone()))),
            ServerFrame::Heartbeat(frame) => self.tell(Update::Heartbeat(Frame::new(frame, text.clone()))),
            ServerFrame::Hello(_) | ServerFrame::Unknown(_) => Ok(()),
        };
        if let Err(violation) = told {
            self.handle_violation(violation, &text, now);
        }
    }

    /// A frame that is none: the connection ends here.
    pub(crate) fn handle_unreadable(&mut self, error: &dyn fmt::Display, frame: &str, now: Instant) {
        let start = frame.chars().take(START_MAX).collect();
        self.handle_disconnect(Disconnect::BadFrame { error: error.to_string(), start }, now);
    }

    fn tell(&mut self, update: Update) -> Result<(), Violation> {
        self.updates.push_back(update);
        Ok(())
    }

    fn handle_first(&mut self, frame: ServerFrame, text: FrameText, now: Instant) {
        match frame {
            ServerFrame::Hello(hello) if hello.protocol == SUBPROTOCOL => {
                self.handle_hello(&hello, now);
                self.updates.push_back(Update::Connected(Frame::new(hello, text)));
            }
            ServerFrame::Hello(hello) => {
                let error = format!("it speaks {:?}, this SDK speaks {SUBPROTOCOL:?}", hello.protocol);
                self.handle_unreadable(&error, text.as_str(), now);
            }
            ServerFrame::Unknown(_) => {}
            _ => self.handle_unreadable(&"the first frame must be hello", text.as_str(), now),
        }
    }

    fn handle_subscribed(
        &mut self,
        frame: Subscribed,
        text: &FrameText,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(account) = self.channels.get_mut(&frame.channel) else {
            return Err(order(&frame.channel, "it was attached without being asked for"));
        };
        let unanswered = match account.phase {
            Phase::Asked(unanswered) | Phase::Leaving { unanswered: Some(unanswered), .. } => unanswered,
            Phase::Leaving { .. } if account.ledger.is_none() => return Ok(()),
            Phase::Live { .. } | Phase::Leaving { .. } | Phase::Wanted | Phase::Over => {
                return Err(order(&frame.channel, "it was attached twice, or without being asked for"));
            }
        };
        if unanswered.id != frame.id {
            return Err(order(&frame.channel, "it was attached by a request that is over"));
        }
        let continuity = match &frame.attach {
            Attach::Pending => Continuity::Pending,
            Attach::Resumed { .. } => {
                // The copy is for the account to keep where the resume breaks a law.
                if let Some(ledger) = Ledger::attach(&frame, account.ledger.clone())? {
                    account.open_ledger(ledger);
                }
                Continuity::Resumed
            }
            Attach::At(position) => {
                let ledger = Ledger::open(&frame.channel, position)?;
                if unanswered.resumes {
                    account.close_ledger();
                    account.reset_due = Some(position.clone());
                }
                account.open_ledger(ledger);
                if unanswered.resumes { Continuity::Refused } else { Continuity::New }
            }
        };
        account.granted = Some(Granted::from(&frame));
        if continuity != Continuity::Pending {
            account.phase = match account.phase {
                Phase::Leaving { id, then, .. } => Phase::Leaving { id, then, unanswered: None },
                _ => Phase::Live { since: now },
            };
        }
        self.tell(Update::Subscribed { frame: Frame::new(frame, text.clone()), continuity })
    }

    fn handle_unsubscribed(
        &mut self,
        frame: Unsubscribed,
        text: &FrameText,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(account) = self.channels.get_mut(&frame.channel) else {
            return Err(order(&frame.channel, "it ended without a subscription"));
        };
        if matches!(account.phase, Phase::Wanted | Phase::Over) {
            return Err(order(&frame.channel, "it ended before it was subscribed"));
        }
        let checked = match account.ledger.as_ref().filter(|_| account.is_attached()) {
            Some(ledger) => check_end(ledger, &frame),
            None => Ok(()),
        };
        if matches!(account.phase, Phase::Asked(_) | Phase::Live { .. }) {
            account.leave(Then::Forget);
        }
        let channel = frame.channel.clone();
        let code = frame.code.clone();
        if let Err(violation) = checked {
            self.handle_violation(violation, text, now);
        }
        self.end(&channel, &code, Some(Frame::new(frame, text.clone())), now);
        Ok(())
    }

    /// The gateway holds no subscription of the channel any more.
    fn end(&mut self, channel: &ChannelName, code: &str, frame: Option<Frame<Unsubscribed>>, now: Instant) {
        self.unsent.forget(channel);
        let Some(account) = self.channels.get_mut(channel) else { return };
        let ledger = account.close_ledger();
        account.granted = None;
        account.reset_due = None;
        let then = match account.phase {
            Phase::Leaving { then, .. } => then,
            _ => Then::Forget,
        };
        match then {
            Then::Afresh => {
                account.phase = Phase::Wanted;
                let pause = self.reconnect.pause_of_channel(account.strikes.saturating_sub(1), &mut self.rng);
                self.unsent.join_at(now + pause, channel.clone());
                self.unsent.release(now);
                return;
            }
            Then::Restart => {
                account.restart();
                self.unsent.join_at(now, channel.clone());
                self.unsent.release(now);
            }
            Then::Forget => {
                self.channels.remove(channel);
            }
        }
        let (channel, code) = (channel.clone(), code.into());
        self.updates.push_back(Update::Unsubscribed { channel, code, ledger, frame });
    }

    fn handle_events(&mut self, frame: Events, text: &FrameText) -> Result<(), Violation> {
        match self.book(&frame.channel, |ledger| ledger.handle_events(&frame))? {
            Booked::Yes => self.tell(Update::Events(Frame::new(frame, text.clone()))),
            Booked::Dropped => Ok(()),
        }
    }

    fn handle_counts(&mut self, frame: Counts, text: &FrameText) -> Result<(), Violation> {
        match self.book(&frame.channel, |ledger| ledger.handle_counts(&frame))? {
            Booked::Yes => self.tell(Update::Counts(Frame::new(frame, text.clone()))),
            Booked::Dropped => Ok(()),
        }
    }

    /// Each channel stands for itself; the frame is told if any of it was booked.
    fn handle_summary(&mut self, frame: Summary, text: &FrameText, now: Instant) {
        let mut booked = frame.channels.is_empty();
        for part in &frame.channels {
            match self.book(&part.channel, |ledger| ledger.handle_summary(frame.why, part)) {
                Ok(Booked::Yes) => booked = true,
                Ok(Booked::Dropped) => {}
                Err(violation) => self.handle_violation(violation, text, now),
            }
        }
        if booked {
            self.updates.push_back(Update::Summary(Frame::new(frame, text.clone())));
        }
    }

    fn handle_rung(&mut self, frame: RungFrame, text: &FrameText) -> Result<(), Violation> {
        match &frame.channel {
            None => self.ceiling = frame.rung,
            Some(channel) => {
                let Some(account) = self.attached(channel)? else { return Ok(()) };
                if let Some(granted) = &mut account.granted {
                    granted.rung = frame.rung;
                }
            }
        }
        self.tell(Update::Rung(Frame::new(frame, text.clone())))
    }

    fn handle_reset(&mut self, frame: Reset, text: &FrameText) -> Result<(), Violation> {
        let due = self.channels.get_mut(&frame.channel).and_then(|account| account.reset_due.take());
        let Some(account) = self.attached(&frame.channel)? else { return Ok(()) };
        let closed = match due {
            Some(due) if repeats(&frame, &due) => account.last_closed(),
            Some(_) => {
                return Err(order(&frame.channel, "the reset after a refused resume has other values"));
            }
            None => match &mut account.ledger {
                Some(ledger) => {
                    let closed = ledger.handle_reset(&frame)?;
                    Some(account.keep_closed(closed))
                }
                None => None,
            },
        };
        match closed {
            Some(closed) => self.tell(Update::Reset { frame: Frame::new(frame, text.clone()), closed }),
            None => Ok(()),
        }
    }

    fn handle_unnumbered(&mut self, frame: Unnumbered, text: &FrameText) -> Result<(), Violation> {
        match self.attached(&frame.channel)? {
            Some(_) => self.tell(Update::Unnumbered(Frame::new(frame, text.clone()))),
            None => Ok(()),
        }
    }

    /// A refused `subscribe` ends that subscription, and so does a refused `unsubscribe`: there is none.
    fn handle_error(&mut self, frame: ErrorFrame, text: &FrameText, now: Instant) {
        let is_refused = |account: &Account| match account.phase {
            Phase::Asked(unanswered) => frame.id == Some(unanswered.id),
            Phase::Leaving { id, unanswered, .. } => {
                frame.id.is_some() && (frame.id == id || frame.id == unanswered.map(|subscribe| subscribe.id))
            }
            Phase::Wanted | Phase::Live { .. } | Phase::Over => false,
        };
        let refused: Vec<ChannelName> = match &frame.channel {
            Some(channel) => self
                .channels
                .get(channel)
                .filter(|one| is_refused(one))
                .map(|_| channel.clone())
                .into_iter()
                .collect(),
            // One bad name leaves the others of its request alone; it cannot be ours, as names are checked here.
            None if frame.code == ErrorCode::BadChannel.as_str() => Vec::new(),
            None => self
                .channels
                .iter()
                .filter(|(_, one)| is_refused(one))
                .map(|(name, _)| name.clone())
                .collect(),
        };
        let code = frame.code.clone();
        self.updates.push_back(Update::Error(Frame::new(frame, text.clone())));
        for channel in refused {
            let left =
                matches!(self.channels.get(&channel).map(|one| one.phase), Some(Phase::Leaving { .. }));
            self.end(&channel, if left { ASKED } else { &code }, None, now);
        }
    }

    fn handle_goodbye(&mut self, frame: Goodbye, text: &FrameText) {
        if let Link::Up(up) = &mut self.link {
            up.goodbye = Some(frame.clone());
        }
        self.updates.push_back(Update::Goodbye(Frame::new(frame, text.clone())));
    }

    /// Counts and reports a violation, closes the channel's ledger and has the channel subscribed afresh.
    fn handle_violation(&mut self, violation: Violation, text: &FrameText, now: Instant) {
        self.violations += 1;
        self.unsent.report(&violation);
        let mut closed = None;
        if let Some(account) = self.channels.get_mut(&violation.channel) {
            account.violations += 1;
            closed = account.close_ledger();
            account.reset_due = None;
            let calm = match account.phase {
                Phase::Live { since } => self.reconnect.is_stable(now.saturating_duration_since(since)),
                _ => false,
            };
            account.strikes = if calm { 1 } else { account.strikes.saturating_add(1) };
            match &mut account.phase {
                Phase::Asked(_) | Phase::Live { .. } => {
                    account.leave(Then::Afresh);
                    self.unsent.forget(&violation.channel);
                    self.unsent.leave(&violation.channel);
                }
                Phase::Leaving { unanswered, .. } => *unanswered = None,
                Phase::Wanted | Phase::Over => {}
            }
        }
        self.updates.push_back(Update::Violation { violation, closed, text: text.clone() });
    }

    /// Books a frame; law 2 begins with the attach.
    fn book(
        &mut self,
        channel: &ChannelName,
        handle: impl FnOnce(&mut Ledger) -> Result<(), Violation>,
    ) -> Result<Booked, Violation> {
        let Some(account) = self.attached(channel)? else { return Ok(Booked::Dropped) };
        match &mut account.ledger {
            Some(ledger) => handle(ledger).map(|()| Booked::Yes),
            None => Ok(Booked::Dropped),
        }
    }

    /// The account that a frame of this channel belongs to; `None` where the frame is to be dropped.
    fn attached(&mut self, channel: &ChannelName) -> Result<Option<&mut Account>, Violation> {
        match self.channels.get_mut(channel) {
            None => Err(order(channel, "a frame came without a subscription")),
            Some(account) if account.reset_due.is_some() => {
                Err(order(channel, "a frame came between a refused resume and its reset"))
            }
            Some(account) => match account.phase {
                Phase::Live { .. } => Ok(Some(account)),
                Phase::Leaving { unanswered: None, .. } => {
                    Ok(Some(account).filter(|one| one.ledger.is_some()))
                }
                Phase::Wanted | Phase::Asked(_) | Phase::Leaving { .. } => {
                    Err(order(channel, "a frame came before the attach"))
                }
                Phase::Over => Err(order(channel, "a frame came after the end")),
            },
        }
    }
}

fn order(channel: &ChannelName, detail: &str) -> Violation {
    Violation { channel: channel.clone(), law: Law::Order, detail: detail.into() }
}

/// `unsubscribed` repeats the cursor as last told, which is where the ledger stands. The epoch may be newer: it can
/// change without a frame.
fn check_end(ledger: &Ledger, frame: &Unsubscribed) -> Result<(), Violation> {
    if let Some(seq) = frame.seq.filter(|seq| *seq != ledger.cursor()) {
        return Err(order(
            &frame.channel,
            &format!("it ended at seq {seq}, the cursor is at {}", ledger.cursor()),
        ));
    }
    if frame.totals.as_ref().is_some_and(|totals| totals != ledger.totals()) {
        let detail = format!("it ended at seq {} with other totals than were told", ledger.cursor());
        return Err(Violation { channel: frame.channel.clone(), law: Law::Conservation, detail });
    }
    Ok(())
}

fn repeats(frame: &Reset, due: &Position) -> bool {
    frame.epoch == due.epoch && frame.seq == due.seq && frame.totals == due.totals && frame.state == due.state
}
