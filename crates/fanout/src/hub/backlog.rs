//! What one hub knows of a channel, handed to another hub that begins to listen to it.
//!
//! Each hub has its own log, and a client may come to any. The hub that has the channel hands over its position and
//! the newest records before it, so `last` and `after` work on every shard, and the broker is not asked again. It is
//! exact as far as records go to both hubs from before the first one is asked: what it does not have yet, the other one
//! gets by itself. Whether it had everything before that is for the shell to see, by [`Backlog::position`].

use super::Hub;
use crate::log::{Body, Entry};
use crate::shared::{ChannelRecord, Shared};
use crate::time::Time;
use std::sync::Arc;
use tally_protocol::{ChannelName, Snapshot, State};

/// A channel's position, and the newest records in a row up to it. Bounded as the log that they come from.
#[derive(Debug, Clone)]
pub struct Backlog {
    channel: ChannelName,
    position: Snapshot,
    /// From the oldest to the newest.
    records: Vec<Arc<Shared<ChannelRecord>>>,
    /// The newest state event before them.
    state_before: Option<State>,
}

impl Backlog {
    /// Where the hub that handed it over stood.
    #[must_use]
    pub fn position(&self) -> &Snapshot {
        &self.position
    }
}

impl Hub {
    /// What this hub knows of a channel, its log back to the newest gap; `None` where the broker knows better.
    #[must_use]
    pub fn backlog(&self, channel: &ChannelName) -> Option<Backlog> {
        let held = &self.channels[*self.names.get(channel)?];
        if !held.ready || !held.held.is_empty() {
            return None;
        }
        let position = Snapshot {
            epoch: held.epoch.clone()?,
            prev: held.prev.clone(),
            seq: held.seq,
            totals: held.totals.clone(),
            state: held.state.clone(),
        };
        let mut records = Vec::new();
        let mut first = held.log.end();
        for (number, entry) in held.log.iter_back() {
            let Body::Record(record) = &entry.body else { break };
            records.push(Arc::clone(record));
            first = number;
        }
        records.reverse();
        Some(Backlog { channel: channel.clone(), position, records, state_before: held.state_before(first) })
    }

    /// What another hub has of a channel that this one has just begun to listen to: it stands for the first
    /// snapshot, and later for one more, without its records. For a channel that nobody listens to it is left alone.
    pub fn handle_backlog(&mut self, now: Time, backlog: Backlog) {
        let Some(channel) = self.names.get(&backlog.channel).copied() else { return };
        let Backlog { channel: name, position, records, state_before } = backlog;
        let held = &mut self.channels[channel];
        if !held.ready {
            held.state_before_log = state_before;
            let before = held.log.bytes();
            for record in &records {
                held.log.push(Entry::record(record, now));
            }
            self.log_bytes += held.log.bytes() - before;
            self.evict(channel);
        }
        // A backlog of an earlier life of the channel may have come first; this one is then what is missing.
        self.handle_snapshot(now, &name, Some(position), 0);
    }
}
