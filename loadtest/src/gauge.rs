//! What receivers and publishers count while they work, for the sampler to read once a second.
//!
//! Each receiving thread has one gauge and holds its lock for a round of its loop, so that counting costs no atomic
//! operation per frame; the sampler waits for a round at most. Bounded: a histogram of fixed size, a few violations
//! in words, 18 kinds of rung changes, and as many
//! shards as [`SHARDS_MAX`].

use crate::result::{Delivered, Percentiles};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Latencies above are told as this one; a minute is no latency any more.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Shards of one gateway that are told apart. More: their connections are not counted by shard.
pub(crate) const SHARDS_MAX: usize = 1_024;
/// Violations kept in words. More are only counted.
const VIOLATIONS_KEPT: usize = 20;

#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) delivered: Delivered,
    /// Since the sampler last took them: of clients that are healthy, and of all others.
    pub(crate) healthy: Histogram<u64>,
    pub(crate) others: Histogram<u64>,
    /// Subscriptions by the rung last told: full, counts, summary.
    pub(crate) rungs: [u64; 3],
    pub(crate) connections: u64,
    /// Connections that said hello, by gateway and by the shard that it put them on.
    pub(crate) shards: BTreeMap<(SocketAddr, usize), u64>,
    /// Subscriptions that are attached.
    pub(crate) attached: u64,
    /// Subscriptions that are not at the end yet, once the end is known.
    pub(crate) behind: u64,
    pub(crate) frames_checked: u64,
    pub(crate) resets: u64,
    pub(crate) rung_changes: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) violations_n: u64,
    /// Connections that ended though nobody here wanted it, and the first such reasons.
    pub(crate) lost_connections: u64,
    pub(crate) lost_because: Vec<String>,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        Self {
            delivered: Delivered::default(),
            healthy: histogram(),
            others: histogram(),
            rungs: [0; 3],
            connections: 0,
            shards: BTreeMap::new(),
            attached: 0,
            behind: u64::MAX,
            frames_checked: 0,
            resets: 0,
            rung_changes: BTreeMap::new(),
            violations: Vec::new(),
            violations_n: 0,
            lost_connections: 0,
            lost_because: Vec::new(),
        }
    }

    pub(crate) fn violation(&mut self, words: String) {
        self.violations_n += 1;
        if self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(words);
        }
    }

    pub(crate) fn lost_connection(&mut self, because: String) {
        self.lost_connections += 1;
        if self.lost_because.len() < VIOLATIONS_KEPT {
            self.lost_because.push(because);
        }
    }

    pub(crate) fn rung_change(&mut self, words: String) {
        *self.rung_changes.entry(words).or_default() += 1;
    }

    pub(crate) fn latency(&mut self, healthy: bool, us: u64) {
        let histogram = if healthy { &mut self.healthy } else { &mut self.others };
        histogram.saturating_record(us.max(1));
    }
}

/// Three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order, and the digits few")
}

pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    if histogram.is_empty() {
        return Percentiles::default();
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64;
    Percentiles {
        n: histogram.len(),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: histogram.max() as f64,
    }
}

/// What publishers and receivers tell each other about one channel of a closed loop.
#[derive(Debug)]
pub(crate) struct Loop {
    /// By receiving thread, then channel: the cursor of the slowest healthy listener; `u64::MAX` where there is none.
    slowest: Vec<Vec<AtomicU64>>,
    /// By publishing thread: whether it waits for a cursor to move.
    waiting: Vec<AtomicBool>,
    wake: Vec<tokio::sync::Notify>,
}

impl Loop {
    pub(crate) fn new(receivers: usize, publishers: usize, channels: usize) -> Self {
        let none = |_| (0..channels).map(|_| AtomicU64::new(u64::MAX)).collect();
        Self {
            slowest: (0..receivers).map(none).collect(),
            waiting: (0..publishers).map(|_| AtomicBool::new(false)).collect(),
            wake: (0..publishers).map(|_| tokio::sync::Notify::new()).collect(),
        }
    }

    pub(crate) fn tell(&self, receiver: usize, channel: usize, slowest: u64) {
        self.slowest[receiver][channel].store(slowest, Ordering::SeqCst);
    }

    /// Wakes the publishers that wait.
    pub(crate) fn told(&self) {
        for (waiting, wake) in self.waiting.iter().zip(&self.wake) {
            if waiting.load(Ordering::SeqCst) && waiting.swap(false, Ordering::SeqCst) {
                wake.notify_one();
            }
        }
    }

    /// The cursor of the slowest healthy listener of all; `None` where nobody has to be waited for.
    pub(crate) fn slowest(&self, channel: usize) -> Option<u64> {
        let cursors = self.slowest.iter().map(|channels| channels[channel].load(Ordering::SeqCst));
        cursors.min().filter(|cursor| *cursor != u64::MAX)
    }

    /// Announces that a publisher will wait; it looks once more afterwards, so that no wake is missed.
    pub(crate) fn will_wait(&self, publisher: usize) {
        self.waiting[publisher].store(true, Ordering::SeqCst);
    }

    pub(crate) fn wake(&self, publisher: usize) -> &tokio::sync::Notify {
        &self.wake[publisher]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_all_threads_is_waited_for_and_wakes_who_waits() {
        let closed = Loop::new(2, 1, 2);
        assert_eq!(closed.slowest(0), None);
        closed.tell(0, 0, 7);
        closed.tell(1, 0, 5);
        assert_eq!((closed.slowest(0), closed.slowest(1)), (Some(5), None));
        closed.will_wait(0);
        closed.told();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Told before it waits: the wait ends at once.
        runtime.block_on(closed.wake(0).notified());
        assert!(!closed.waiting[0].load(Ordering::SeqCst));
    }
}
