//! What the clients of one receiving thread share: names, known frames, cursors of the closed loop, closed accounts.

use crate::account::Account;
use crate::books;
use crate::known::Cache;
use crate::result::Balance;
use std::collections::HashMap;
use std::sync::Arc;
use tally_protocol::{ChannelName, TickMs};

/// What the other end speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Gateway,
    /// Binary frames of one record each, without an account.
    Floor,
}

/// What every subscription asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) max_rate: Option<u64>,
    pub(crate) tick_ms: TickMs,
    pub(crate) tail: bool,
}

#[derive(Debug)]
pub(super) struct Hall {
    pub(super) dialect: Dialect,
    pub(super) ask: Ask,
    pub(super) channels: Arc<[ChannelName]>,
    numbers: HashMap<ChannelName, usize>,
    pub(super) cache: Cache,
    /// Accounts that ended before the run did.
    pub(super) retired: Balance,
    /// By channel: the cursors of its healthy listeners, by slot.
    cursors: Vec<Vec<u64>>,
    moved: Vec<bool>,
    to_tell: Vec<usize>,
}

impl Hall {
    pub(super) fn new(dialect: Dialect, ask: Ask, channels: Arc<[ChannelName]>, cache_bytes: usize) -> Self {
        let numbers = channels.iter().enumerate().map(|(number, name)| (name.clone(), number)).collect();
        Self {
            dialect,
            ask,
            numbers,
            cache: Cache::new(channels.len(), cache_bytes),
            retired: Balance::default(),
            cursors: vec![Vec::new(); channels.len()],
            moved: vec![false; channels.len()],
            to_tell: Vec::new(),
            channels,
        }
    }

    pub(super) fn number_of(&self, channel: &str) -> Option<usize> {
        self.numbers.get(channel).copied()
    }

    /// A place for a healthy listener's cursor.
    pub(super) fn slot(&mut self, channel: usize) -> usize {
        self.cursors[channel].push(0);
        self.cursors[channel].len() - 1
    }

    pub(super) fn cursor_moved(&mut self, channel: usize, slot: usize, cursor: u64) {
        self.cursors[channel][slot] = cursor;
        if !self.moved[channel] {
            self.moved[channel] = true;
            self.to_tell.push(channel);
        }
    }

    /// Channels whose slowest cursor may have moved since the last call, with that cursor.
    pub(super) fn tell_slowest(&mut self, mut tell: impl FnMut(usize, u64)) -> bool {
        let any = !self.to_tell.is_empty();
        for channel in self.to_tell.drain(..) {
            self.moved[channel] = false;
            if let Some(slowest) = self.cursors[channel].iter().min() {
                tell(channel, *slowest);
            }
        }
        any
    }

    pub(super) fn retire(&mut self, channel: usize, account: &Account) {
        books::retire(&mut self.retired, &self.channels[channel], account);
    }
}
