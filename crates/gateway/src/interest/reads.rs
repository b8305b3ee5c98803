//! Which snapshots to read: one in flight per channel, each for the shards that miss something.
//!
//! A read that is asked for while one is in flight is done once more afterwards, because what the first one saw may
//! be older than the gap. Bounded: one entry per channel with listeners.

use super::ShardSet;
use crate::limits::{READS_MAX, RETRY_MAX, RETRY_MIN};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};
use tally_protocol::ChannelName;

/// Shards that need a snapshot, each with the number of its hub's latest request; 0 where the hub did not ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wants(BTreeMap<usize, u64>);

impl Wants {
    pub(crate) fn one(shard: usize, read: u64) -> Self {
        Self(BTreeMap::from([(shard, read)]))
    }

    pub(crate) fn all(shards: ShardSet) -> Self {
        Self(shards.iter().map(|shard| (shard, 0)).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().map(|(shard, read)| (*shard, *read))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn shards(&self) -> ShardSet {
        self.0.keys().fold(ShardSet::default(), |set, shard| set.union(ShardSet::one(*shard)))
    }

    pub(crate) fn retain(&mut self, shards: ShardSet) {
        self.0.retain(|shard, _| !shards.intersection(ShardSet::one(*shard)).is_empty());
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (shard, read) in other.0 {
            let known = self.0.entry(shard).or_default();
            *known = read.max(*known);
        }
    }
}

/// The state machine; it reads nothing itself.
#[derive(Debug, Default)]
pub(super) struct Reads {
    channels: HashMap<ChannelName, Read>,
    waiting: VecDeque<ChannelName>,
    in_flight: usize,
    /// After a failure nothing is read before this moment.
    pause: Option<Instant>,
    pause_time: Duration,
}

#[derive(Debug)]
enum Read {
    /// In the queue.
    Waiting(Wants),
    /// Being read; these want another one afterwards.
    InFlight(Wants),
}

impl Reads {
    /// These shards need a snapshot that is not older than this moment.
    pub(super) fn request(&mut self, channel: &ChannelName, wants: Wants) {
        match self.channels.get_mut(channel) {
            Some(Read::Waiting(wanted) | Read::InFlight(wanted)) => wanted.add(wants),
            None => {
                self.channels.insert(channel.clone(), Read::Waiting(wants));
                self.waiting.push_back(channel.clone());
            }
        }
    }

    /// The next channel to read now, with those that it is read for.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(ChannelName, Wants)> {
        if self.in_flight == READS_MAX || self.pause.is_some_and(|until| now < until) {
            return None;
        }
        let channel = self.waiting.pop_front()?;
        let read = self.channels.get_mut(&channel).expect("each waiting channel has its entry");
        let (Read::Waiting(wants) | Read::InFlight(wants)) =
            std::mem::replace(read, Read::InFlight(Wants::default()));
        self.in_flight += 1;
        Some((channel, wants))
    }

    /// When [`Reads::poll`] may have something again by itself.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pause.filter(|_| !self.waiting.is_empty() && self.in_flight < READS_MAX)
    }

    /// A read ended. `missed` still need one: all of them where it failed.
    pub(super) fn handle_end(&mut self, channel: &ChannelName, missed: Wants, now: Instant) {
        self.in_flight -= 1;
        let Some(Read::InFlight(mut wanted)) = self.channels.remove(channel) else { return };
        if missed.is_empty() {
            (self.pause, self.pause_time) = (None, Duration::ZERO);
        } else {
            self.pause_time = (self.pause_time * 2).clamp(RETRY_MIN, RETRY_MAX);
            self.pause = Some(now + self.pause_time);
        }
        wanted.add(missed);
        if !wanted.is_empty() {
            self.request(channel, wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    #[test]
    fn one_in_flight_and_once_more() {
        let (mut reads, now) = (Reads::default(), Instant::now());
        reads.request(&name("a"), Wants::one(0, 3));
        reads.request(&name("a"), Wants::one(1, 0));
        reads.request(&name("a"), Wants::one(0, 2));
        let (_, wants) = reads.poll(now).unwrap();
        assert_eq!(wants.iter().collect::<Vec<_>>(), [(0, 3), (1, 0)]);
        reads.request(&name("a"), Wants::one(1, 4));
        assert_eq!(reads.poll(now), None);
        reads.handle_end(&name("a"), Wants::default(), now);
        assert_eq!(reads.poll(now), Some((name("a"), Wants::one(1, 4))));
        reads.handle_end(&name("a"), Wants::default(), now);
        assert_eq!(reads.poll(now), None);
        assert!(reads.channels.is_empty());
    }

    #[test]
    fn a_failure_pauses_all_and_is_tried_again() {
        let (mut reads, now) = (Reads::default(), Instant::now());
        reads.request(&name("a"), Wants::one(0, 0));
        assert!(reads.poll(now).is_some());
        reads.handle_end(&name("a"), Wants::one(0, 0), now);
        assert_eq!(reads.poll(now), None);
        let later = reads.poll_timeout().unwrap();
        assert!(later > now);
        assert_eq!(reads.poll(later), Some((name("a"), Wants::one(0, 0))));
    }
}
