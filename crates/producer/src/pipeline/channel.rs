//! One channel: the spans that wait, in order, and the one batch without an answer.

use super::agenda::Listed;
use super::hearing::Hearing;
use super::identity::Identity;
use super::room::Cost;
use super::span::{Sealed, Span};
use crate::limits::{RETRY_WINDOW, UNHEARD_SPANS_MAX};
use crate::receipt::{Receipt, Verdict};
use crate::settings::Settings;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tally_backplane::ProducerBatch;
use tally_protocol::{Class, Event, Why};

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) identity: Identity,
    pub(super) hearing: Hearing,
    /// Not sent yet. Only the last may take events.
    pub(super) queue: VecDeque<Span>,
    pub(super) sent: Option<Sent>,
    /// Spans of counts, here and sent.
    pub(super) counts_spans: usize,
    /// Where the agenda has it.
    pub(super) listed: Listed,
}

/// The one unanswered batch of a channel.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) span_no: u64,
    pub(super) verdict: Arc<Verdict>,
    pub(super) sealed: Sealed,
    /// Fixed from the first attempt that may have been published.
    pub(super) batch: ProducerBatch,
    pub(super) attempt: u32,
    pub(super) attempt_at: Instant,
    /// When the first attempt began that may have been published.
    pub(super) doubt_since: Option<Instant>,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    OnWire,
    Waiting { until: Instant },
}

impl Channel {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            hearing: Hearing::default(),
            queue: VecDeque::new(),
            sent: None,
            counts_spans: 0,
            listed: Listed::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.sent.is_none()
    }

    /// When it has something to send. A span in front of another one need not wait for more company.
    pub(super) fn due(&self, settings: &Settings) -> Option<Instant> {
        match &self.sent {
            Some(Sent { phase: Phase::Waiting { until }, .. }) => Some(*until),
            Some(Sent { phase: Phase::OnWire, .. }) => None,
            None => {
                let span = self.queue.front()?;
                Some(match span.why() {
                    _ if span.sealed || self.queue.len() > 1 => span.opened_at,
                    Some(Why::Unheard) => self.hearing.probe_at(span.opened_at),
                    _ => span.opened_at + settings.batch_age,
                })
            }
        }
    }

    /// When its unanswered batch becomes unknown, unless an attempt is under way.
    pub(super) fn expiry(&self) -> Option<Instant> {
        let sent = self.sent.as_ref().filter(|sent| sent.phase != Phase::OnWire)?;
        sent.retries_end()
    }

    /// The span that an event joins in full.
    pub(super) fn takes_full(&self, event: &Event, settings: &Settings) -> bool {
        self.queue.back().is_some_and(|span| span.takes_full(event, settings))
    }

    /// The span that an event joins as a count.
    pub(super) fn counts_span(&self, event: &Event, why: Why) -> Option<&Span> {
        self.queue.back().filter(|span| span.takes_count(event, why))
    }

    /// Whether nobody listens, and something asks again in time.
    pub(super) fn is_unheard(&self, now: Instant) -> bool {
        if self.is_idle() { self.hearing.is_unheard(now) } else { self.hearing.is_unheard_while_asking(now) }
    }

    /// Whether the event's data need not be sent. A state event's always is: with the counts that it ends, or whole.
    pub(super) fn withholds(&self, now: Instant, event: &Event) -> bool {
        if !self.is_unheard(now) || !self.hearing.is_fast(now) {
            return false;
        }
        let joins = self.counts_span(event, Why::Unheard).is_some();
        joins || (event.class != Class::State && self.queue.len() < UNHEARD_SPANS_MAX)
    }

    /// Adds the event to the last span, and answers by how much that grew.
    pub(super) fn push(&mut self, now: Instant, event: Event, settings: &Settings) -> (Receipt, Cost, Cost) {
        let is_fast = self.hearing.is_fast(now);
        self.hearing.handle_event(now);
        let span = self.queue.back_mut().expect("the caller has opened a span");
        let before = if span.len() == 0 { Cost::default() } else { span.cost() };
        let receipt = span.push(event, settings);
        span.is_fast = is_fast;
        (receipt, before, span.cost())
    }
}

impl Sent {
    pub(super) fn events(&self) -> u64 {
        self.sealed.content.len()
    }

    /// In any doubt there is an end to retries; a batch that surely was not published may always be tried again.
    pub(super) fn retries_end(&self) -> Option<Instant> {
        self.doubt_since.map(|since| since + RETRY_WINDOW)
    }

    /// Perhaps published already.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.phase == Phase::OnWire || self.doubt_since.is_some()
    }

    /// The earliest time at which the broker may have accepted it.
    pub(super) fn accepted_earliest(&self) -> Instant {
        self.doubt_since.unwrap_or(self.attempt_at)
    }
}
