//! Whether anybody listens to a channel, as far as its answers tell, and whether it is fast enough for that to matter.

use crate::limits::{HEARING_AGE_MAX, PROBE_INTERVAL, SLOW_EVENTS_MAX, SLOW_WINDOW};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tally_protocol::Heard;

/// Payloads may be withheld from a channel that is fast, and that nobody listens to by a fresh answer.
///
/// What bounds the wait of a listener that attaches: payloads are withheld only while counts, which ask again, are on
/// their way or go out within [`PROBE_INTERVAL`] of the last answer's batch.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Nobody listened to the last batch; the broker took it at this time or later.
    unheard_since: Option<Instant>,
    /// When the newest events were accepted: as many as a slow channel may have.
    recent: VecDeque<Instant>,
}

impl Hearing {
    /// The broker took a batch, at `earliest` or later.
    pub(super) fn handle_answer(&mut self, earliest: Instant, heard: Heard) {
        self.unheard_since = (heard == Heard::No).then_some(earliest);
    }

    /// An event of the channel is accepted.
    pub(super) fn handle_event(&mut self, now: Instant) {
        self.recent.push_back(now);
        if self.recent.len() > SLOW_EVENTS_MAX {
            self.recent.pop_front();
        }
    }

    /// The last answer is none any more.
    pub(super) fn forget(&mut self) {
        self.unheard_since = None;
    }

    /// Whether an event of now is more than a slow channel may have.
    pub(super) fn is_fast(&self, now: Instant) -> bool {
        let oldest = self.recent.front().filter(|_| self.recent.len() == SLOW_EVENTS_MAX);
        oldest.is_some_and(|oldest| now.saturating_duration_since(*oldest) < SLOW_WINDOW)
    }

    /// Whether nobody listens, by an answer that holds while counts ask again.
    pub(super) fn is_unheard_while_asking(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < HEARING_AGE_MAX)
    }

    /// Whether nobody listens, by an answer so new that nobody need have asked again.
    pub(super) fn is_unheard(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < PROBE_INTERVAL)
    }

    /// When counts that began at `opened_at` are sent: at once where the answer has changed, for payloads may follow.
    pub(super) fn probe_at(&self, opened_at: Instant) -> Instant {
        self.unheard_since.map_or(opened_at, |since| opened_at.max(since + PROBE_INTERVAL))
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        self.unheard_since.map(|since| now.saturating_duration_since(since))
    }
}
