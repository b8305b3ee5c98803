//! The account of all subscriptions that are and were: how far their cursors went, kept apart from the columns.
//!
//! Law 1, summed: what cursors advanced is what was seen in full, counted and summarised. The advance is taken from
//! where a subscription begins (its attach), ends, and is reset; nothing is booked per delivery, so that a column which
//! forgets something cannot hide it here as well.

use super::Hub;

/// Totals since the hub was made. Sums of several hubs are an account as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Subscriptions that were attached.
    pub subscriptions: u64,
    /// Sum of (cursor - seq at attach, or at the last reset) over all of them.
    pub advanced: u64,
    /// The columns of the ledger; by why in the order of [`tally_protocol::Why::ALL`].
    pub full: u64,
    pub counted: [u64; 6],
    pub summarised: [u64; 6],
    pub resets: u64,
}

impl Account {
    /// What the columns do not explain: 0, unless there is a bug.
    #[must_use]
    pub fn residual(&self) -> i64 {
        let columns = self.full + self.counted.iter().sum::<u64>() + self.summarised.iter().sum::<u64>();
        self.advanced.cast_signed().wrapping_sub(columns.cast_signed())
    }

    pub fn add(&mut self, other: &Self) {
        self.subscriptions += other.subscriptions;
        self.advanced += other.advanced;
        self.full += other.full;
        self.resets += other.resets;
        for why in 0..self.counted.len() {
            self.counted[why] += other.counted[why];
            self.summarised[why] += other.summarised[why];
        }
    }
}

/// What the hub keeps for it beside its columns.
#[derive(Debug, Default)]
pub(super) struct Ended {
    attached: u64,
    /// The advance of subscriptions that have ended, and of those before their last reset.
    advanced: u64,
}

impl Hub {
    /// A subscription is attached: its account begins at its cursor.
    pub(super) fn open_account(&mut self, sub: u32) {
        let held = &mut self.subs[sub];
        held.opened_at = held.cursor;
        self.ended.attached += 1;
    }

    /// A subscription ends, or is about to be reset: what it advanced is kept. Its next account begins at the cursor
    /// that the caller sets.
    pub(super) fn close_account(&mut self, sub: u32) {
        let held = &mut self.subs[sub];
        self.ended.advanced += held.cursor.since(held.opened_at);
        held.opened_at = held.cursor;
    }

    /// `live` is the advance of those that have not ended.
    pub(super) fn account(&self, live: u64) -> Account {
        Account {
            subscriptions: self.ended.attached,
            advanced: self.ended.advanced + live,
            full: self.counters.events_full,
            counted: self.counters.counted,
            summarised: self.counters.summarised,
            resets: self.counters.resets,
        }
    }
}
