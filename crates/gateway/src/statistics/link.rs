//! How the link to Redis stands, as the loop that keeps it last said; and the node's own figures.

use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tally_protocol::{UnixMs, UpstreamStatus};

/// No probe came back yet.
const NONE: u64 = u64::MAX;

/// Written by the loop that reconciles subscriptions, and by the task that reads the node's figures.
#[derive(Debug)]
pub(crate) struct Link {
    /// False with the embedded backplane, which has no link.
    is_there: AtomicBool,
    standing: Mutex<Standing>,
    reconnects: AtomicU64,
    lost: AtomicU64,
    probe_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Standing {
    is_up: bool,
    since: u64,
    reason: Option<String>,
}

/// As `redis` in a sample.
#[derive(Debug, Serialize)]
pub(crate) struct LinkFigures {
    pub(crate) up: bool,
    since: u64,
    reason: Option<String>,
    pub(crate) probe_ms: Option<f64>,
    reconnects_total: u64,
    lost_total: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            is_there: AtomicBool::new(false),
            standing: Mutex::default(),
            reconnects: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            probe_micros: AtomicU64::new(NONE),
        }
    }
}

impl Link {
    /// This gateway has a broker elsewhere.
    pub(crate) fn begin(&self, since: UnixMs) {
        self.is_there.store(true, Ordering::Relaxed);
        self.lock().since = since.get();
    }

    /// `reason` is for people; none while it is up.
    pub(crate) fn note(&self, status: UpstreamStatus, since: UnixMs, reason: Option<&str>) {
        let mut standing = self.lock();
        let is_up = status == UpstreamStatus::Up;
        if standing.is_up != is_up {
            standing.since = since.get();
        }
        standing.is_up = is_up;
        standing.reason = reason.filter(|_| !is_up).map(|reason| reason.chars().take(300).collect());
    }

    pub(crate) fn note_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_node(&self, lost: u64, probe: Option<Duration>) {
        self.lost.store(lost, Ordering::Relaxed);
        let micros = probe.and_then(|probe| u64::try_from(probe.as_micros()).ok()).unwrap_or(NONE);
        self.probe_micros.store(micros, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> Option<LinkFigures> {
        if !self.is_there.load(Ordering::Relaxed) {
            return None;
        }
        let standing = self.lock();
        let micros = self.probe_micros.load(Ordering::Relaxed);
        Some(LinkFigures {
            up: standing.is_up,
            since: standing.since,
            reason: standing.reason.clone(),
            probe_ms: (standing.is_up && micros != NONE).then(|| micros as f64 / 1e3),
            reconnects_total: self.reconnects.load(Ordering::Relaxed),
            lost_total: self.lost.load(Ordering::Relaxed),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
