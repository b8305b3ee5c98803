//! A token bucket: what one client may do, without a timer of its own.

use std::time::Duration;
use tally_fanout::Time;

/// Tokens as whole numbers of micro-tokens, so that nothing is lost to rounding.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    tokens: u64,
    depth: u64,
    /// Micro-tokens per microsecond times 10^6, that is millionths of a token per second.
    rate: u64,
    filled_at: Time,
}

const ONE: u64 = 1_000_000;

impl Bucket {
    /// `depth` tokens at once, and one more every `interval`.
    pub(crate) fn new(depth: u64, interval: Duration, now: Time) -> Self {
        let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
        let depth = depth.saturating_mul(ONE);
        Self { tokens: depth, depth, rate: (ONE * ONE / micros).max(1), filled_at: now }
    }

    /// False: there is none.
    pub(crate) fn take(&mut self, now: Time) -> bool {
        self.fill(now);
        if self.tokens < ONE {
            return false;
        }
        self.tokens -= ONE;
        true
    }

    /// How long until there is one; zero if there is.
    pub(crate) fn wait(&mut self, now: Time) -> Duration {
        self.fill(now);
        let missing = ONE.saturating_sub(self.tokens);
        Duration::from_micros((missing as u128 * ONE as u128).div_ceil(self.rate as u128) as u64)
    }

    fn fill(&mut self, now: Time) {
        let micros = now.since(self.filled_at).as_micros();
        let fresh = micros * u128::from(self.rate) / u128::from(ONE);
        if fresh > 0 {
            self.filled_at = now;
            self.tokens =
                u64::try_from(fresh).unwrap_or(u64::MAX).saturating_add(self.tokens).min(self.depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let at = Time::from_micros;
        let mut bucket = Bucket::new(3, Duration::from_millis(10), at(0));
        assert_eq!((0..9).filter(|_| bucket.take(at(0))).count(), 3);
        assert_eq!(bucket.wait(at(0)), Duration::from_millis(10));
        assert!(!bucket.take(at(9_000)));
        assert!(bucket.take(at(10_000)));
        assert!(!bucket.take(at(10_000)));
        assert_eq!((0..9).filter(|_| bucket.take(at(10_000_000))).count(), 3);
    }
}
