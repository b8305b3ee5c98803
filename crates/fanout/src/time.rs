//! Time as a value: microseconds since the shard started, told by the shell with every input.

use std::ops::Add;
use std::time::Duration;

/// A moment on the shard's own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(u64);

impl Time {
    /// Later than any moment that a shell will tell.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Zero where `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The first moment of the grid of `step_ms` that lies after this one.
    pub(crate) const fn next_on_grid(self, step_ms: u64) -> Self {
        let step = step_ms * 1_000;
        Self((self.0 / step + 1).saturating_mul(step))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
