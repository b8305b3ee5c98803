//! The two clocks: a monotonic one that drives the hub, and the wall clock that only appears in frames.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tally_fanout::Time;
use tally_protocol::UnixMs;

/// Microseconds since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        Time::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When `time` is, for a timer.
    pub(crate) fn instant(self, time: Time) -> Instant {
        // A moment too far away to be an instant is as good as an hour: timers are set anew after each turn.
        let since = time.since(Time::default()).min(self.0.elapsed() + std::time::Duration::from_secs(3_600));
        self.0 + since
    }
}

pub(crate) fn unix_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
