//! A channel of the floor: the frames that somebody still lacks, one after the other, and who listens.

use super::websocket::{BINARY, write_frame};
use tally_protocol::SubscribeChannel;

/// Frames of one channel as one run of bytes. A position is the count of bytes since the channel began, so that a
/// socket's place is one number and everything that it lacks is one slice.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Position of the first byte still held.
    start: u64,
}

impl Frames {
    pub(super) fn push(&mut self, payload: &[u8]) {
        write_frame(&mut self.bytes, BINARY, payload);
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Everything from a position on that [`Self::holds`].
    pub(super) fn since(&self, at: u64) -> &[u8] {
        let skipped = usize::try_from(at - self.start).expect("the position is in memory");
        &self.bytes[skipped..]
    }

    pub(super) fn holds(&self, at: u64) -> bool {
        at >= self.start
    }

    /// Nobody lacks anything: the same warm memory takes what comes next.
    pub(super) fn clear(&mut self) {
        self.start = self.end();
        self.bytes.clear();
    }

    /// Forgets the older half where there is more than `bytes_max`. True where something was forgotten.
    pub(super) fn trim(&mut self, bytes_max: usize) -> bool {
        if self.bytes.len() <= bytes_max {
            return false;
        }
        let gone = self.bytes.len() - bytes_max / 2;
        self.bytes.drain(..gone);
        self.start += gone as u64;
        true
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) frames: Frames,
    pub(super) listeners: Vec<Listener>,
    /// Redis has said that the subscription took effect.
    pub(super) is_confirmed: bool,
    /// Who is answered when it has. At most one entry for each channel of a client's `subscribe` frame.
    pub(super) waiting: Vec<Waiting>,
    /// Something came since the sockets were last written to.
    pub(super) is_due: bool,
}

/// A socket that listens to a channel, and which of the socket's places is this channel's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listener {
    pub(super) socket: usize,
    pub(super) place: usize,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) socket: usize,
    /// Tells the socket from a later one with the same key.
    pub(super) serial: u64,
    pub(super) id: u64,
    pub(super) request: SubscribeChannel,
}

impl Channel {
    pub(super) fn new() -> Self {
        Self {
            frames: Frames::default(),
            listeners: Vec::new(),
            is_confirmed: false,
            waiting: Vec::new(),
            is_due: false,
        }
    }
}
