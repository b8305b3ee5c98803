//! The account of a producer: every event accepted is in exactly one column.

/// Totals since the producer began. `accepted = full + counted + refused + unknown + waiting`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Events that `publish` returned a receipt for.
    pub accepted: u64,
    /// Published with their data.
    pub full: u64,
    /// Published as counts.
    pub counted: u64,
    /// Of those counted: their data was withheld because nobody listened (why `unheard`). Of the others it was dropped
    /// because the buffer was full (why `upstream`).
    pub unheard: u64,
    /// Surely not published.
    pub refused: u64,
    /// Perhaps published.
    pub unknown: u64,
    /// Without an outcome so far.
    pub waiting: u64,
    /// Bytes of the buffer in use, by its own way of counting.
    pub buffer_bytes: usize,
    /// Bytes of counts in use.
    pub counts_bytes: usize,
}

/// Events without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remaining {
    /// Surely not published so far: not sent yet, or not taken by the broker.
    pub unsent: u64,
    /// Sent, perhaps published: the answer is awaited.
    pub in_doubt: u64,
}

impl Remaining {
    /// Everything has an outcome.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How a producer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// What the deadline cut off; its receipts now say refused (`closed`) or unknown, and `stats` has it there.
    pub cut_off: Remaining,
    pub stats: Stats,
}
