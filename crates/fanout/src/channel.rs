//! One channel as a hub knows it: position, totals, log, listeners by how they are served, and what waits.

use crate::flow::Meter;
use crate::hub::unnumbered::Passed;
use crate::log::{Body, Entry, Log};
use crate::point::Point;
use crate::shared::{ChannelRecord, Shared};
use crate::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::{
    Body as RecordBody, CHANNEL_KINDS_MAX, ChannelName, Epoch, Position, Prev, Record, Seq, Snapshot, State,
    TAIL_BYTES_MAX, TAIL_EVENTS_MAX, TailEvent, Totals, Why,
};

/// How a record relates to the channel's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Next,
    /// Already known.
    Old,
    /// Something is missing before it; it can follow once that is known.
    Hole,
    /// It straddles the position, or cannot be of this channel; it is of no use.
    Misfit,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    /// Whether a snapshot was applied.
    pub(crate) ready: bool,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) prev: Option<Prev>,
    pub(crate) seq: Seq,
    pub(crate) totals: Totals,
    pub(crate) state: Option<State>,
    /// The newest state event before the log.
    pub(crate) state_before_log: Option<State>,
    pub(crate) log: Log,
    /// The newest tick of each grid.
    pub(crate) points: [Option<Point>; 3],
    /// Whether the channel is listed for the next tick of each grid.
    pub(crate) changed: [bool; 3],
    pub(crate) unattached: Vec<u32>,
    pub(crate) full: Vec<u32>,
    pub(crate) reduced: [Vec<u32>; 3],
    /// Listeners that want a tail.
    pub(crate) tails: usize,
    /// Messages that wait for a snapshot, each with the number from which a read surely is newer than it.
    pub(crate) held: VecDeque<(u64, Arc<Shared<ChannelRecord>>)>,
    pub(crate) held_bytes: u64,
    /// The number of the newest read that was asked for, and of the newest that was answered.
    pub(crate) read_asked: u64,
    pub(crate) read_answered: u64,
    /// Whether the newest read still waits to be polled: it will be newer than this moment.
    pub(crate) read_queued: bool,
    /// Only a read of this number or above surely is newer than what brought the channel to its position; an older
    /// one may not break continuity.
    pub(crate) read_sure: u64,
    pub(crate) idle_timer_at: Option<Time>,
    pub(crate) unnumbered: Passed,
    /// Its place among the hub's logs by coldness, where it has more than one entry.
    pub(crate) warmth: Option<u64>,
    pub(crate) meter: Meter,
    /// By effective rung in the order of `Rung::ALL`, as the last look saw them.
    pub(crate) listeners: [usize; 3],
    window_at: Time,
    window_events: u64,
    rate: u64,
}

impl Channel {
    pub(crate) fn new(name: ChannelName, now: Time) -> Self {
        Self {
            name,
            ready: false,
            epoch: None,
            prev: None,
            seq: Seq::ZERO,
            totals: Totals::new(),
            state: None,
            state_before_log: None,
            log: Log::default(),
            points: [None, None, None],
            changed: [false; 3],
            unattached: Vec::new(),
            full: Vec::new(),
            reduced: [Vec::new(), Vec::new(), Vec::new()],
            tails: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            read_asked: 0,
            read_answered: 0,
            read_queued: false,
            read_sure: 0,
            idle_timer_at: None,
            unnumbered: Passed::default(),
            warmth: None,
            meter: Meter::default(),
            listeners: [0; 3],
            window_at: now,
            window_events: 0,
            rate: 0,
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            epoch: self.epoch.clone(),
            seq: self.seq,
            totals: self.totals.clone(),
            state: self.state.clone(),
        }
    }

    pub(crate) fn has_listeners(&self) -> bool {
        !self.unattached.is_empty()
            || !self.full.is_empty()
            || self.reduced.iter().any(|list| !list.is_empty())
    }

    /// Only a snapshot changes an epoch, except that the first event of all starts one. What comes of the epoch before
    /// this one is late.
    pub(crate) fn fit(&self, record: &Record) -> Fit {
        match &self.epoch {
            None if record.from == Seq::ZERO.next() => self.fit_kinds(record),
            Some(epoch) if *epoch == record.epoch => {
                if record.to <= self.seq {
                    Fit::Old
                } else if record.from <= self.seq {
                    Fit::Misfit
                } else if record.from > self.seq.next() {
                    Fit::Hole
                } else {
                    self.fit_kinds(record)
                }
            }
            _ if self.prev.as_ref().is_some_and(|prev| prev.epoch == record.epoch) => Fit::Old,
            None | Some(_) => Fit::Hole,
        }
    }

    /// Whether taking this snapshot would break continuity for somebody who is at the channel's position.
    pub(crate) fn breaks(&self, snapshot: Option<&Snapshot>) -> bool {
        match (&self.epoch, snapshot) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(epoch), Some(new)) if *epoch == new.epoch => {
                new.seq > self.seq && new.totals.since(&self.totals).is_none()
            }
            (Some(epoch), Some(new)) => new.prev.as_ref().is_none_or(|prev| prev.epoch != *epoch),
        }
    }

    /// A broker never lets a channel have more kinds than this; a foreign producer might try.
    fn fit_kinds(&self, record: &Record) -> Fit {
        let fresh = record.counts.iter().filter(|(kind, _)| self.totals.get(kind.as_str()) == 0).count();
        if self.totals.len() + fresh > CHANNEL_KINDS_MAX + 1 { Fit::Misfit } else { Fit::Next }
    }

    /// Takes a record that fits: position, totals, state and log go on. Answers the why of a span without payloads.
    pub(crate) fn advance(&mut self, record: &Arc<Shared<ChannelRecord>>, now: Time) -> Option<Why> {
        let value = &record.value().record;
        self.epoch = Some(value.epoch.clone());
        self.seq = value.to;
        self.totals.add_all(&value.counts);
        if let Some(state) = value.state() {
            self.state = Some(state);
        }
        self.count_rate(value.len(), now);
        match &value.body {
            RecordBody::Events(_) => {
                self.log.push(Entry::record(record, now));
                None
            }
            RecordBody::Counts { why, .. } => {
                self.push_gap(value.from, value.counts.clone(), *why, now);
                Some(*why)
            }
        }
    }

    /// Logs that everything from `from` up to the position came without payloads.
    pub(crate) fn push_gap(&mut self, from: Seq, counts: Totals, why: Why, now: Time) {
        let next = self.log.end() + 1;
        if let Some(mut point) = self.point(next, now) {
            point.state = point.state.filter(|state| state.seq >= from);
            self.log.push(Entry::gap(from, counts, why, point, now));
        }
    }

    /// The channel now; `None` where it has had no events.
    pub(crate) fn point(&self, next: u64, now: Time) -> Option<Point> {
        let epoch = self.epoch.clone()?;
        Some(Point::new(epoch, self.seq, self.totals.clone(), self.state.clone(), next, now))
    }

    /// The newest state event before log entry `number`.
    pub(crate) fn state_before(&self, number: u64) -> Option<State> {
        if number >= self.log.end() {
            return self.state.clone();
        }
        let before = self.log.iter_back().skip_while(|(one, _)| *one >= number);
        let newest = before.map(|(_, entry)| entry).find_map(Entry::state);
        newest.or_else(|| self.state_before_log.clone())
    }

    /// The epoch in which log entry `number` was numbered; the channel's where the log ends before it.
    pub(crate) fn epoch_at(&self, number: u64) -> Option<Epoch> {
        match self.log.get(number).map(|entry| &entry.body) {
            Some(Body::Record(record)) => Some(record.value().record.epoch.clone()),
            Some(Body::Gap { point, .. }) => Some(point.epoch.clone()),
            None => self.epoch.clone(),
        }
    }

    /// The newest events, contiguous up to the position; none across a gap.
    pub(crate) fn tail(&self) -> Vec<TailEvent> {
        let mut tail = Vec::new();
        let mut bytes = 0;
        'log: for (_, entry) in self.log.iter_back() {
            let Body::Record(record) = &entry.body else { break };
            let RecordBody::Events(events) = &record.value().record.body else { break };
            for (i, event) in events.iter().enumerate().rev() {
                bytes += event.data.len();
                if tail.len() == TAIL_EVENTS_MAX || bytes > TAIL_BYTES_MAX {
                    break 'log;
                }
                tail.push(TailEvent {
                    seq: entry.from.plus(i as u64),
                    kind: event.kind.clone(),
                    sent_as: event.sent_as.clone(),
                    class: event.class,
                    at: event.at,
                    data: event.data.clone(),
                });
            }
        }
        tail.reverse();
        tail
    }

    /// The totals just before log entry `number`; `None` where the log does not reach back so far.
    pub(crate) fn totals_before(&self, number: u64) -> Option<Totals> {
        if number < self.log.base() {
            return None;
        }
        let mut span = Totals::new();
        for (_, entry) in self.log.iter_back().take_while(|(n, _)| *n >= number) {
            span.add_all(entry.counts());
        }
        self.totals.since(&span)
    }

    /// Events per second over about the last second.
    pub(crate) fn rate(&self, now: Time) -> u64 {
        let elapsed = now.since(self.window_at);
        if elapsed >= Duration::from_secs(2) { 0 } else { self.rate.max(self.window_events) }
    }

    fn count_rate(&mut self, events: u64, now: Time) {
        let elapsed_ms = now.since(self.window_at).as_millis() as u64;
        if elapsed_ms >= 1_000 {
            self.rate = self.window_events.saturating_mul(1_000) / elapsed_ms;
            self.window_at = now;
            self.window_events = 0;
        }
        self.window_events = self.window_events.saturating_add(events);
    }
}
