//! What operators see of a connection beside what the hub knows: who it is, and what its socket took.

use crate::clock::unix_ms;
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;
use tally_fanout::Time;

/// Who is on the other end.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) addr: SocketAddr,
    /// Cut to [`crate::limits::USER_AGENT_MAX`] characters.
    pub(crate) user_agent: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct ConnFigures {
    /// As `hello` says it.
    pub(crate) name: String,
    pub(crate) caller: Caller,
    pub(crate) since_ms: u64,
    pub(crate) errors: Cell<u64>,
    bytes: Cell<u64>,
    /// When the last second ended, the bytes then, and what it was per second.
    turned_at: Cell<Time>,
    turned_bytes: Cell<u64>,
    rate: Cell<u64>,
}

impl ConnFigures {
    pub(crate) fn new(name: String, caller: Caller, now: Time) -> Self {
        Self {
            name,
            caller,
            since_ms: unix_ms().get(),
            errors: Cell::new(0),
            bytes: Cell::new(0),
            turned_at: Cell::new(now),
            turned_bytes: Cell::new(0),
            rate: Cell::new(0),
        }
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Called with each look at all connections; makes a rate once a second.
    pub(crate) fn turn(&self, now: Time) {
        let time = now.since(self.turned_at.get());
        if time < Duration::from_millis(900) {
            return;
        }
        let bytes = self.bytes.get();
        let came = bytes - self.turned_bytes.replace(bytes);
        self.rate.set((came as f64 / time.as_secs_f64()).round() as u64);
        self.turned_at.set(now);
    }

    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.rate.get()
    }
}
