//! Flushing and closing: what still waits, and the one deadline after which nothing does.

use super::Pipeline;
use super::channel::Channel;
use super::span::Span;
use crate::receipt::{SpanOutcome, Verdict};
use crate::stats::{Closed, Remaining};
use std::sync::Arc;
use std::time::Instant;
use tally_protocol::ChannelName;

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// Events are accepted.
    Open,
    /// No further events; what waits is sent until the deadline.
    Closing { deadline: Instant },
    /// Everything has its outcome.
    Closed { cut_off: Remaining },
}

impl Ending {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Closing { deadline } => Some(*deadline),
            Self::Open | Self::Closed { .. } => None,
        }
    }
}

/// Everything accepted before a flush.
#[derive(Debug)]
pub(crate) struct Flush {
    /// One per span without an outcome.
    pub(crate) verdicts: Vec<Arc<Verdict>>,
    spans_end: u64,
}

impl Pipeline {
    /// Nothing accepted so far waits for company any longer.
    pub(crate) fn handle_flush(&mut self, now: Instant) -> Flush {
        let mut verdicts = Vec::new();
        for (name, channel) in &mut self.channels {
            verdicts.extend(channel.sent.as_ref().map(|sent| Arc::clone(&sent.verdict)));
            verdicts.extend(channel.queue.iter().map(|span| Arc::clone(&span.verdict)));
            if let Some(last) = channel.queue.back_mut() {
                last.sealed = true;
                self.agenda.relist(now, name, channel, &self.settings);
            }
        }
        Flush { verdicts, spans_end: self.spans }
    }

    /// What of a flush has no outcome yet.
    pub(crate) fn remaining(&self, flush: &Flush) -> Remaining {
        let mut remaining = Remaining::default();
        for channel in self.channels.values() {
            count(channel, flush.spans_end, &mut remaining);
        }
        remaining
    }

    /// Accepts no more, and sends what waits until the deadline. The first deadline stays.
    pub(crate) fn handle_close(&mut self, now: Instant, deadline: Instant) {
        if matches!(self.ending, Ending::Open) {
            self.ending = Ending::Closing { deadline };
            self.handle_flush(now);
        }
    }

    /// How the producer ended, once it has: everything has its outcome, or the deadline has come and gave it one.
    pub(crate) fn poll_closed(&mut self, now: Instant) -> Option<Closed> {
        if let Ending::Closing { deadline } = self.ending {
            if now >= deadline {
                self.abandon("the producer was closed before an answer came");
            } else if self.stats().waiting == 0 {
                self.ending = Ending::Closed { cut_off: Remaining::default() };
            }
        }
        match self.ending {
            Ending::Closed { cut_off } => Some(Closed { cut_off, stats: self.stats() }),
            Ending::Open | Ending::Closing { .. } => None,
        }
    }

    /// Gives everything that waits its outcome now: unknown where it may have been published, else refused. Nothing
    /// may be sent afterwards.
    pub(crate) fn abandon(&mut self, reason: &str) {
        if matches!(self.ending, Ending::Closed { .. }) {
            return;
        }
        let mut cut_off = Remaining::default();
        let mut channels: Vec<(ChannelName, Channel)> = self.channels.drain().collect();
        channels.sort_by(|(a, _), (b, _)| a.cmp(b));
        let reason: Arc<str> = reason.into();
        let refused = SpanOutcome::Refused { code: "closed".into(), message: Arc::clone(&reason) };
        for (name, channel) in channels {
            count(&channel, u64::MAX, &mut cut_off);
            if let Some(sent) = channel.sent {
                let unknown = SpanOutcome::Unknown { reason: Arc::clone(&reason) };
                let outcome = if sent.is_in_doubt() { unknown } else { refused.clone() };
                self.tell(&name, &sent.verdict, sent.events(), outcome);
            }
            for span in channel.queue {
                self.tell(&name, &span.verdict, span.len(), refused.clone());
            }
        }
        self.agenda = super::Agenda::default();
        self.room = super::Room::default();
        self.on_wire = 0;
        self.ending = Ending::Closed { cut_off };
    }
}

fn count(channel: &Channel, spans_end: u64, remaining: &mut Remaining) {
    if let Some(sent) = channel.sent.as_ref().filter(|sent| sent.span_no < spans_end) {
        let column = if sent.is_in_doubt() { &mut remaining.in_doubt } else { &mut remaining.unsent };
        *column += sent.events();
    }
    let queued = channel.queue.iter().filter(|span| span.no < spans_end);
    remaining.unsent += queued.map(Span::len).sum::<u64>();
}
