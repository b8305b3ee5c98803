//! How often each interesting thing happened, so that no law is kept only because nothing tried it.

use std::collections::BTreeMap;
use std::sync::Arc;
use tally_fanout::Shared;
use tally_protocol::{ChannelName, Counts, Seq, Why};

/// About a quarter of what 500 plans bring.
const EXPECTED: [(&str, u64); 62] = [
    ("already_subscribed", 500),
    ("attach back", 10),
    ("attach pending", 50),
    ("attach refused", 50),
    ("attach resumed", 300),
    ("attach with state", 300),
    ("bad_channel", 50),
    ("blocked", 1_000),
    ("ceiling climbs", 100),
    ("ceiling falls", 100),
    ("climb failed", 5),
    ("climbed", 100),
    ("counts asked at counts", 1_000),
    ("counts backpressure at counts", 50),
    ("counts backpressure at full", 50),
    ("counts replay at full", 30),
    ("counts throttled at counts", 1_000),
    ("counts throttled at full", 3),
    ("counts asked at full", 3),
    ("counts unheard at full", 1_000),
    ("counts upstream at full", 1_000),
    ("events counted", 100_000),
    ("events full", 50_000),
    ("events summarised", 100_000),
    ("evicted", 10_000),
    ("jumps", 100),
    ("misfits", 300),
    ("not_subscribed", 50),
    ("output events", 10_000),
    ("output reset", 500),
    ("output summary", 500),
    ("output unsubscribed", 200),
    ("output upstream", 500),
    ("pressed", 50),
    ("replies that wait", 100),
    ("rereads", 1_000),
    ("reset of a refused resume", 50),
    ("reset to another epoch", 500),
    ("reset to nothing", 100),
    ("resets", 500),
    ("rung counts asked", 100),
    ("rung counts backpressure", 50),
    ("rung counts throttled", 200),
    ("rung full asked", 100),
    ("rung full backpressure", 50),
    ("rung full throttled", 200),
    ("rung summary asked", 100),
    ("rung summary backpressure", 50),
    ("sent as", 10),
    ("state in counts", 100),
    ("state in a summary", 100),
    ("state in events", 500),
    ("summary asked", 500),
    ("summary backpressure", 100),
    ("tail of 0", 500),
    ("tail of 1", 100),
    ("tail of 2", 20),
    ("tail of 3", 20),
    ("tail of 4", 300),
    ("too_many_subscriptions", 100),
    ("unsubscribed with totals", 100),
    ("waiting overflows", 1_000),
];

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

    /// Each of these happened often enough in 500 plans for its law to mean something.
    pub(crate) fn suffices(&self) {
        let rare: Vec<_> = EXPECTED
            .iter()
            .filter(|(what, least)| self.times.get(*what).is_none_or(|times| times < least))
            .collect();
        assert!(rare.is_empty(), "too rare: {rare:?}");
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, times) in &other.times {
            self.add(what, *times);
        }
    }
}
