//! The link to the broker as the attempts show it: how long to wait, and what to tell a person.

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, TROUBLE_FAILURES};
use crate::notice::Notice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One for all channels: while the address cannot be reached at all, a single attempt at a time probes it.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Probes that began since somebody was last reached.
    unreachable: u32,
    /// No attempt begins before this.
    gate: Option<Instant>,
    failures: u32,
    failing_since: Option<Instant>,
}

impl Link {
    /// When the next attempt may begin, where it may not at once.
    pub(super) fn gate(&self) -> Option<Instant> {
        self.gate
    }

    /// An attempt begins. Where it is a probe, the next one waits for longer.
    pub(super) fn handle_sent(&mut self, now: Instant, random: &mut fastrand::Rng) {
        if self.gate.is_some() {
            self.unreachable = self.unreachable.saturating_add(1);
            self.gate = Some(now + backoff(random, self.unreachable));
        }
    }

    /// Many attempts may fail together; they are one failure of the link.
    pub(super) fn handle_unreachable(&mut self, now: Instant, random: &mut fastrand::Rng) {
        if self.gate.is_none() {
            self.unreachable = 1;
            self.gate = Some(now + backoff(random, 1));
        }
    }

    pub(super) fn handle_reached(&mut self) {
        self.unreachable = 0;
        self.gate = None;
    }

    pub(super) fn handle_failure(&mut self, now: Instant, reason: &Arc<str>) -> Option<Notice> {
        self.failing_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        (self.failures == TROUBLE_FAILURES).then(|| Notice::Away { reason: Arc::clone(reason) })
    }

    pub(super) fn handle_success(&mut self, now: Instant) -> Option<Notice> {
        let since = self.failing_since.take();
        let failures = std::mem::take(&mut self.failures);
        let since = since.filter(|_| failures >= TROUBLE_FAILURES)?;
        Some(Notice::Back { after: now.saturating_duration_since(since) })
    }
}

/// Full jitter: anything from nothing to a span that doubles with each failure.
pub(super) fn backoff(random: &mut fastrand::Rng, failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let span_ms = u64::try_from(doubled.min(BACKOFF_MAX).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.u64(0..=span_ms))
}
