//! When to come back after a lost connection: full jitter, inside the gateway's window where it gave one.

use crate::limits::RETRY_WINDOW_MAX;
use fastrand::Rng;
use std::time::Duration;

/// How a client comes back. The pause before the nth attempt in a row is random between 0 and `min(cap, base * 2^n)`,
/// n from 0; or random inside the window that the gateway named in `goodbye` or by Retry-After.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    base: Duration,
    cap: Duration,
    stable_after: Duration,
    attempts_max: Option<u32>,
}

impl Default for Reconnect {
    /// Base 250 ms, cap 20 s, stable after 10 s, attempts without end.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(20),
            stable_after: Duration::from_secs(10),
            attempts_max: None,
        }
    }
}

impl Reconnect {
    /// The first connection is the only one.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts_max: Some(0), ..Self::default() }
    }

    /// The longest pause before the first attempt; it doubles from attempt to attempt.
    #[must_use]
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// What the longest pause grows to.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// How long a connection must last before the attempts count from 0 again.
    #[must_use]
    pub fn stable_after(mut self, stable_after: Duration) -> Self {
        self.stable_after = stable_after;
        self
    }

    /// Attempts in a row without a stable connection in between. After them the client ends.
    #[must_use]
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts);
        self
    }

    pub(crate) fn is_stable(&self, lasted: Duration) -> bool {
        lasted >= self.stable_after
    }

    /// The pause before the attempt after `attempts` others in a row; `None` where they are used up.
    pub(crate) fn pause(&self, attempts: u32, window: Option<Window>, rng: &mut Rng) -> Option<Duration> {
        if self.attempts_max.is_some_and(|max| attempts >= max) {
            return None;
        }
        let window = window.unwrap_or_else(|| self.jitter(attempts));
        Some(window.pick(rng))
    }

    /// The pause before a broken channel is subscribed anew, after `times` others: none the first time.
    pub(crate) fn pause_of_channel(&self, times: u32, rng: &mut Rng) -> Duration {
        match times.checked_sub(1) {
            None => Duration::ZERO,
            Some(attempts) => self.jitter(attempts).pick(rng),
        }
    }

    fn jitter(&self, attempts: u32) -> Window {
        let doubled = 2u32.checked_pow(attempts).and_then(|factor| self.base.checked_mul(factor));
        Window { min: Duration::ZERO, max: doubled.map_or(self.cap, |pause| pause.min(self.cap)) }
    }
}

/// A span of time from now, to come back somewhere inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    min: Duration,
    max: Duration,
}

impl Window {
    /// As the gateway says it; both ends are cut to [`RETRY_WINDOW_MAX`], and a `max` below `min` counts as `min`.
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        let min = min.min(RETRY_WINDOW_MAX);
        Self { min, max: max.min(RETRY_WINDOW_MAX).max(min) }
    }

    fn pick(self, rng: &mut Rng) -> Duration {
        let span = u64::try_from((self.max - self.min).as_nanos()).unwrap_or(u64::MAX);
        self.min + Duration::from_nanos(rng.u64(0..=span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn full_jitter_doubles_up_to_the_cap_and_fills_its_span() {
        let policy = Reconnect::default().base(100 * MS).cap(1_000 * MS);
        let mut rng = Rng::with_seed(7);
        for (attempts, max) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (5, 1_000), (40, 1_000)] {
            let picks: Vec<_> = (0..500).map(|_| policy.pause(attempts, None, &mut rng).unwrap()).collect();
            assert!(picks.iter().all(|pick| *pick <= max * MS), "attempt {attempts}");
            assert!(
                picks.iter().any(|pick| *pick < max * MS / 10),
                "attempt {attempts}: the low end is used"
            );
            assert!(
                picks.iter().any(|pick| *pick > max * MS / 10 * 9),
                "attempt {attempts}: the high end is used"
            );
        }
    }

    #[test]
    fn the_gateways_window_is_kept_and_cut() {
        let policy = Reconnect::default().base(100 * MS).cap(1_000 * MS);
        let mut rng = Rng::with_seed(7);
        let hour = Duration::from_secs(3_600);
        let cases = [
            ((2_000 * MS, 9_000 * MS), (2_000 * MS, 9_000 * MS)),
            ((2_000 * MS, 1_000 * MS), (2_000 * MS, 2_000 * MS)),
            ((Duration::ZERO, Duration::ZERO), (Duration::ZERO, Duration::ZERO)),
            ((hour, 2 * hour), (RETRY_WINDOW_MAX, RETRY_WINDOW_MAX)),
        ];
        for ((min, max), (from, to)) in cases {
            for _ in 0..200 {
                let pick = policy.pause(0, Some(Window::new(min, max)), &mut rng).unwrap();
                assert!((from..=to).contains(&pick), "{min:?} to {max:?}: {pick:?}");
            }
        }
    }

    #[test]
    fn attempts_end() {
        let mut rng = Rng::with_seed(7);
        assert_eq!(Reconnect::never().pause(0, None, &mut rng), None);
        let policy = Reconnect::default().attempts_max(2);
        assert!(policy.pause(1, None, &mut rng).is_some());
        assert_eq!(policy.pause(2, None, &mut rng), None);
        let window = Some(Window::new(MS, MS));
        assert_eq!(policy.pause(2, window, &mut rng), None, "a window gives no further attempt");
    }
}
