//! One listener of one channel: a cursor, what it asked for, and what it was last told.

use crate::hub::unnumbered::Share;
use crate::point::Point;
use crate::throttle::Bucket;
use crate::time::Time;
use tally_protocol::{After, Position, Rung, Seq, TickMs, Why};

/// Where a subscription wants to start.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    Head,
    Last(u64),
    After(After),
}

/// How far the attach has come.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// The channel's snapshot is awaited: the answer to read number `read`, or the first one (0).
    Waiting {
        start: Start,
        read: u64,
    },
    /// The next thing sent is the attach. `checked`: the snapshot was read after the client asked.
    Attaching {
        start: Start,
        checked: bool,
    },
    Attached,
}

/// Which list of its channel it stands in, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Unattached(usize),
    Full(usize),
    /// The grid (in the order of [`TickMs::ALL`]) on which it is served.
    Reduced(usize, usize),
}

/// A `reset` that is due.
#[derive(Debug, Clone)]
pub(crate) enum ResetDue {
    /// With the values of the `subscribed` just sent.
    Given(Box<Position>),
    /// With the hub's position at the moment of sending.
    Now,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) conn: u32,
    pub(crate) channel: u32,
    /// The request's.
    pub(crate) id: u64,
    pub(crate) asked: Rung,
    pub(crate) tick: TickMs,
    pub(crate) tail: bool,
    pub(crate) bucket: Bucket,
    pub(crate) throttled: bool,
    pub(crate) unnumbered: Share,
    /// Up to where the bucket has booked what went by while throttled.
    pub(crate) shadow_seq: Seq,
    pub(crate) phase: Phase,
    pub(crate) told_pending: bool,
    pub(crate) cursor: Seq,
    /// Where its account begins: the cursor at the attach, or at the last reset.
    pub(crate) opened_at: Seq,
    /// The log entry that holds or follows what comes after the cursor.
    pub(crate) next: u64,
    /// Records up to here are replay or catching up: charged to no limit.
    pub(crate) free_until: Seq,
    /// Since when the log is due to it: an older entry became due then.
    pub(crate) full_since: Time,
    /// The hub's count of ticks when it came to a reduced rung: what others were told before is not for it.
    pub(crate) reduced_since: u64,
    /// Bytes of records after `free_until` that are due and not pulled.
    pub(crate) owed: u64,
    /// The counts frame that brings the cursor to where a replay starts.
    pub(crate) replay: Option<Box<Point>>,
    /// Why a cursor that fell out of the log is told so.
    pub(crate) jump_why: Why,
    /// The own rung (without the connection's ceiling) as last told, and the reason then.
    pub(crate) told: Rung,
    pub(crate) told_why: Why,
    pub(crate) reset: Option<ResetDue>,
    pub(crate) in_due: bool,
    pub(crate) in_summary: bool,
    pub(crate) place: Place,
    pub(crate) timer_at: Option<Time>,
}

impl Subscription {
    /// The rung without the connection's ceiling.
    pub(crate) fn own_rung(&self) -> Rung {
        if self.throttled { self.asked.min(Rung::Counts) } else { self.asked }
    }

    /// Why the own rung is what it is.
    pub(crate) fn own_why(&self) -> Why {
        if self.throttled && self.asked > Rung::Counts { Why::Throttled } else { Why::Asked }
    }

    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.phase, Phase::Attached)
    }
}
