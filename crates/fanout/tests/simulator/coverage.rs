//! How often each interesting thing happened, so that no law is kept only because nothing tried it.

use std::collections::BTreeMap;
use std::sync::Arc;
use tally_fanout::Shared;
use tally_protocol::{ChannelName, Counts, Seq, Why};

#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) times: BTreeMap<String, u64>,
    /// The frame of each form at each tick, to see that it is shared.
    pub(crate) frames: BTreeMap<FrameKey, Arc<Shared<Counts>>>,
}

/// Hub, channel, grid in ms, tick on it, seq, why, with state, length of the tail.
pub(crate) type FrameKey = (usize, ChannelName, u64, u64, Seq, Why, bool, Option<usize>);

impl Coverage {
    pub(crate) fn note(&mut self, what: &str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &str, times: u64) {
        match self.times.get_mut(what) {
            Some(held) => *held += times,
            None => {
                self.times.insert(what.into(), times);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, times) in &other.times {
            self.add(what, *times);
        }
    }
}
