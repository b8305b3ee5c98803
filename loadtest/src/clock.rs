//! One clock for publishers and receivers: microseconds since this process began.

use std::sync::LazyLock;
use std::time::Instant;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Both ends of a latency are taken here, in one process, so no two clocks have to agree. Never 0.
pub(crate) fn now_us() -> u64 {
    u64::try_from(ORIGIN.elapsed().as_micros()).expect("a process does not run for 500,000 years") + 1
}
