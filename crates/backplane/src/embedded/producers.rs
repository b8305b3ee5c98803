//! What one channel remembers of its producers: the last number of each with its result, in two generations.
//!
//! A generation lasts [`PRODUCER_MEMORY`] and expires whole, one later: so each record lives at least that long, and
//! nothing has to be timed on its own. Bounded by [`PRODUCERS_MAX`] over both generations.

use crate::limits::{PRODUCER_MEMORY, PRODUCERS_MAX};
use crate::{ProducerBatch, Refusal};
use std::collections::HashMap;
use tally_protocol::{ProducerId, Published};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Producers {
    /// When the current generation began.
    since: Instant,
    current: HashMap<ProducerId, Remembered>,
    previous: HashMap<ProducerId, Remembered>,
}

#[derive(Debug, Clone)]
struct Remembered {
    number: u64,
    kinds: Fingerprint,
    result: Published,
}

/// Stands for the kinds of a batch with their counts, which a retry must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) u64);

/// What a batch is to the channel.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Published before, with this result.
    Repeated(Published),
    /// From a producer of which something is remembered.
    Next,
    /// From a producer of which nothing is remembered.
    First,
}

impl Producers {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, current: HashMap::new(), previous: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// Lets generations expire; answers how many records went.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.len();
        let age = now.duration_since(self.since);
        if age >= 2 * PRODUCER_MEMORY {
            self.current = HashMap::new();
        }
        if age >= PRODUCER_MEMORY {
            self.previous = std::mem::take(&mut self.current);
            self.since = if self.previous.is_empty() { now } else { self.since + PRODUCER_MEMORY };
        }
        before - self.len()
    }

    /// When the next records will have expired; `None` where there are none.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        match (self.previous.is_empty(), self.current.is_empty()) {
            (false, _) => Some(self.since + PRODUCER_MEMORY),
            (true, false) => Some(self.since + 2 * PRODUCER_MEMORY),
            (true, true) => None,
        }
    }

    /// Whether the batch's number fits. Changes nothing.
    pub(super) fn judge(&self, batch: &ProducerBatch, kinds: Fingerprint) -> Result<Judgement, Refusal> {
        let given = batch.number;
        let record = self.current.get(&batch.producer).or_else(|| self.previous.get(&batch.producer));
        let Some(last) = record else {
            if given != 1 {
                return Err(Refusal::BatchNumber { given, expected: 1, repeatable: None });
            }
            if self.len() >= PRODUCERS_MAX {
                return Err(Refusal::TooManyProducers(PRODUCERS_MAX));
            }
            return Ok(Judgement::First);
        };
        if given == last.number {
            if kinds != last.kinds {
                return Err(Refusal::ChangedBatch(given));
            }
            return Ok(Judgement::Repeated(last.result.clone()));
        }
        let expected = last.number.saturating_add(1);
        if given != expected {
            return Err(Refusal::BatchNumber { given, expected, repeatable: Some(last.number) });
        }
        Ok(Judgement::Next)
    }

    /// Remembers a batch that was judged [`Judgement::Next`] or [`Judgement::First`].
    pub(super) fn remember(&mut self, batch: ProducerBatch, kinds: Fingerprint, result: Published) {
        self.previous.remove(&batch.producer);
        self.current.insert(batch.producer, Remembered { number: batch.number, kinds, result });
    }

    #[cfg(feature = "conformance")]
    pub(super) fn forget(&mut self) -> usize {
        let gone = self.len();
        self.current = HashMap::new();
        self.previous = HashMap::new();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tally_protocol::{Epoch, Heard, Seq};

    fn remember(producers: &mut Producers, name: &str) {
        let batch = ProducerBatch { producer: ProducerId::new(name).unwrap(), number: 1 };
        let epoch = Epoch::new("e").unwrap();
        let result = Published { epoch, from: Seq::ZERO.next(), to: Seq::ZERO.next(), heard: Heard::No };
        producers.remember(batch, Fingerprint(1), result);
    }

    #[test]
    fn generations_expire_whole_one_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut producers = Producers::new(start);
        remember(&mut producers, "early");
        assert_eq!((producers.expire(at(119)), producers.next_expiry()), (0, Some(at(240))));
        assert_eq!((producers.expire(at(120)), producers.next_expiry()), (0, Some(at(240))));
        remember(&mut producers, "late");
        assert_eq!((producers.expire(at(239)), producers.len()), (0, 2));
        assert_eq!((producers.expire(at(240)), producers.next_expiry()), (1, Some(at(360))));
        assert_eq!((producers.expire(at(360)), producers.next_expiry()), (1, None));
    }

    #[test]
    fn both_generations_expire_at_once_after_a_long_rest() {
        let start = Instant::now();
        let mut producers = Producers::new(start);
        remember(&mut producers, "a");
        assert_eq!(producers.expire(start + PRODUCER_MEMORY), 0);
        remember(&mut producers, "b");
        assert_eq!(producers.expire(start + 3 * PRODUCER_MEMORY), 2);
        remember(&mut producers, "c");
        assert_eq!(producers.next_expiry(), Some(start + 5 * PRODUCER_MEMORY), "a generation begins anew");
    }
}
