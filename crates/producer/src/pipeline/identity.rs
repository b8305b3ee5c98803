//! Who publishes to a channel, and the number of its next batch.

use crate::limits::IDENTITY_AGE_MAX;
use std::time::Instant;
use tally_backplane::ProducerBatch;
use tally_protocol::ProducerId;

/// A producer id (name and random part) with its numbering, of one channel.
///
/// The random part is drawn per channel, not for the producer as a whole: the broker keeps numbers per channel, and
/// doubt about one channel's batch says nothing about the others. Their unanswered batches must keep the id that
/// they were sent with, or their retries would be new batches, published twice.
#[derive(Debug)]
pub(super) struct Identity {
    id: ProducerId,
    next: u64,
    /// The broker remembers the id for at least 120 s from here.
    accepted_at: Option<Instant>,
}

impl Identity {
    pub(super) fn draw(name: &str, random: &mut fastrand::Rng) -> Self {
        let id = format!("{name}-{:016x}", random.u64(..));
        let id = ProducerId::new(&id).expect("the name was checked, and hexadecimal digits are allowed");
        Self { id, next: 1, accepted_at: None }
    }

    /// The broker may have forgotten the id by the time that this batch is through with its retries.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.accepted_at.is_some_and(|at| now.saturating_duration_since(at) >= IDENTITY_AGE_MAX)
    }

    pub(super) fn next_batch(&self) -> ProducerBatch {
        ProducerBatch { producer: self.id.clone(), number: self.next }
    }

    /// The batch numbered last was accepted, at `earliest` or later.
    pub(super) fn handle_accepted(&mut self, earliest: Instant) {
        self.next += 1;
        self.accepted_at = Some(earliest);
    }
}
