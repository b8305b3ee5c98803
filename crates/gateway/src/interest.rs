//! The one table that shards share: which channel has listeners on which shard, and how far it has come.
//!
//! Touched by a shard on a channel's first and last listener, and by ingest once per record. Bounded by the
//! subscriptions of all connections, and the grace period.

pub(crate) mod audit;
pub(crate) mod reads;
pub(crate) mod reconcile;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use std::time::{Duration, Instant};
use tally_backplane::Head;
use tally_protocol::{ChannelName, Epoch, Seq};

/// A set of shards, at most [`crate::limits::SHARDS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ShardSet(u128);

impl ShardSet {
    pub(crate) const fn one(shard: usize) -> Self {
        Self(1 << shard)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let shard = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(shard)
        })
    }
}

/// What is known of one channel with listeners.
#[derive(Debug)]
struct Entry {
    shards: ShardSet,
    /// Shards for which something was dropped since their last read began.
    gaps: ShardSet,
    /// The furthest position that came, by record or snapshot.
    head: Option<Head>,
    /// When something last came, or the channel was last audited.
    quiet_since: Instant,
    /// What the last audit saw that had not come; a second look tells whether it was only on its way.
    suspect: Option<Option<Head>>,
    /// How many messages without a number came.
    unnumbered: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    channels: DashMap<ChannelName, Entry>,
    /// Whom figures leave out, and what that one listens to.
    watcher: ShardSet,
    watched: Vec<ChannelName>,
}

impl Interest {
    /// A table in whose figures the gateway's own watcher does not show.
    pub(crate) fn with_watcher(index: usize, watched: Vec<ChannelName>) -> Self {
        Self { channels: DashMap::new(), watcher: ShardSet::one(index), watched }
    }

    /// From now on, this shard gets the channel's records.
    pub(crate) fn add(&self, shard: usize, channel: &ChannelName) {
        let fresh = || Entry {
            shards: ShardSet::default(),
            gaps: ShardSet::default(),
            head: None,
            quiet_since: Instant::now(),
            suspect: None,
            unnumbered: 0,
        };
        let mut entry = self.channels.entry(channel.clone()).or_insert_with(fresh);
        entry.shards = entry.shards.union(ShardSet::one(shard));
    }

    /// Whether that was the last shard.
    pub(crate) fn remove(&self, shard: usize, channel: &ChannelName) -> bool {
        let Slot::Occupied(mut entry) = self.channels.entry(channel.clone()) else { return false };
        let rest = entry.get().shards.without(ShardSet::one(shard));
        entry.get_mut().shards = rest;
        if rest.is_empty() {
            entry.remove();
        }
        rest.is_empty()
    }

    pub(crate) fn shards(&self, channel: &ChannelName) -> ShardSet {
        self.channels.get(channel).map_or_else(ShardSet::default, |entry| entry.shards)
    }

    /// The furthest position of a channel that came.
    pub(crate) fn head(&self, channel: &ChannelName) -> Option<Head> {
        self.channels.get(channel)?.head.clone()
    }

    pub(crate) fn contains(&self, channel: &ChannelName) -> bool {
        self.channels.contains_key(channel)
    }

    /// Channels that somebody beside the watcher listens to.
    pub(crate) fn len(&self) -> usize {
        let own = self.watched.iter().filter(|channel| self.shards(channel) == self.watcher).count();
        self.channels.len().saturating_sub(own)
    }

    /// A record came; the answer is who wants it.
    pub(crate) fn note_record(&self, channel: &ChannelName, epoch: &Epoch, to: Seq) -> ShardSet {
        let Some(mut entry) = self.channels.get_mut(channel) else { return ShardSet::default() };
        entry.quiet_since = Instant::now();
        entry.advance(Head { epoch: epoch.clone(), seq: to });
        entry.shards
    }

    /// Something without a number came; the answer is who wants it, and which of its kind it is, from 1. Whoever then drops
    /// it leaves a hole in these numbers, by which listeners are told.
    pub(crate) fn note_unnumbered(&self, channel: &ChannelName) -> (ShardSet, u64) {
        let Some(mut entry) = self.channels.get_mut(channel) else { return (ShardSet::default(), 0) };
        entry.unnumbered += 1;
        (entry.shards, entry.unnumbered)
    }

    /// A snapshot came, and stands above whatever was known.
    pub(crate) fn note_snapshot(&self, channel: &ChannelName, head: Option<Head>) {
        let Some(mut entry) = self.channels.get_mut(channel) else { return };
        match head {
            Some(head) => entry.advance(head),
            None => entry.head = None,
        }
    }

    /// Something of the channel was dropped for these shards. The answer is those for which nobody knew that yet.
    pub(crate) fn note_gap(&self, channel: &ChannelName, shards: ShardSet) -> ShardSet {
        let Some(mut entry) = self.channels.get_mut(channel) else { return ShardSet::default() };
        let fresh = shards.without(entry.gaps);
        entry.gaps = entry.gaps.union(shards);
        fresh
    }

    /// A read begins: it will cover every gap that is known by now.
    pub(crate) fn clear_gaps(&self, channel: &ChannelName, shards: ShardSet) {
        if let Some(mut entry) = self.channels.get_mut(channel) {
            entry.gaps = entry.gaps.without(shards);
        }
    }

    /// All channels, for a link that has come up.
    pub(crate) fn channels(&self) -> Vec<ChannelName> {
        self.channels.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Channels from which nothing came for `time`.
    fn quiet(&self, time: Duration) -> Vec<ChannelName> {
        let now = Instant::now();
        let quiet = self.channels.iter().filter(|entry| {
            entry.suspect.is_some() || now.saturating_duration_since(entry.quiet_since) >= time
        });
        quiet.map(|entry| entry.key().clone()).collect()
    }

    /// What the broker says of a quiet channel. True: what it has beyond what came was already there at the last
    /// look, so it is not on its way but lost.
    fn audit(&self, channel: &ChannelName, broker: Option<&Head>) -> bool {
        let Some(mut entry) = self.channels.get_mut(channel) else { return false };
        entry.quiet_since = Instant::now();
        let came = match (broker, &entry.head) {
            (None, None) => true,
            (Some(broker), Some(head)) => broker.epoch == head.epoch && broker.seq <= head.seq,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if came {
            entry.suspect = None;
            return false;
        }
        // Lost is what the last look saw and what still has not come; a head that moved on is looked at once more.
        let lost = match (&entry.suspect, broker) {
            (Some(None), None) => true,
            (Some(Some(seen)), Some(broker)) => seen.epoch == broker.epoch && !entry.has(seen),
            _ => false,
        };
        entry.suspect = if lost { None } else { Some(broker.cloned()) };
        lost
    }
}

impl Entry {
    /// Within an epoch the position only grows.
    fn advance(&mut self, head: Head) {
        if !self.has(&head) {
            self.head = Some(head);
        }
    }

    fn has(&self, other: &Head) -> bool {
        self.head.as_ref().is_some_and(|head| head.epoch == other.epoch && head.seq >= other.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: &str, seq: u64) -> Head {
        Head { epoch: Epoch::new(epoch).unwrap(), seq: Seq::new(seq).unwrap() }
    }

    #[test]
    fn the_last_shard_takes_the_entry_away() {
        let (table, a) = (Interest::default(), ChannelName::new("a").unwrap());
        table.add(0, &a);
        table.add(127, &a);
        assert_eq!(table.shards(&a).iter().collect::<Vec<_>>(), [0, 127]);
        assert!(!table.remove(0, &a));
        assert!(table.remove(127, &a));
        assert!(!table.remove(127, &a));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_gap_is_told_once_until_a_read_begins() {
        let (table, a) = (Interest::default(), ChannelName::new("a").unwrap());
        table.add(3, &a);
        assert_eq!(table.note_gap(&a, ShardSet::one(3)), ShardSet::one(3));
        assert!(table.note_gap(&a, ShardSet::one(3)).is_empty());
        table.clear_gaps(&a, ShardSet::one(3));
        assert_eq!(table.note_gap(&a, ShardSet::one(3)), ShardSet::one(3));
    }

    #[test]
    fn an_audit_tells_what_is_lost_from_what_is_on_its_way() {
        let (table, a) = (Interest::default(), ChannelName::new("a").unwrap());
        table.add(0, &a);
        assert!(!table.audit(&a, None));
        table.note_snapshot(&a, Some(head("e", 5)));
        assert!(!table.audit(&a, Some(&head("e", 5))));
        // On its way: seen once, then it came.
        assert!(!table.audit(&a, Some(&head("e", 7))));
        table.note_record(&a, &Epoch::new("e").unwrap(), Seq::new(7).unwrap());
        assert!(!table.audit(&a, Some(&head("e", 9))));
        // Lost: what was seen has not come by the next look.
        assert!(table.audit(&a, Some(&head("e", 9))));
        table.note_snapshot(&a, Some(head("e", 9)));
        assert!(!table.audit(&a, Some(&head("f", 1))));
        assert!(table.audit(&a, Some(&head("f", 2))));
        assert!(!table.audit(&a, None));
        assert!(table.audit(&a, None));
    }
}
