//! What this process takes of the machine: CPU time and resident memory, as Linux says it; elsewhere nothing.

use std::fs;
use std::time::Duration;

/// Ticks of `/proc/self/stat` per second: `USER_HZ`, 100 on every architecture that Rust's standard library runs on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of all threads since the start.
pub(super) fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, and may hold anything; utime and stime are the 14th and 15th.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Bytes of memory that are there.
pub(super) fn rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn linux_says_both() {
        assert!(super::rss_bytes().unwrap() > 100_000);
        let before = super::cpu_time().unwrap();
        let mut n = 0u64;
        while super::cpu_time().unwrap() == before {
            n = std::hint::black_box(n + 1);
        }
    }
}
