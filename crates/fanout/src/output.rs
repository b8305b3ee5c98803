//! What comes out of the hub: values for connections, requests to the shell, and counts of what happened.

use crate::shared::{ChannelRecord, Shared};
use std::sync::Arc;
use tally_protocol::{
    ChannelName, Counts, ErrorFrame, Reset, Rung, RungFrame, Subscribed, Summary, Unnumbered, Unsubscribed,
    UpstreamFrame, Why,
};

/// What one connection gets next. Values, not bytes: the shell writes them in the listener's dialect.
#[derive(Debug, Clone)]
pub enum Output {
    Subscribed(Box<Subscribed>),
    Unsubscribed(Box<Unsubscribed>),
    Error(Box<ErrorFrame>),
    Events(Arc<Shared<ChannelRecord>>),
    Counts(Arc<Shared<Counts>>),
    Summary(Box<Summary>),
    Rung(RungFrame),
    Reset(Box<Reset>),
    Upstream(UpstreamFrame),
    Unnumbered(Arc<Shared<Unnumbered>>),
}

/// What the hub needs from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first local listener: subscribe, then hand in the snapshot.
    Watch(ChannelName),
    /// The last local listener is gone, and the grace period is over.
    Unwatch(ChannelName),
    /// Something is missing: read the snapshot again. The number comes back with the snapshot, see
    /// [`crate::Hub::handle_snapshot`]; numbers of a channel only grow.
    Reread(ChannelName, u64),
}

/// How much there is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStats {
    pub connections: usize,
    pub channels: usize,
    /// By effective rung, in the order of [`Rung::ALL`].
    pub subscriptions: [usize; 3],
    /// Subscriptions that wait for their channel's first snapshot.
    pub pending: usize,
    pub log_bytes: u64,
}

/// What has happened since the hub was made. They only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// `[to][why]` in the order of [`Rung::ALL`] and [`Why::ALL`]; subscriptions and ceilings together.
    pub rung_changes: [[u64; 6]; 3],
    /// Spans that came without payloads, by why in the order of [`Why::ALL`].
    pub gaps: [u64; 6],
    /// Events in those spans.
    pub gap_events: [u64; 6],
    /// Messages dropped because they left a hole, straddled the position, or were of another epoch.
    pub misfits: u64,
    pub rereads: u64,
    /// Messages dropped because too much waited for a snapshot.
    pub waiting_overflows: u64,
    pub resets: u64,
    /// Cursors that fell out of the log.
    pub jumps: u64,
    /// Records that left a log because of a limit.
    pub evicted: u64,
    /// Events in records that followed, once for each record.
    pub events_in: u64,
    /// Events delivered, summed over listeners, by column of the ledger.
    pub events_full: u64,
    /// By why, in the order of [`Why::ALL`].
    pub counted: [u64; 6],
    pub summarised: [u64; 6],
    /// Events without a number, summed over listeners.
    pub unnumbered_delivered: u64,
    /// Those that a listener missed, counted when it was told.
    pub unnumbered_dropped: u64,
}

impl Counters {
    #[must_use]
    pub fn events_counted(&self) -> u64 {
        self.counted.iter().sum()
    }

    #[must_use]
    pub fn events_summarised(&self) -> u64 {
        self.summarised.iter().sum()
    }

    pub(crate) fn count_rung(&mut self, to: Rung, why: Why) {
        self.rung_changes[to as usize][why as usize] += 1;
    }

    pub(crate) fn count_counted(&mut self, why: Why, events: u64) {
        self.counted[why as usize] += events;
    }

    pub(crate) fn count_gap(&mut self, why: Why, events: u64) {
        self.gaps[why as usize] += 1;
        self.gap_events[why as usize] += events;
    }
}
