//! One client's socket: bytes in flight, how much the kernel takes, and how fast the client reads.

use std::collections::VecDeque;

/// What the client holds of each channel of a frame once it has read as far as there.
pub(crate) type Received<T> = Vec<(tally_protocol::ChannelName, T)>;

#[derive(Debug)]
pub(crate) struct Socket<T> {
    /// Bytes that the kernel holds before a write blocks.
    capacity: u64,
    /// Bytes per second that the client reads.
    speed: u64,
    stalled_until: u64,
    level: f64,
    at: u64,
    written: f64,
    unread: VecDeque<(f64, Received<T>)>,
    pub(crate) is_blocked: bool,
}

impl<T> Socket<T> {
    pub(crate) fn new(capacity: u64, speed: u64, now: u64) -> Self {
        Self {
            capacity,
            speed,
            stalled_until: 0,
            level: 0.0,
            at: now,
            written: 0.0,
            unread: VecDeque::new(),
            is_blocked: false,
        }
    }

    pub(crate) fn write(&mut self, bytes: u64, received: Received<T>) {
        self.level += bytes as f64;
        self.written += bytes as f64;
        self.unread.push_back((self.written, received));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.level > self.capacity as f64
    }

    pub(crate) fn stall(&mut self, now: u64, until: u64) {
        self.read(now);
        self.stalled_until = until;
    }

    pub(crate) fn set_speed(&mut self, now: u64, speed: u64) {
        self.read(now);
        self.stalled_until = self.stalled_until.min(now);
        self.speed = speed;
    }

    /// Lets time pass; answers what the client has read by now.
    pub(crate) fn read(&mut self, now: u64) -> Vec<Received<T>> {
        let from = self.at.max(self.stalled_until.min(now));
        self.level = (self.level - (now - from) as f64 * self.speed as f64 / 1e6).max(0.0);
        self.at = now;
        let read = self.written - self.level;
        let mut frames = Vec::new();
        while self.unread.front().is_some_and(|(end, _)| *end <= read + 0.5) {
            frames.push(self.unread.pop_front().expect("there is a first").1);
        }
        frames
    }

    /// When a blocked socket will have taken everything.
    pub(crate) fn drains_at(&self) -> u64 {
        let over = (self.level - self.capacity as f64).max(0.0);
        self.at.max(self.stalled_until) + (over * 1e6 / self.speed as f64).ceil() as u64 + 1
    }
}
