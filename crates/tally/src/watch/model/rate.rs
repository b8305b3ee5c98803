//! How fast a channel is: what was booked in each of the last seconds, by kind.
//!
//! One bucket per second, [`BUCKETS_MAX`] of them; a bucket holds a count per kind (the newest ones) or one sum.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tally_client::{Rung, Totals};

/// Seconds of history, for the picture of the rate.
pub(in crate::watch) const BUCKETS_MAX: usize = 60;
/// Seconds with a count per kind: what the slowest rung needs.
const KINDS_MAX: usize = 15;

#[derive(Debug)]
pub(in crate::watch) struct Rate {
    since: Instant,
    /// The second of the last bucket, counted from `since`.
    second: u64,
    /// The newest is last, and still growing.
    kinds: VecDeque<Totals>,
    sums: VecDeque<u64>,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, second: 0, kinds: VecDeque::from([Totals::new()]), sums: VecDeque::from([0]) }
    }

    pub(super) fn add(&mut self, span: &Totals, now: Instant) {
        self.advance(now);
        if let (Some(kinds), Some(sum)) = (self.kinds.back_mut(), self.sums.back_mut()) {
            kinds.add_all(span);
            *sum += span.sum();
        }
    }

    /// Opens the buckets up to now; the oldest make room.
    pub(super) fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.since).as_secs();
        let new = second.saturating_sub(self.second);
        for _ in 0..new.min(BUCKETS_MAX as u64) {
            self.kinds.push_back(Totals::new());
            self.sums.push_back(0);
            if self.kinds.len() > KINDS_MAX {
                self.kinds.pop_front();
            }
            if self.sums.len() > BUCKETS_MAX {
                self.sums.pop_front();
            }
        }
        self.second = self.second.max(second);
    }

    /// Events per second of all kinds.
    pub(in crate::watch) fn sum(&self, rung: Rung, now: Instant) -> f64 {
        self.over(rung, now, Totals::sum)
    }

    /// Events per second of one kind.
    pub(in crate::watch) fn of(&self, kind: &str, rung: Rung, now: Instant) -> f64 {
        self.over(rung, now, |span| span.get(kind))
    }

    /// Events in each of the last seconds that are over, the oldest first.
    pub(in crate::watch) fn history(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.sums.iter().copied().take(self.sums.len() - 1)
    }

    /// Over a window that holds several frames of the rung: the seconds that are over, and the present one.
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    fn over(&self, rung: Rung, now: Instant, count: impl Fn(&Totals) -> u64) -> f64 {
        let buckets = if rung == Rung::Summary { KINDS_MAX } else { 4 }.min(self.kinds.len());
        let n: u64 = self.kinds.iter().rev().take(buckets).map(count).sum();
        let begun = self.since + Duration::from_secs(self.second);
        let span = now.saturating_duration_since(begun).as_secs_f64() + (buckets - 1) as f64;
        n as f64 / span.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_client::Kind;

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let span = [(&Kind::new("ok").unwrap(), 50)].into_iter().collect::<Totals>();
        let mut rate = Rate::new(start);
        for step in 0..100 {
            rate.add(&span, at(step * 100));
        }
        let now = at(9_900);
        assert!((rate.sum(Rung::Full, now) - 500.0).abs() < 15.0, "{}", rate.sum(Rung::Full, now));
        assert!((rate.of("ok", Rung::Summary, now) - 500.0).abs() < 15.0);
        assert!(rate.of("failed", Rung::Full, now) <= 0.0);
        assert_eq!(rate.history().collect::<Vec<_>>(), [500; 9]);
        rate.advance(at(200_000));
        assert!(rate.sum(Rung::Summary, at(200_000)) <= 0.0);
        assert_eq!(rate.history().count(), BUCKETS_MAX - 1);
    }
}
