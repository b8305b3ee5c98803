//! What comes from the broker: records and snapshots, in the one order that the inbox gives them.

use super::Hub;
use crate::channel::Fit;
use crate::output::Request;
use crate::shared::{ChannelRecord, Shared};
use crate::subscription::{Phase, ResetDue};
use crate::time::Time;
use std::sync::Arc;
use tally_protocol::{ChannelName, Prev, Seq, Snapshot, Why};

impl Hub {
    /// A record of a watched channel.
    pub fn handle_record(&mut self, now: Time, record: &Arc<Shared<ChannelRecord>>) {
        let Some(channel) = self.names.get(&record.value().channel).copied() else { return };
        if self.channels[channel].holding {
            self.hold(channel, record);
            return;
        }
        match self.channels[channel].fit(&record.value().record) {
            Fit::Next => self.apply(channel, record, now),
            Fit::Old => {}
            Fit::Hole => {
                self.channels[channel].holding = true;
                self.hold(channel, record);
                self.reread(channel);
            }
            Fit::Misfit => {
                self.counters.misfits += 1;
                self.reread(channel);
            }
        }
    }

    /// The answer to a `Watch` or `Reread`: what the broker has, or that it has no such channel.
    ///
    /// `read` is the largest number among those `Reread` requests of this hub for the channel that were polled
    /// before the broker was asked for this snapshot; 0 if there was none. It tells a snapshot that surely is newer
    /// than what made the hub ask from one that was already on its way.
    pub fn handle_snapshot(
        &mut self,
        now: Time,
        channel: &ChannelName,
        snapshot: Option<Snapshot>,
        read: u64,
    ) {
        let Some(channel) = self.names.get(channel).copied() else { return };
        let held = &mut self.channels[channel];
        held.read_answered = held.read_answered.max(read);
        match snapshot {
            Some(snapshot) => self.adopt(channel, snapshot, now),
            None if self.channels[channel].epoch.is_some() => self.restart(channel, None, now),
            None => {}
        }
        self.channels[channel].ready = true;
        self.release_held(channel, now);
        self.wake_waiting(channel, now);
    }

    /// A message waits for the snapshot; too many of them are dropped, and the channel is read once more.
    fn hold(&mut self, channel: u32, record: &Arc<Shared<ChannelRecord>>) {
        let weight = record.value().weight();
        let held = &mut self.channels[channel];
        if held.held_bytes + weight > self.limits.waiting_bytes_max && !held.held.is_empty() {
            self.counters.waiting_overflows += held.held.len() as u64;
            held.held.clear();
            held.held_bytes = 0;
            // The read under way may be older than what was just dropped.
            self.reread_once_more(channel);
        }
        let held = &mut self.channels[channel];
        held.held_bytes += weight;
        held.held.push_back(Arc::clone(record));
    }

    fn release_held(&mut self, channel: u32, now: Time) {
        let held = &mut self.channels[channel];
        held.holding = false;
        held.held_bytes = 0;
        let mut waiting = std::mem::take(&mut held.held);
        while let Some(record) = waiting.pop_front() {
            match self.channels[channel].fit(&record.value().record) {
                Fit::Next => self.apply(channel, &record, now),
                Fit::Old => {}
                Fit::Hole => {
                    let held = &mut self.channels[channel];
                    held.holding = true;
                    // The snapshot was read before this message was published: the rest waits for the next one.
                    held.held_bytes =
                        record.value().weight() + waiting.iter().map(|one| one.value().weight()).sum::<u64>();
                    waiting.push_front(record);
                    held.held = waiting;
                    self.reread(channel);
                    return;
                }
                Fit::Misfit => {
                    self.counters.misfits += 1;
                    self.reread(channel);
                }
            }
        }
    }

    fn wake_waiting(&mut self, channel: u32, now: Time) {
        let waiting = self.channels[channel].unattached.clone();
        for sub in waiting {
            let answered = self.channels[channel].read_answered;
            if let Phase::Waiting { start, read, .. } = &self.subs[sub].phase
                && *read <= answered
            {
                self.subs[sub].phase = Phase::Attaching { start: start.clone(), checked: true };
                self.mark_due(sub, now);
            }
        }
    }

    /// Asks for a snapshot, unless one is on its way.
    pub(super) fn reread(&mut self, channel: u32) {
        if self.channels[channel].read_asked == self.channels[channel].read_answered {
            self.reread_once_more(channel);
        }
    }

    /// Asks for a snapshot that is newer than this moment; answers the number of the read.
    pub(super) fn reread_once_more(&mut self, channel: u32) -> u64 {
        let held = &mut self.channels[channel];
        held.read_asked += 1;
        self.counters.rereads += 1;
        self.requests.push_back(Request::Reread(held.name.clone(), held.read_asked));
        held.read_asked
    }

    /// A record that follows the position.
    fn apply(&mut self, channel: u32, record: &Arc<Shared<ChannelRecord>>, now: Time) {
        let held = &mut self.channels[channel];
        let before = held.log.bytes();
        if let Some(why) = held.advance(record, now) {
            self.counters.count_gap(why, record.value().record.len());
        }
        let weight = self.channels[channel].log.bytes() - before;
        self.log_bytes += weight;
        self.evict(channel);
        self.tell(channel, weight, now);
    }

    /// Wakes the listeners at `full`, and lists the channel for the ticks of the others.
    fn tell(&mut self, channel: u32, weight: u64, now: Time) {
        for grid in 0..3 {
            if !self.channels[channel].reduced[grid].is_empty() {
                self.mark_changed(channel, grid, now);
            }
        }
        let full = std::mem::take(&mut self.channels[channel].full);
        let mut pressed = Vec::new();
        for sub in &full {
            let held = &mut self.subs[*sub];
            held.owed += weight;
            let conn = &mut self.conns[held.conn];
            conn.owed += weight;
            if conn.blocked_at.is_some()
                && conn.owed > weight
                && conn.owed - weight > self.limits.due_bytes_max
            {
                pressed.push(held.conn);
            }
            self.mark_due(*sub, now);
        }
        self.channels[channel].full = full;
        for conn in pressed {
            self.press(conn, now);
        }
    }

    /// Takes a snapshot: older than the position it is ignored, ahead of it there is a gap.
    fn adopt(&mut self, channel: u32, snapshot: Snapshot, now: Time) {
        let held = &self.channels[channel];
        match &held.epoch {
            None if held.seq == Seq::ZERO && !held.ready => self.begin(channel, snapshot),
            Some(epoch) if *epoch == snapshot.epoch => {
                if snapshot.seq > held.seq {
                    self.skip_to(channel, snapshot, now);
                }
            }
            Some(epoch) => match &snapshot.prev {
                Some(prev) if prev.epoch == *epoch => {
                    let prev = prev.clone();
                    self.continue_under(channel, &prev, snapshot, now);
                }
                Some(_) | None => self.restart(channel, Some(snapshot), now),
            },
            None => self.skip_to(channel, snapshot, now),
        }
    }

    fn begin(&mut self, channel: u32, snapshot: Snapshot) {
        let held = &mut self.channels[channel];
        held.epoch = Some(snapshot.epoch);
        held.prev = snapshot.prev;
        held.seq = snapshot.seq;
        held.totals = snapshot.totals;
        held.state = snapshot.state;
    }

    /// The broker is ahead within what the hub can continue: the difference is one gap, exact by kind.
    fn skip_to(&mut self, channel: u32, snapshot: Snapshot, now: Time) {
        let held = &self.channels[channel];
        let Some(counts) = snapshot.totals.since(&held.totals) else {
            return self.restart(channel, Some(snapshot), now);
        };
        let from = held.seq.next();
        let before = held.log.bytes();
        self.counters.count_gap(Why::Upstream, counts.sum());
        let held = &mut self.channels[channel];
        held.epoch = Some(snapshot.epoch);
        held.prev = snapshot.prev;
        held.seq = snapshot.seq;
        held.totals = snapshot.totals;
        held.state = snapshot.state;
        held.push_gap(from, counts, Why::Upstream, now);
        let weight = held.log.bytes() - before;
        self.log_bytes += weight;
        self.evict(channel);
        self.tell(channel, weight, now);
    }

    /// The numbering goes on in a new epoch from `prev`. Cursors up to there continue, the others are reset.
    fn continue_under(&mut self, channel: u32, prev: &Prev, snapshot: Snapshot, now: Time) {
        if self.channels[channel].seq > prev.seq {
            self.reset_listeners(channel, prev.seq, now);
            self.take_back(channel, prev.seq);
        }
        let held = &mut self.channels[channel];
        held.points = [None, None, None];
        if snapshot.seq > held.seq {
            self.skip_to(channel, snapshot, now);
        } else {
            held.epoch = Some(snapshot.epoch);
            held.prev = snapshot.prev;
        }
    }

    /// Takes the hub's own position back to `seq`, with what the log still knows of it.
    fn take_back(&mut self, channel: u32, seq: Seq) {
        let held = &mut self.channels[channel];
        let before = held.log.bytes();
        let number = held.log.number_after(seq);
        let totals = held.totals_before(number).filter(|totals| totals.sum() == seq.get());
        match totals {
            Some(totals) => {
                held.log.truncate(seq);
                held.totals = totals;
            }
            // Too far back, or not at the end of a record: everything up to the snapshot is one jump.
            None => {
                held.log.clear();
                held.totals = tally_protocol::Totals::new();
                for sub in held.full.clone() {
                    self.subs[sub].jump_why = Why::Upstream;
                }
            }
        }
        let held = &mut self.channels[channel];
        held.seq = seq;
        held.state = held.state.take().filter(|state| state.seq <= seq);
        self.log_bytes -= before - held.log.bytes();
        // What was charged for the dropped part can no longer be pulled.
        for sub in held.full.clone() {
            let held = &mut self.subs[sub];
            held.free_until = seq;
            let owed = std::mem::take(&mut held.owed);
            self.conns[held.conn].owed -= owed;
        }
    }

    /// Continuity is broken: the channel starts anew at the snapshot, or as one without events.
    fn restart(&mut self, channel: u32, snapshot: Option<Snapshot>, now: Time) {
        let held = &mut self.channels[channel];
        self.log_bytes -= held.log.bytes();
        held.log.clear();
        held.points = [None, None, None];
        (held.epoch, held.prev, held.state) = (None, None, None);
        held.seq = Seq::ZERO;
        held.totals = tally_protocol::Totals::new();
        if let Some(snapshot) = snapshot {
            self.begin(channel, snapshot);
        }
        self.reset_all(channel, now);
    }

    /// Every attached listener whose cursor lies above `above` is reset; `reset_all` spares none.
    fn reset_listeners(&mut self, channel: u32, above: Seq, now: Time) {
        let held = &self.channels[channel];
        let listeners: Vec<u32> = held.full.iter().chain(held.reduced.iter().flatten()).copied().collect();
        for sub in listeners {
            if self.subs[sub].cursor > above {
                self.reset(sub, now);
            }
        }
    }

    fn reset_all(&mut self, channel: u32, now: Time) {
        let held = &self.channels[channel];
        let listeners: Vec<u32> = held.full.iter().chain(held.reduced.iter().flatten()).copied().collect();
        for sub in listeners {
            self.reset(sub, now);
        }
    }

    fn reset(&mut self, sub: u32, now: Time) {
        self.counters.resets += 1;
        let held = &mut self.subs[sub];
        held.reset = Some(ResetDue::Now);
        held.replay = None;
        held.shadow_seq = Seq::ZERO;
        let owed = std::mem::take(&mut held.owed);
        let conn = held.conn;
        self.conns[conn].owed -= owed;
        self.mark_due(sub, now);
    }

    /// Holds the limits of the channel's log, then that of all logs of the hub: the coldest go first.
    fn evict(&mut self, channel: u32) {
        let (events_max, bytes_max) = (self.limits.log_events_max, self.limits.log_bytes_max);
        while self.channels[channel].log.is_over(events_max, bytes_max) {
            self.evict_oldest(channel);
        }
        self.rewarm(channel);
        while self.log_bytes > self.limits.hub_log_bytes_max {
            let Some((_, coldest)) = self.coldest.first().copied() else { return };
            while self.channels[coldest].log.len() > 1 {
                self.evict_oldest(coldest);
            }
            self.cool(coldest);
        }
    }

    fn evict_oldest(&mut self, channel: u32) {
        let log = &mut self.channels[channel].log;
        let before = log.bytes();
        log.pop_oldest();
        self.log_bytes -= before - log.bytes();
        self.counters.evicted += 1;
    }

    /// The channel is now the warmest.
    fn rewarm(&mut self, channel: u32) {
        self.cool(channel);
        if self.channels[channel].log.len() > 1 {
            self.warmth += 1;
            self.channels[channel].warmth = Some(self.warmth);
            self.coldest.insert((self.warmth, channel));
        }
    }

    pub(super) fn cool(&mut self, channel: u32) {
        if let Some(warmth) = self.channels[channel].warmth.take() {
            self.coldest.remove(&(warmth, channel));
        }
    }
}
