//! One client's socket: connected, broken off and read at the pace of the client's behaviour.

use super::Phase;
use crate::audience::Behaviour;
use mio::net::TcpStream;
use std::io::{ErrorKind, Read, Write};

/// How long a slow client collects the right to read; it makes the steps of its reading.
pub(super) const SLOW_STEP_US: u64 = 20_000;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Option<TcpStream>,
    /// The connection stands.
    pub(super) up: bool,
    /// It is in the list of those that may have something to read.
    pub(super) listed: bool,
    /// Bytes that a slow client may read, and when they were last added to.
    allowance: u64,
    allowed_us: u64,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes, and perhaps more are there.
    More(usize),
    /// So many bytes, and no more for now.
    All(usize),
    Ended(String),
}

/// Whether a client reads now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Reads(usize),
    /// Not before this time.
    Waits(u64),
}

impl Link {
    pub(super) fn new() -> Self {
        Self { socket: None, up: false, listed: false, allowance: 0, allowed_us: 0 }
    }

    /// How much this client reads at most now.
    pub(super) fn pace(
        &mut self,
        behaviour: Behaviour,
        phase: Phase,
        window_us: Option<u64>,
        now_us: u64,
    ) -> Pace {
        if phase != Phase::Running {
            return Pace::Reads(usize::MAX);
        }
        match behaviour {
            Behaviour::Stalled { from_us, for_us } => match window_us.map(|window_us| window_us + from_us) {
                Some(from_us) if (from_us..from_us + for_us).contains(&now_us) => {
                    Pace::Waits(from_us + for_us)
                }
                _ => Pace::Reads(usize::MAX),
            },
            Behaviour::Slow { bytes_per_s } => {
                let step = (bytes_per_s * SLOW_STEP_US / 1_000_000).max(1);
                let since_us = now_us.saturating_sub(self.allowed_us).min(2 * SLOW_STEP_US);
                let earned = bytes_per_s * since_us / 1_000_000;
                if earned > 0 {
                    self.allowance = (self.allowance + earned).min(2 * step);
                    self.allowed_us = now_us;
                }
                match usize::try_from(self.allowance).unwrap_or(usize::MAX) {
                    0 => Pace::Waits(now_us + SLOW_STEP_US),
                    bytes => Pace::Reads(bytes),
                }
            }
            Behaviour::Healthy | Behaviour::Flapping { .. } | Behaviour::Churning { .. } => {
                Pace::Reads(usize::MAX)
            }
        }
    }

    /// One read into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Got {
        let Some(socket) = &mut self.socket else { return Got::All(0) };
        match socket.read(buffer) {
            Ok(0) => Got::Ended("the server closed the socket".to_owned()),
            Ok(bytes) => {
                self.allowance = self.allowance.saturating_sub(bytes as u64);
                // Less than there was room for: the socket is empty, and the next bytes are a new edge.
                if bytes == buffer.len() { Got::More(bytes) } else { Got::All(bytes) }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Got::All(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Got::More(0),
            Err(error) => Got::Ended(error.to_string()),
        }
    }

    /// Writes what it can of `out`; what is left waits for the next edge.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        while !out.is_empty() {
            match socket.write(out) {
                Ok(bytes) => drop(out.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}
