//! What the live view knows: the link, each channel beside its ledger, and the newest things that happened.
//!
//! Pure: updates and times are values. The ledgers stay with the client; what is here is bounded per channel (a rate of
//! 60 seconds) and by the ring of the newest entries.

mod rate;
mod recent;
#[cfg(test)]
pub(super) mod tests;

pub(super) use rate::{BUCKETS_MAX, Rate};
pub(super) use recent::{Entry, Recent, What};

use super::text::{one_line, plural, span, thousands};
use std::time::{Duration, Instant, SystemTime};
use tally_client::protocol::{
    Class, Counts, Events, Reset, Subscribed, Summary, UnixMs, UpstreamFrame, UpstreamStatus,
};
use tally_client::{ChannelName, Continuity, Ledger, Rung, Totals, Update, Violation, Why};

/// The same moment on two clocks: the one that only goes forward, and the one that people read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) unix: UnixMs,
}

impl Now {
    pub(super) fn read() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix: UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(0)) }
    }
}

#[derive(Debug)]
pub(super) struct Model {
    /// Host and port, as shown.
    pub(super) gateway: String,
    pub(super) link: Link,
    /// The highest rung that this person wants.
    pub(super) asked: Rung,
    /// The connection's own limit, where it is below full.
    ceiling: Option<(Rung, Why)>,
    pub(super) channels: Vec<Channel>,
    pub(super) recent: Recent,
    /// The newest things as they were when the view was paused.
    pub(super) paused: Option<Recent>,
    pub(super) violations: u64,
    pub(super) violation: Option<String>,
}

#[derive(Debug)]
pub(super) enum Link {
    Connecting,
    Up,
    /// `retry_at`: the next attempt; `None` where there is none.
    Down {
        reason: String,
        retry_at: Option<Instant>,
    },
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    pub(super) phase: Phase,
    rung: Rung,
    why: Why,
    pub(super) max_rate: Option<u64>,
    /// Since when the gateway does not hear the broker.
    pub(super) deaf_since: Option<UnixMs>,
    /// When continuity last broke, and the cursor of the ledger that ended.
    pub(super) reset: Option<(Instant, u64)>,
    pub(super) rate: Rate,
    /// Totals up to which the rate is counted.
    known: Totals,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Asked,
    /// The gateway has no broker; the attach follows.
    Pending,
    Attached,
    Ended(String),
}

impl Channel {
    fn new(name: &ChannelName, now: Instant) -> Self {
        Self {
            name: name.clone(),
            phase: Phase::Asked,
            rung: Rung::Full,
            why: Why::Asked,
            max_rate: None,
            deaf_since: None,
            reset: None,
            rate: Rate::new(now),
            known: Totals::new(),
        }
    }

    /// What was booked since the last call.
    fn take_span(&mut self, ledger: Option<&Ledger>) -> Totals {
        let Some(ledger) = ledger else { return Totals::new() };
        let span = ledger.totals().since(&self.known).unwrap_or_default();
        self.known.clone_from(ledger.totals());
        span
    }
}

impl Model {
    pub(super) fn new(gateway: &str, channels: &[ChannelName], asked: Rung, now: Instant) -> Self {
        Self {
            gateway: gateway.into(),
            link: Link::Connecting,
            asked,
            ceiling: None,
            channels: channels.iter().map(|name| Channel::new(name, now)).collect(),
            recent: Recent::default(),
            paused: None,
            violations: 0,
            violation: None,
        }
    }

    /// What a channel gets now, and why it is no more.
    pub(super) fn rung(&self, channel: &Channel) -> (Rung, Why) {
        match self.ceiling {
            Some((rung, why)) if rung < channel.rung => (rung, why),
            _ => (channel.rung, channel.why),
        }
    }

    pub(super) fn toggle_pause(&mut self) {
        self.paused = if self.paused.is_some() { None } else { Some(self.recent.clone()) };
    }

    /// Takes an update after the client booked it; `ledger` answers with a channel's ledger as it is now.
    pub(super) fn handle<'a>(
        &mut self,
        update: &Update,
        ledger: impl Fn(&ChannelName) -> Option<&'a Ledger>,
        now: Now,
    ) {
        match update {
            Update::Connected(_) => self.handle_connected(now),
            Update::Disconnected { cause, retry_in } => {
                self.handle_disconnected(&cause.to_string(), *retry_in, now);
            }
            Update::Subscribed { frame, continuity } => {
                self.handle_subscribed(frame, *continuity, ledger(&frame.channel), now);
            }
            Update::Events(frame) => self.handle_events(frame, ledger(&frame.channel), now),
            Update::Counts(frame) => self.handle_counts(frame, ledger(&frame.channel), now),
            Update::Summary(frame) => self.handle_summary(frame, ledger, now),
            Update::Rung(frame) => self.handle_rung(frame.channel.as_ref(), frame.rung, frame.why, now),
            Update::Reset { frame, closed } => self.handle_reset(frame, closed.cursor().get(), now),
            Update::Unsubscribed { channel, code, .. } => {
                self.turn(Some(channel), format!("the subscription ended: {}", one_line(code)), true, now);
                if let Some(index) = self.find(channel) {
                    self.channels[index].phase = Phase::Ended(one_line(code));
                }
            }
            Update::Upstream(frame) => self.handle_upstream(frame, now),
            Update::Unnumbered(frame) => {
                let words =
                    format!("{}, unnumbered: outside the ledger", plural(frame.events.len() as u64, "event"));
                self.turn(Some(&frame.channel), words, false, now);
            }
            Update::Error(frame) => {
                let words = format!("refused ({}): {}", one_line(&frame.code), one_line(&frame.message));
                self.turn(frame.channel.as_ref(), words, true, now);
            }
            Update::Violation { violation, .. } => self.handle_violation(violation, now),
            // The end of the connection has the same words.
            Update::Goodbye(_) | Update::Heartbeat(_) => {}
        }
    }

    /// Moves the rates on, for when nothing comes.
    pub(super) fn handle_time(&mut self, now: Instant) {
        self.channels.iter_mut().for_each(|channel| channel.rate.advance(now));
    }

    fn handle_connected(&mut self, now: Now) {
        if matches!(self.link, Link::Down { .. }) {
            self.turn(None, "connected again".into(), false, now);
        }
        self.link = Link::Up;
        self.ceiling = None;
    }

    fn handle_disconnected(&mut self, cause: &str, retry_in: Option<Duration>, now: Now) {
        let reason = one_line(cause);
        if matches!(self.link, Link::Up) {
            self.turn(None, reason.clone(), true, now);
        }
        self.link = Link::Down { reason, retry_at: retry_in.map(|pause| now.instant + pause) };
        for channel in &mut self.channels {
            if !matches!(channel.phase, Phase::Ended(_)) {
                channel.phase = Phase::Asked;
            }
            channel.deaf_since = None;
        }
    }

    fn handle_subscribed(
        &mut self,
        frame: &Subscribed,
        continuity: Continuity,
        ledger: Option<&Ledger>,
        now: Now,
    ) {
        let Some(index) = self.find(&frame.channel) else { return };
        let channel = &mut self.channels[index];
        channel.max_rate = Some(frame.max_rate);
        (channel.rung, channel.why) = (frame.rung, Why::Asked);
        channel.deaf_since = (frame.upstream == UpstreamStatus::Down).then_some(now.unix);
        channel.phase = if continuity == Continuity::Pending { Phase::Pending } else { Phase::Attached };
        let at = ledger.map_or(0, |ledger| ledger.cursor().get());
        let words = match continuity {
            Continuity::Pending => "waiting for the broker".into(),
            Continuity::New => format!("attached at {}", thousands(at)),
            Continuity::Resumed => format!("resumed at {}", thousands(at)),
            // The reset that follows at once has the words.
            Continuity::Refused => return,
        };
        if continuity == Continuity::New {
            let _ = channel.take_span(ledger);
        }
        self.turn(Some(&frame.channel), words, false, now);
    }

    fn handle_events(&mut self, frame: &Events, ledger: Option<&Ledger>, now: Now) {
        let Some(index) = self.find(&frame.channel) else { return };
        for event in &frame.events {
            let kind = event.sent_as.as_ref().unwrap_or(&event.kind);
            let is_state = event.class == Class::State;
            self.recent.push_event(index, event.at, kind, is_state, &event.data);
        }
        let channel = &mut self.channels[index];
        let span = channel.take_span(ledger);
        channel.rate.add(&span, now.instant);
    }

    fn handle_counts(&mut self, frame: &Counts, ledger: Option<&Ledger>, now: Now) {
        let Some(index) = self.find(&frame.channel) else { return };
        // The samples stand above the span that they are part of.
        let mut span = self.recent.take_counted(index, Rung::Counts, frame.why);
        for event in frame.tail.iter().flatten() {
            let kind = event.sent_as.as_ref().unwrap_or(&event.kind);
            self.recent.push_sample(index, event.at, kind, &event.data);
        }
        span.add_all(&self.book_span(index, frame.why, ledger, now));
        self.recent.push_counted(index, now.unix, Rung::Counts, frame.why, span);
    }

    fn handle_summary<'a>(
        &mut self,
        frame: &Summary,
        ledger: impl Fn(&ChannelName) -> Option<&'a Ledger>,
        now: Now,
    ) {
        for part in &frame.channels {
            let Some(index) = self.find(&part.channel) else { continue };
            let mut span = self.recent.take_counted(index, Rung::Summary, frame.why);
            span.add_all(&self.book_span(index, frame.why, ledger(&part.channel), now));
            self.recent.push_counted(index, now.unix, Rung::Summary, frame.why, span);
        }
    }

    fn handle_reset(&mut self, frame: &Reset, ended_at: u64, now: Now) {
        let (from, to) = (thousands(ended_at), thousands(frame.seq.get()));
        let words = format!("reset: the numbering broke off at {from}; a new ledger starts at {to}");
        self.turn(Some(&frame.channel), words, true, now);
        if let Some(index) = self.find(&frame.channel) {
            let channel = &mut self.channels[index];
            channel.reset = Some((now.instant, ended_at));
            channel.known.clone_from(&frame.totals);
            channel.rate = Rate::new(now.instant);
        }
    }

    fn handle_violation(&mut self, violation: &Violation, now: Now) {
        let law = violation.law.as_str();
        let words = format!("{law} on {}: {}", violation.channel, one_line(&violation.detail));
        self.turn(Some(&violation.channel), format!("law broken: {words}"), true, now);
        self.violations += 1;
        self.violation = Some(words);
    }

    /// A span that lies in the past is no part of the rate.
    fn book_span(&mut self, index: usize, why: Why, ledger: Option<&Ledger>, now: Now) -> Totals {
        let channel = &mut self.channels[index];
        let span = channel.take_span(ledger);
        if !matches!(why, Why::Replay | Why::Upstream) {
            channel.rate.add(&span, now.instant);
        }
        span
    }

    fn handle_rung(&mut self, name: Option<&ChannelName>, rung: Rung, why: Why, now: Now) {
        let whose = if name.is_some() { "rung" } else { "ceiling of the connection" };
        self.turn(name, format!("{whose}: {rung} ({why})"), false, now);
        match name {
            None => self.ceiling = (rung != Rung::Full).then_some((rung, why)),
            Some(name) => {
                if let Some(index) = self.find(name) {
                    (self.channels[index].rung, self.channels[index].why) = (rung, why);
                }
            }
        }
    }

    fn handle_upstream(&mut self, frame: &UpstreamFrame, now: Now) {
        let down = frame.status == UpstreamStatus::Down;
        let mut longest = None;
        for channel in &mut self.channels {
            if frame.channels.as_ref().is_some_and(|names| !names.contains(&channel.name)) {
                continue;
            }
            longest = longest.max(channel.deaf_since.map(|since| now.unix.get().saturating_sub(since.get())));
            channel.deaf_since = down.then_some(frame.since);
        }
        let words = match longest {
            _ if down => "upstream down: the gateway does not hear the broker".into(),
            Some(ms) => format!("upstream up again after {}", span(Duration::from_millis(ms))),
            None => "upstream up".into(),
        };
        self.turn(None, words, down, now);
    }

    fn turn(&mut self, channel: Option<&ChannelName>, words: String, bad: bool, now: Now) {
        let channel = channel.and_then(|name| self.find(name));
        self.recent.push_turn(channel, now.unix, words, bad);
    }

    fn find(&self, name: &ChannelName) -> Option<usize> {
        self.channels.iter().position(|channel| channel.name == *name)
    }
}
