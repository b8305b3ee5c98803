//! One connection: its ceiling, its bucket, what is due to it, and how calm its socket is.
//!
//! Bounded: queues of subscriptions hold each at most once; replies are read no faster than they are pulled.

use crate::hub::look::Standings;
use crate::hub::unnumbered::Waiting;
use crate::limits::HubLimits;
use crate::output::Output;
use crate::throttle::Bucket;
use crate::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tally_protocol::{Rung, UpstreamStatus, Why};

/// Names a connection of one hub; never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) generation: u32,
    /// By channel; ordered, so that the same inputs always give the same outputs.
    pub(crate) subscriptions: BTreeMap<u32, u32>,
    pub(crate) bucket: Bucket,
    /// The highest rung that the client wants on any channel.
    pub(crate) asked: Rung,
    /// The highest rung that the socket can take.
    pub(crate) pressed: Rung,
    pub(crate) told_ceiling: Rung,
    pub(crate) told_ceiling_why: Why,
    pub(crate) told_upstream: UpstreamStatus,
    pub(crate) replies: VecDeque<Output>,
    /// Subscriptions with something to send, served in turn.
    pub(crate) due: VecDeque<u32>,
    /// Subscriptions whose summary is due, the longest-waiting first.
    pub(crate) summaries: VecDeque<u32>,
    /// Outputs of `due` since the last summary: a summary takes its turn among them.
    pub(crate) turns: usize,
    pub(crate) unnumbered: Waiting,
    pub(crate) in_ready: bool,
    pub(crate) blocked_at: Option<Time>,
    /// Bytes of records due and not pulled, summed over the subscriptions.
    pub(crate) owed: u64,
    pub(crate) age_timer_at: Option<Time>,
    pub(crate) climb_timer_at: Option<Time>,
    pub(crate) climbed_at: Option<Time>,
    pub(crate) calm: Duration,
    pub(crate) standings: Standings,
}

impl Connection {
    pub(crate) fn new(generation: u32, limits: &HubLimits, upstream: UpstreamStatus, now: Time) -> Self {
        Self {
            generation,
            subscriptions: BTreeMap::new(),
            bucket: Bucket::new(limits.connection_max_rate, now),
            asked: Rung::Full,
            pressed: Rung::Full,
            told_ceiling: Rung::Full,
            told_ceiling_why: Why::Asked,
            told_upstream: upstream,
            replies: VecDeque::new(),
            due: VecDeque::new(),
            summaries: VecDeque::new(),
            turns: 0,
            unnumbered: Waiting::default(),
            in_ready: false,
            blocked_at: None,
            owed: 0,
            age_timer_at: None,
            climb_timer_at: None,
            climbed_at: None,
            calm: limits.calm_min,
            standings: Standings::new(now),
        }
    }

    pub(crate) fn ceiling(&self) -> Rung {
        self.asked.min(self.pressed)
    }

    pub(crate) fn ceiling_why(&self) -> Why {
        if self.asked <= self.pressed { Why::Asked } else { Why::Backpressure }
    }
}
