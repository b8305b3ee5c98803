//! A channel's one bounded log of recent records; every listener at `full` is an entry number into it.
//!
//! An entry is a record or a gap. Entry numbers only grow, so that a number below the log's base tells that the
//! cursor fell out. Bounded by `log_events_max` and `log_bytes_max`; the newest entry always stays.

use crate::point::Point;
use crate::shared::{ChannelRecord, Shared};
use crate::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use tally_protocol::{Seq, State, Totals, Why};

/// What a gap weighs: its totals, and the frames made of it.
const GAP_WEIGHT_BYTES: u64 = 4 * 1024;

#[derive(Debug)]
pub(crate) enum Body {
    Record(Arc<Shared<ChannelRecord>>),
    /// A span without payloads: what it held, and the totals at its end.
    Gap {
        counts: Totals,
        why: Why,
        point: Box<Point>,
    },
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    pub(crate) weight: u64,
    pub(crate) came_at: Time,
    pub(crate) body: Body,
}

impl Entry {
    pub(crate) fn record(record: &Arc<Shared<ChannelRecord>>, now: Time) -> Self {
        let value = record.value();
        Self {
            from: value.record.from,
            to: value.record.to,
            weight: value.weight(),
            came_at: now,
            body: Body::Record(Arc::clone(record)),
        }
    }

    pub(crate) fn gap(from: Seq, counts: Totals, why: Why, point: Point, now: Time) -> Self {
        let weight = GAP_WEIGHT_BYTES + point.state.as_ref().map_or(0, |state| state.data.len() as u64);
        Self {
            from,
            to: point.seq,
            weight,
            came_at: now,
            body: Body::Gap { counts, why, point: Box::new(point) },
        }
    }

    /// The events that it stands for.
    pub(crate) fn len(&self) -> u64 {
        self.to.get() + 1 - self.from.get()
    }

    /// The position just before it.
    pub(crate) fn before(&self) -> Seq {
        Seq::new(self.from.get() - 1).unwrap_or_default()
    }

    pub(crate) fn counts(&self) -> &Totals {
        match &self.body {
            Body::Record(record) => &record.value().record.counts,
            Body::Gap { counts, .. } => counts,
        }
    }

    /// The newest state event in it.
    pub(crate) fn state(&self) -> Option<State> {
        match &self.body {
            Body::Record(record) => record.value().record.state(),
            Body::Gap { point, .. } => point.state.clone(),
        }
    }

    pub(crate) fn is_record(&self) -> bool {
        matches!(self.body, Body::Record(_))
    }

    /// Payloads that the log holds; a gap holds none.
    fn events(&self) -> u64 {
        match &self.body {
            Body::Record(record) => record.value().record.len(),
            Body::Gap { .. } => 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    base: u64,
    events: u64,
    bytes: u64,
}

impl Default for Log {
    /// Numbers start at 1, so that there always is one below the base.
    fn default() -> Self {
        Self { entries: VecDeque::new(), base: 1, events: 0, bytes: 0 }
    }
}

impl Log {
    /// The number of the oldest entry.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The number that the next entry will have.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_over(&self, events_max: u64, bytes_max: u64) -> bool {
        self.entries.len() > 1 && (self.events > events_max || self.bytes > bytes_max)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// From the newest to the oldest, each with its number.
    pub(crate) fn iter_back(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().enumerate().rev().map(|(i, entry)| (self.base + i as u64, entry))
    }

    /// The number of the first entry that holds or follows what comes after `seq`.
    pub(crate) fn number_after(&self, seq: Seq) -> u64 {
        self.base + self.entries.partition_point(|entry| entry.to <= seq) as u64
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.events += entry.events();
        self.bytes += entry.weight;
        self.entries.push_back(entry);
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.base += 1;
        self.forget(&entry);
        Some(entry)
    }

    /// Drops what comes after `seq`; an entry across it goes as well.
    pub(crate) fn truncate(&mut self, seq: Seq) {
        while self.entries.back().is_some_and(|entry| entry.to > seq) {
            let entry = self.entries.pop_back().expect("there is a newest entry");
            self.forget(&entry);
        }
    }

    /// Drops everything; numbers go on, so that every cursor into it has fallen out.
    pub(crate) fn clear(&mut self) {
        self.base = self.end() + 1;
        self.entries.clear();
        (self.events, self.bytes) = (0, 0);
    }

    fn forget(&mut self, entry: &Entry) {
        self.events -= entry.events();
        self.bytes -= entry.weight;
    }
}
