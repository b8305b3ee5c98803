//! The shell around one hub: what it is subscribed to, which reads are on their way, and what was handed in when.

use crate::random::Random;
use std::collections::BTreeMap;
use tally_fanout::{Hub, HubLimits, Request};
use tally_protocol::{ChannelName, Epoch};

#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) hub: Hub,
    pub(crate) watches: BTreeMap<ChannelName, Watch>,
    /// The largest number of a polled `Reread`, for the whole life of the hub.
    polled: BTreeMap<ChannelName, u64>,
    pub(crate) delivered: BTreeMap<ChannelName, Delivered>,
    pub(crate) lives: u64,
    pub(crate) random: Random,
}

/// One life of a channel's interest.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) life: u64,
    pub(crate) is_subscribed: bool,
    pub(crate) is_reading: bool,
    pub(crate) wants_read: bool,
    /// A message was lost since the newest read began.
    pub(crate) has_lost: bool,
    /// Messages of one channel keep their order.
    pub(crate) newest_at: u64,
}

/// What reached the hub of a channel, and when: the first time of each record's last seq, and every snapshot.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) records: BTreeMap<(Epoch, u64), u64>,
    pub(crate) snapshots: Vec<(u64, Epoch, u64)>,
}

impl Shell {
    pub(crate) fn new(limits: HubLimits, random: Random) -> Self {
        Self {
            hub: Hub::new(limits),
            watches: BTreeMap::new(),
            polled: BTreeMap::new(),
            delivered: BTreeMap::new(),
            lives: 0,
            random,
        }
    }

    /// Does what the hub asks for, as far as it needs no time. Answers the channel to subscribe to or to read.
    pub(crate) fn request(&mut self, request: Request, now: u64) -> Option<ChannelName> {
        match request {
            Request::Watch(channel) => {
                self.lives += 1;
                let watch = Watch {
                    life: self.lives,
                    is_subscribed: false,
                    is_reading: false,
                    wants_read: true,
                    has_lost: false,
                    newest_at: now,
                };
                assert!(self.watches.insert(channel.clone(), watch).is_none(), "{channel} is watched twice");
                Some(channel)
            }
            Request::Unwatch(channel) => {
                assert!(self.watches.remove(&channel).is_some(), "{channel} is unwatched twice");
                None
            }
            Request::Reread(channel, number) => {
                let polled = self.polled.entry(channel.clone()).or_default();
                assert!(number > *polled, "read numbers of {channel} do not grow");
                *polled = number;
                self.watches.get_mut(&channel)?.wants_read = true;
                Some(channel)
            }
        }
    }

    pub(crate) fn polled(&self, channel: &ChannelName) -> u64 {
        self.polled.get(channel).copied().unwrap_or_default()
    }
}
