//! How fast events go out: not faster than asked for, and not faster than the gateway takes them.
//!
//! Law 3: the producer's buffer is kept half empty by waiting, so that no event becomes a count for want of room.

use super::position::Position;
use std::collections::VecDeque;
use std::time::Duration;
use tally_producer::{Producer, Receipt, limits};
use tokio::time::{Instant, sleep_until};

/// Of the producer's buffer. More: no event is handed over until the oldest have their outcome.
const BUFFER_BYTES_MAX: usize = limits::BUFFER_BYTES_MAX / 2;
/// Events, and bytes of input, from one receipt that is kept to the next.
const KEPT_EVERY_EVENTS: u64 = 64;
const KEPT_EVERY_BYTES: u64 = 256 * 1024;
/// What may be made up for after a wait; the rest of a delay stays.
const BURST: Duration = Duration::from_millis(100);

/// Even distances in time between events.
#[derive(Debug)]
pub(super) struct Metronome {
    distance: Duration,
    next_at: Instant,
}

impl Metronome {
    /// `rate` in events per second.
    pub(super) fn new(rate: Rate) -> Self {
        Self { distance: Duration::from_secs_f64(1.0 / rate.0), next_at: Instant::now() }
    }

    /// Waits for the next event's time.
    pub(super) async fn turn(&mut self) {
        let now = Instant::now();
        if self.next_at > now {
            sleep_until(self.next_at).await;
        } else if now - self.next_at > BURST {
            self.next_at = now;
        }
        self.next_at += self.distance;
    }
}

/// Events per second, from one in a day to a million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate(f64);

impl std::str::FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.parse().ok().filter(|rate| (1.0 / 86_400.0..=1e6).contains(rate));
        rate.map(Self).ok_or("give events per second, at most 1000000")
    }
}

/// A few receipts of what was handed over, oldest first.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    kept: VecDeque<Receipt>,
    last: Option<Receipt>,
    events_since: u64,
    bytes_since: u64,
    pub(super) position: Position,
}

impl Receipts {
    /// Waits until the producer's buffer has room.
    pub(super) async fn wait_for_room(&mut self, producer: &Producer) {
        while producer.stats().buffer_bytes > BUFFER_BYTES_MAX {
            let Some(oldest) = self.kept.front().or(self.last.as_ref()) else { return };
            let outcome = oldest.outcome().await;
            self.position.handle_outcome(&outcome);
            if self.kept.pop_front().is_none() {
                self.last = None;
            }
        }
    }

    /// `bytes` of input gave this event.
    pub(super) fn keep(&mut self, receipt: Receipt, bytes: u64) {
        let is_first = self.last.is_none() && self.kept.is_empty();
        self.events_since += 1;
        self.bytes_since += bytes;
        if is_first || self.events_since >= KEPT_EVERY_EVENTS || self.bytes_since >= KEPT_EVERY_BYTES {
            self.kept.push_back(receipt.clone());
            (self.events_since, self.bytes_since) = (0, 0);
            self.take_answered();
        }
        self.last = Some(receipt);
    }

    /// Where the events are, as far as it is known by now.
    pub(super) fn into_position(mut self) -> Position {
        self.take_answered();
        for receipt in self.kept.iter().chain(&self.last) {
            if let Some(outcome) = receipt.peek() {
                self.position.handle_outcome(&outcome);
            }
        }
        self.position
    }

    fn take_answered(&mut self) {
        while let Some(outcome) = self.kept.front().and_then(Receipt::peek) {
            self.position.handle_outcome(&outcome);
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_events_per_second() {
        for (text, rate) in [("1", 1.0), ("0.5", 0.5), ("1000000", 1e6)] {
            assert_eq!(text.parse(), Ok(Rate(rate)));
        }
        for text in ["0", "-1", "nan", "inf", "", "x", "1e-9", "2e6"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
