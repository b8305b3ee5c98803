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
        if !self.channels[channel].ready {
            return self.hold(channel, record);
        }
        match self.channels[channel].fit(&record.value().record) {
            // What follows is taken even while others wait, and may be what they waited for.
            Fit::Next => {
                self.apply(channel, record, now);
                self.release_next(channel, now);
            }
            Fit::Old => {}
            Fit::Hole => {
                self.hold(channel, record);
                self.reread(channel);
            }
            Fit::Misfit => self.misfit(channel),
        }
    }

    /// Takes those that waited and now follow.
    fn release_next(&mut self, channel: u32, now: Time) {
        while let Some((_, record)) = self.channels[channel].held.front() {
            let fit = self.channels[channel].fit(&record.value().record);
            if !matches!(fit, Fit::Next | Fit::Old) {
                return;
            }
            let held = &mut self.channels[channel];
            let (_, record) = held.held.pop_front().expect("there is a first");
            held.held_bytes -= record.value().weight();
            if fit == Fit::Next {
                self.apply(channel, &record, now);
            }
        }
    }

    /// The answer to a `Watch` or `Reread`: what the broker has, or that it has no such channel.
    ///
    /// `read` is the largest number among those `Reread` requests of this hub for the channel that were polled
    /// before the broker was asked for this snapshot; 0 if there was none. It tells a snapshot that surely is newer
    /// than what made the hub ask from one that was already on its way. A snapshot that would break continuity
    /// without surely being newer than the hub's position is not taken; the hub asks once more.
    pub fn handle_snapshot(
        &mut self,
        now: Time,
        channel: &ChannelName,
        snapshot: Option<Snapshot>,
        read: u64,
    ) {
        let Some(channel) = self.names.get(channel).copied() else { return };
        let held = &mut self.channels[channel];
        if read < held.read_sure && held.breaks(snapshot.as_ref()) {
            self.reread_once_more(channel);
            return;
        }
        held.read_answered = held.read_answered.max(read);
        match snapshot {
            Some(snapshot) => self.adopt(channel, snapshot, now),
            None if held.epoch.is_some() => self.restart(channel, None),
            None => {}
        }
        self.channels[channel].ready = true;
        self.release_held(channel, now);
        self.wake_waiting(channel);
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
        let newer = self.next_read(channel);
        let held = &mut self.channels[channel];
        held.held_bytes += weight;
        held.held.push_back((newer, Arc::clone(record)));
    }

    fn release_held(&mut self, channel: u32, now: Time) {
        let held = &mut self.channels[channel];
        held.held_bytes = 0;
        let mut waiting = std::mem::take(&mut held.held);
        while let Some((newer, record)) = waiting.pop_front() {
            match self.channels[channel].fit(&record.value().record) {
                Fit::Old => {}
                // A snapshot that surely is newer does not know it: it is a late one, or a foreign one.
                _ if self.channels[channel].read_answered >= newer => self.counters.misfits += 1,
                Fit::Next => self.apply(channel, &record, now),
                // The snapshot was read before this message was published: the rest waits for the next one.
                Fit::Hole => {
                    waiting.push_front((newer, record));
                    let held = &mut self.channels[channel];
                    held.held_bytes = waiting.iter().map(|(_, record)| record.value().weight()).sum();
                    held.held = waiting;
                    return self.reread(channel);
                }
                Fit::Misfit => self.misfit(channel),
            }
        }
    }

    /// The message is of no use; what is behind it is read.
    fn misfit(&mut self, channel: u32) {
        self.counters.misfits += 1;
        self.reread_once_more(channel);
    }

    fn wake_waiting(&mut self, channel: u32) {
        let waiting = self.channels[channel].unattached.clone();
        for sub in waiting {
            let answered = self.channels[channel].read_answered;
            if let Phase::Waiting { start, read } = &self.subs[sub].phase
                && *read <= answered
            {
                // The first snapshot may have been on its way before this client came.
                self.subs[sub].phase = Phase::Attaching { start: start.clone(), checked: *read > 0 };
                self.mark_due(sub);
            }
        }
    }

    /// Asks for a snapshot, unless one is on its way.
    fn reread(&mut self, channel: u32) {
        if self.channels[channel].read_asked <= self.channels[channel].read_answered {
            self.reread_once_more(channel);
        }
    }

    /// Asks for a snapshot that is newer than this moment; answers the number of the read.
    pub(super) fn reread_once_more(&mut self, channel: u32) -> u64 {
        let number = self.next_read(channel);
        let held = &mut self.channels[channel];
        if !std::mem::replace(&mut held.read_queued, true) {
            held.read_asked = number;
            self.reads = number;
            self.counters.rereads += 1;
            self.requests.push_back(Request::Reread(held.name.clone(), number));
        }
        number
    }

    /// The number of the next read that will be newer than this moment.
    fn next_read(&self, channel: u32) -> u64 {
        let held = &self.channels[channel];
        if held.read_queued { held.read_asked } else { self.reads + 1 }
    }

    /// A record that follows the position.
    fn apply(&mut self, channel: u32, record: &Arc<Shared<ChannelRecord>>, now: Time) {
        let held = &mut self.channels[channel];
        let before = held.log.bytes();
        if let Some(why) = held.advance(record, now) {
            self.counters.count_gap(why, record.value().record.len());
        }
        let newer = self.next_read(channel);
        let held = &mut self.channels[channel];
        held.read_sure = newer;
        let weight = held.log.bytes() - before;
        let value = &record.value().record;
        self.counters.events_in += value.len();
        held.meter.note_record(value.len(), record.value().data_bytes(weight));
        self.log_bytes += weight;
        self.evict(channel);
        self.tell(channel, weight, now);
    }

    /// Wakes the listeners at `full`, and lists the channel for the ticks of the others.
    fn tell(&mut self, channel: u32, weight: u64, now: Time) {
        self.tell_ticks(channel, now);
        let full = std::mem::take(&mut self.channels[channel].full);
        let mut pressed = Vec::new();
        for sub in &full {
            let held = &mut self.subs[*sub];
            held.owed += weight;
            let conn = &mut self.conns[held.conn];
            conn.owed += weight;
            // The first record due never trips the limit, whatever its size.
            if conn.blocked_at.is_some() && conn.owed > self.limits.due_bytes_max {
                let log = &self.channels[channel].log;
                let first = log.get(held.next.max(log.number_after(held.free_until)).max(log.base()));
                if conn.owed - first.map_or(0, |entry| entry.weight) > self.limits.due_bytes_max {
                    pressed.push(held.conn);
                }
            }
            self.mark_due(*sub);
        }
        self.channels[channel].full = full;
        for conn in pressed {
            self.press(conn, now);
        }
    }

    /// Lists the channel for the tick of every grid that has listeners.
    fn tell_ticks(&mut self, channel: u32, now: Time) {
        for grid in 0..3 {
            if !self.channels[channel].reduced[grid].is_empty() {
                self.mark_changed(channel, grid, now);
            }
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
                Some(prev) if prev.epoch == *epoch && prev.seq <= snapshot.seq => {
                    let prev = prev.clone();
                    self.continue_under(channel, &prev, snapshot, now);
                }
                Some(_) | None => self.restart(channel, Some(snapshot)),
            },
            None if snapshot.seq > Seq::ZERO => self.skip_to(channel, snapshot, now),
            None => self.begin(channel, snapshot),
        }
    }

    fn begin(&mut self, channel: u32, snapshot: Snapshot) {
        let held = &mut self.channels[channel];
        held.epoch = Some(snapshot.epoch);
        held.prev = snapshot.prev;
        held.seq = snapshot.seq;
        held.totals = snapshot.totals;
        held.state = snapshot.state;
        if held.log.len() == 0 {
            held.state_before_log.clone_from(&held.state);
        }
    }

    /// The broker is ahead within what the hub can continue: the difference is one gap, exact by kind.
    fn skip_to(&mut self, channel: u32, snapshot: Snapshot, now: Time) {
        let held = &self.channels[channel];
        let Some(counts) = snapshot.totals.since(&held.totals) else {
            return self.restart(channel, Some(snapshot));
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
        self.channels[channel].points = [None, None, None];
        let can_go_on = self.channels[channel].seq <= prev.seq || self.take_back(channel, prev.seq);
        let held = &mut self.channels[channel];
        if !can_go_on {
            held.seq = snapshot.seq;
            held.totals.clone_from(&snapshot.totals);
        }
        if snapshot.seq > held.seq {
            self.skip_to(channel, snapshot, now);
        } else {
            self.begin(channel, snapshot);
            self.tell_ticks(channel, now);
        }
        self.channels[channel].read_sure = self.next_read(channel);
    }

    /// Takes the hub's own position back to `seq`, with what the log still knows of it. Where it does not know the
    /// totals there, answers false: everything up to the snapshot is one jump.
    fn take_back(&mut self, channel: u32, seq: Seq) -> bool {
        self.reset_listeners(channel, Some(seq));
        let held = &mut self.channels[channel];
        let before = held.log.bytes();
        let number = held.log.number_after(seq);
        let totals = held.totals_before(number).filter(|totals| totals.sum() == seq.get());
        let known = totals.is_some();
        if let Some(totals) = totals {
            held.state = held.state_before(number);
            held.log.truncate(seq);
            (held.seq, held.totals) = (seq, totals);
        } else {
            held.log.clear();
        }
        self.log_bytes -= before - held.log.bytes();
        for sub in self.channels[channel].full.clone() {
            self.take_back_listener(sub, seq, known);
        }
        known
    }

    /// What was charged for the dropped part can no longer be pulled, nor a replay that starts in it.
    fn take_back_listener(&mut self, sub: u32, seq: Seq, known: bool) {
        let held = &mut self.subs[sub];
        held.free_until = held.free_until.min(seq);
        let replay = held.replay.take_if(|point| point.seq > seq || !known);
        if replay.is_some() {
            held.next = self.channels[held.channel].log.base() - 1;
        }
        if !known {
            held.jump_why = Why::Upstream;
        }
        self.charge_anew(sub);
        self.mark_due(sub);
    }

    /// Continuity is broken: the channel starts anew at the snapshot, or as one without events.
    fn restart(&mut self, channel: u32, snapshot: Option<Snapshot>) {
        let held = &mut self.channels[channel];
        self.log_bytes -= held.log.bytes();
        held.log.clear();
        held.points = [None, None, None];
        (held.epoch, held.prev) = (None, None);
        (held.state, held.state_before_log) = (None, None);
        held.seq = Seq::ZERO;
        held.totals = tally_protocol::Totals::new();
        if let Some(snapshot) = snapshot {
            self.begin(channel, snapshot);
        }
        self.channels[channel].read_sure = self.next_read(channel);
        self.reset_listeners(channel, None);
    }

    /// Every attached listener whose cursor lies above `above` is reset; without it, every one.
    fn reset_listeners(&mut self, channel: u32, above: Option<Seq>) {
        let held = &self.channels[channel];
        let listeners: Vec<u32> = held.full.iter().chain(held.reduced.iter().flatten()).copied().collect();
        for sub in listeners {
            if above.is_none_or(|above| self.subs[sub].cursor > above) {
                self.reset(sub);
            }
        }
    }

    fn reset(&mut self, sub: u32) {
        self.counters.resets += 1;
        let held = &mut self.subs[sub];
        held.reset = Some(ResetDue::Now);
        held.replay = None;
        held.shadow_seq = self.channels[held.channel].seq;
        let owed = std::mem::take(&mut held.owed);
        let conn = held.conn;
        self.conns[conn].owed -= owed;
        self.mark_due(sub);
    }
}
