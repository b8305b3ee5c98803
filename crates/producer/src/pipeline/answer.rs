//! What an attempt came back with, and what follows from it.

use super::channel::Phase;
use super::link::backoff;
use super::span::Sealed;
use super::{Pipeline, Ticket};
use crate::limits::RETRY_AFTER_MAX;
use crate::receipt::SpanOutcome;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_backplane::Content;
use tally_protocol::{ChannelName, Published};

/// Each variant is a different thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Published(Published),
    /// Surely not published by this attempt, and it would be refused again.
    Refused {
        code: Arc<str>,
        message: Arc<str>,
    },
    /// The broker's numbering of this producer is not ours.
    NumberRefused {
        message: Arc<str>,
    },
    /// Surely not published by this attempt; the broker may take it later.
    Unavailable {
        message: Arc<str>,
        retry_after: Option<Duration>,
    },
    /// Surely not published by this attempt: there was nobody to talk to.
    Unreachable {
        message: Arc<str>,
    },
    /// It was sent and no answer came, or none that could be understood.
    Perhaps {
        message: Arc<str>,
    },
}

impl Pipeline {
    /// Takes the answer to an attempt. An answer to any but the channel's current attempt changes nothing.
    pub(crate) fn handle_answer(&mut self, now: Instant, ticket: &Ticket, answer: &Answer) {
        let sent = self.channels.get(&ticket.channel).and_then(|channel| channel.sent.as_ref());
        let Some(sent) = sent.filter(|sent| {
            sent.phase == Phase::OnWire && sent.span_no == ticket.span_no && sent.attempt == ticket.attempt
        }) else {
            return;
        };
        let in_doubt = sent.doubt_since.is_some();
        let outcome = match answer {
            Answer::Published(published) => published_outcome(published, &sent.sealed),
            Answer::Refused { code, message } if !in_doubt => {
                SpanOutcome::Refused { code: Arc::clone(code), message: Arc::clone(message) }
            }
            Answer::Refused { message, .. } => {
                let reason = format!("an earlier attempt was not answered, this one was refused: {message}");
                SpanOutcome::Unknown { reason: reason.into() }
            }
            Answer::NumberRefused { message } => SpanOutcome::Unknown { reason: Arc::clone(message) },
            Answer::Unavailable { .. } | Answer::Unreachable { .. } | Answer::Perhaps { .. } => {
                return self.handle_failure(now, &ticket.channel, answer);
            }
        };
        self.on_wire -= 1;
        self.link.handle_reached();
        if matches!(answer, Answer::Published(_)) {
            let notice = self.link.handle_success(now);
            self.notices.extend(notice);
        }
        self.settle(now, &ticket.channel, outcome);
    }

    /// The batch has no result: it is tried again, unless it is in doubt for too long.
    fn handle_failure(&mut self, now: Instant, name: &ChannelName, answer: &Answer) {
        self.on_wire -= 1;
        let channel = self.channels.get_mut(name).expect("the caller has found it");
        let sent = channel.sent.as_mut().expect("the caller has found it");
        let jitter = backoff(&mut self.random, sent.attempt);
        let (message, wait) = match answer {
            Answer::Unavailable { message, retry_after } => {
                self.link.handle_reached();
                (message, retry_after.unwrap_or_default().min(RETRY_AFTER_MAX) + jitter)
            }
            // The link has its own wait, for all channels together.
            Answer::Unreachable { message } => {
                self.link.handle_unreachable(now, &mut self.random);
                (message, Duration::ZERO)
            }
            Answer::Perhaps { message } => {
                sent.doubt_since.get_or_insert(sent.attempt_at);
                (message, jitter)
            }
            Answer::Published(_) | Answer::Refused { .. } | Answer::NumberRefused { .. } => return,
        };
        sent.phase = Phase::Waiting { until: now + wait };
        let notice = self.link.handle_failure(now, message);
        self.notices.extend(notice);
        if sent.retries_end().is_some_and(|end| now >= end) {
            let reason = Arc::clone(message);
            return self.settle(now, name, SpanOutcome::Unknown { reason });
        }
        self.agenda.relist(now, name, channel, &self.settings);
    }
}

/// An answer that covers another number of events is no account of this batch.
fn published_outcome(published: &Published, sealed: &Sealed) -> SpanOutcome {
    let span = (published.to.get() + 1).saturating_sub(published.from.get());
    if span != sealed.content.len() || published.from.get() == 0 {
        let events = sealed.content.len();
        let reason = format!("{} to {} was answered to {events} events", published.from, published.to);
        return SpanOutcome::Unknown { reason: reason.into() };
    }
    match &*sealed.content {
        Content::Events(_) => SpanOutcome::Full(published.clone()),
        Content::Counts(counts) => {
            SpanOutcome::Counted { published: published.clone(), why: counts.why(), carried: sealed.carried }
        }
    }
}
