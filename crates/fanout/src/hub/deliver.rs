//! What a connection gets next, derived when its socket has room: replies, its ceiling, its channels in turn, summaries.
//!
//! A cursor moves only here and in `attach`, together with the frame that accounts for the step (laws 1 and 2).

use super::Hub;
use crate::limits::SUMMARY_ENTRY_BYTES;
use crate::log::Body;
use crate::output::Output;
use crate::session::ConnId;
use crate::subscription::{Phase, ResetDue};
use crate::time::Time;
use std::sync::Arc;
use tally_protocol::{
    Position, Reset, Rung, RungFrame, SUMMARY_BYTES_MAX, Seq, Summary, SummaryChannel, UpstreamFrame, Why,
};

impl Hub {
    /// What to write next to a connection that is not blocked; `None` when nothing is due.
    pub fn poll_output(&mut self, now: Time, conn: ConnId) -> Option<Output> {
        let index = self.index(conn)?;
        if let Some(reply) = self.conns[index].replies.pop_front() {
            return Some(reply);
        }
        if let Some(output) = self.tell_connection(index) {
            return Some(output);
        }
        if self.conns[index].turns > self.conns[index].due.len()
            && let Some(summary) = self.next_summary(index)
        {
            return Some(summary);
        }
        while let Some(sub) = self.conns[index].due.pop_front() {
            if let Some(output) = self.next_of(sub, now) {
                self.conns[index].due.push_back(sub);
                self.conns[index].turns += 1;
                return Some(output);
            }
            self.subs[sub].in_due = false;
        }
        self.next_summary(index).or_else(|| self.next_unnumbered(index))
    }

    /// What differs from what the connection was last told as a whole.
    fn tell_connection(&mut self, conn: u32) -> Option<Output> {
        let held = &mut self.conns[conn];
        let rung = held.ceiling();
        if held.told_ceiling != rung {
            let why = if rung < held.told_ceiling { held.ceiling_why() } else { held.told_ceiling_why };
            (held.told_ceiling, held.told_ceiling_why) = (rung, held.ceiling_why());
            return Some(Output::Rung(RungFrame { channel: None, rung, why }));
        }
        held.told_ceiling_why = held.ceiling_why();
        if held.told_upstream != self.upstream {
            held.told_upstream = self.upstream;
            let (status, since) = (self.upstream, self.upstream_since);
            return Some(Output::Upstream(UpstreamFrame { status, since, channels: None }));
        }
        None
    }

    /// The next thing of one subscription; `None` when it has nothing.
    fn next_of(&mut self, sub: u32, now: Time) -> Option<Output> {
        match &self.subs[sub].phase {
            Phase::Waiting { .. } => return self.pending(sub),
            Phase::Attaching { .. } => return self.attach(sub, now),
            Phase::Attached => {}
        }
        if let Some(reset) = self.subs[sub].reset.take() {
            return Some(self.reset_frame(sub, reset));
        }
        if let Some(rung) = self.tell_rung(sub) {
            return Some(rung);
        }
        match self.effective_rung(sub) {
            Rung::Full => self.next_at_full(sub, now),
            Rung::Counts => self.next_at_counts(sub),
            Rung::Summary => None,
        }
    }

    fn reset_frame(&mut self, sub: u32, reset: ResetDue) -> Output {
        if matches!(reset, ResetDue::Now) {
            self.close_account(sub);
        }
        let held = &mut self.subs[sub];
        let channel = &self.channels[held.channel];
        let Position { epoch, seq, totals, state } = match reset {
            ResetDue::Given(position) => *position,
            ResetDue::Now => {
                held.opened_at = channel.seq;
                held.cursor = channel.seq;
                held.next = channel.log.end();
                held.shadow_seq = channel.seq;
                held.free_until = channel.seq;
                let owed = std::mem::take(&mut held.owed);
                self.conns[held.conn].owed -= owed;
                channel.position()
            }
        };
        Output::Reset(Box::new(Reset { channel: channel.name.clone(), epoch, seq, totals, state }))
    }

    fn tell_rung(&mut self, sub: u32) -> Option<Output> {
        let held = &mut self.subs[sub];
        let rung = held.own_rung();
        if held.told == rung {
            // The reason may be another one by now; on the way up, the last one counts.
            held.told_why = held.own_why();
            return None;
        }
        let why = if rung < held.told { held.own_why() } else { held.told_why };
        (held.told, held.told_why) = (rung, held.own_why());
        self.counters.count_rung(rung, why);
        let channel = Some(self.channels[held.channel].name.clone());
        Some(Output::Rung(RungFrame { channel, rung, why }))
    }

    /// The next log entry: a record in full if both buckets can pay it, a gap in place as counts.
    fn next_at_full(&mut self, sub: u32, now: Time) -> Option<Output> {
        let held = &mut self.subs[sub];
        let channel = &mut self.channels[held.channel];
        if let Some(mut point) = held.replay.take() {
            let frame = point.frame(&channel.name, held.cursor, Why::Replay, held.tail);
            let counted = point.seq.since(held.cursor);
            self.counters.count_counted(Why::Replay, counted);
            channel.meter.note_counted(counted);
            (held.cursor, held.next) = (point.seq, point.next);
            held.jump_why = Why::Backpressure;
            return Some(Output::Counts(frame));
        }
        if held.next < channel.log.base() {
            return self.jump(sub, now);
        }
        let (next, free_until) = (held.next, held.free_until);
        let entry = channel.log.get(next)?;
        let (to, weight) = (entry.to, entry.weight);
        // A gap costs as much as one event, whatever it stands for: it is one frame.
        let cost = match &entry.body {
            Body::Gap { .. } => 1,
            Body::Record(record) => record.value().record.len(),
        };
        if to > free_until && !self.pay(sub, cost, now) {
            return self.tell_rung(sub);
        }
        let held = &mut self.subs[sub];
        let channel = &mut self.channels[held.channel];
        let output = match &mut channel.log.get_mut(next)?.body {
            Body::Gap { point, why, .. } => {
                let counted = to.since(held.cursor);
                self.counters.count_counted(*why, counted);
                channel.meter.note_counted(counted);
                Output::Counts(point.frame(&channel.name, held.cursor, *why, held.tail))
            }
            Body::Record(record) => {
                self.counters.events_full += cost;
                channel.meter.note_full(cost, weight);
                Output::Events(Arc::clone(record))
            }
        };
        self.pulled(sub, to, weight);
        Some(output)
    }

    fn pulled(&mut self, sub: u32, to: Seq, weight: u64) {
        let held = &mut self.subs[sub];
        if to > held.free_until {
            // A record that came while a reset or attach was due was not charged.
            let owed = weight.min(held.owed);
            held.owed -= owed;
            self.conns[held.conn].owed -= owed;
        }
        held.jump_why = Why::Backpressure;
        held.cursor = to;
        held.next += 1;
    }

    /// Charges a record to both buckets; where that cannot be, throttles and answers false.
    fn pay(&mut self, sub: u32, events: u64, now: Time) -> bool {
        let conn = self.subs[sub].conn;
        if !self.subs[sub].bucket.can_pay(events, now) {
            self.throttle(sub, now);
            return false;
        }
        if !self.conns[conn].bucket.can_pay(events, now) {
            // The busiest goes first; this record may then be paid in advance, up to one burst.
            let busiest = self.full_of(conn).max_by_key(|one| {
                let channel = self.subs[*one].channel;
                (self.channels[channel].rate(now), channel)
            });
            let busiest = busiest.unwrap_or(sub);
            let may_overdraw = self.conns[conn].bucket.may_overdraw(events);
            self.throttle(if may_overdraw { busiest } else { sub }, now);
            if busiest == sub || !may_overdraw {
                return false;
            }
        }
        self.subs[sub].bucket.pay(events);
        self.conns[conn].bucket.pay(events);
        true
    }

    fn throttle(&mut self, sub: u32, now: Time) {
        let held = &mut self.subs[sub];
        held.throttled = true;
        held.bucket.drain(now);
        held.shadow_seq = self.channels[held.channel].seq;
        let at = now + held.bucket.full_in();
        self.set_recovery_timer(sub, Some(at));
        self.place(sub, now);
        self.mark_due(sub);
    }

    /// The cursor fell out of the log: it goes to the head, and the frame says so.
    fn jump(&mut self, sub: u32, now: Time) -> Option<Output> {
        let held = &mut self.subs[sub];
        let channel = &mut self.channels[held.channel];
        let owed = std::mem::take(&mut held.owed);
        self.conns[held.conn].owed -= owed;
        let next = channel.log.end();
        held.next = next;
        if held.cursor >= channel.seq {
            return None;
        }
        let frame = channel.point(next, now)?.frame(&channel.name, held.cursor, held.jump_why, false);
        self.counters.jumps += 1;
        let counted = channel.seq.since(held.cursor);
        self.counters.count_counted(held.jump_why, counted);
        channel.meter.note_counted(counted);
        held.cursor = channel.seq;
        held.jump_why = Why::Backpressure;
        Some(Output::Counts(frame))
    }

    /// The newest tick, if it is ahead of the cursor.
    fn next_at_counts(&mut self, sub: u32) -> Option<Output> {
        let why = self.effective_why(sub);
        let held = &mut self.subs[sub];
        let channel = &mut self.channels[held.channel];
        let point = channel.points[Self::grid(held.tick)].as_mut();
        let point = point.filter(|point| point.seq > held.cursor && point.tick > held.reduced_since)?;
        let frame = point.frame(&channel.name, held.cursor, why, held.tail);
        let counted = point.seq.since(held.cursor);
        (held.cursor, held.next) = (point.seq, point.next);
        self.counters.count_counted(why, counted);
        channel.meter.note_counted(counted);
        Some(Output::Counts(frame))
    }

    /// The next summary, or the rung that has to be told before it.
    fn next_summary(&mut self, conn: u32) -> Option<Output> {
        self.conns[conn].turns = 0;
        let sub = self.first_of_summaries(conn)?;
        if let Some(rung) = self.tell_rung(sub) {
            return Some(rung);
        }
        Some(Output::Summary(Box::new(self.summary(conn)?)))
    }

    /// The subscription that waits longest for its summary; those that wait for none any more are left out.
    fn first_of_summaries(&mut self, conn: u32) -> Option<u32> {
        while let Some(sub) = self.conns[conn].summaries.front().copied() {
            let is_due = self.effective_rung(sub) == Rung::Summary
                && self.subs[sub].reset.is_none()
                && self.subs[sub].cursor < self.channels[self.subs[sub].channel].seq;
            if is_due {
                return Some(sub);
            }
            self.conns[conn].summaries.pop_front();
            self.subs[sub].in_summary = false;
        }
        None
    }

    /// The channels that wait longest, as they are now, as many as fit and have the same reason.
    fn summary(&mut self, conn: u32) -> Option<Summary> {
        let first = self.first_of_summaries(conn)?;
        let why = self.effective_why(first);
        let mut channels = Vec::new();
        let mut bytes = 0;
        while let Some(sub) = self.first_of_summaries(conn) {
            bytes += self.summary_bytes(sub);
            let fits = channels.is_empty() || bytes <= SUMMARY_BYTES_MAX;
            let is_told = self.subs[sub].told == self.subs[sub].own_rung();
            if !fits || !is_told || self.effective_why(sub) != why {
                break;
            }
            self.conns[conn].summaries.pop_front();
            self.subs[sub].in_summary = false;
            channels.extend(self.summarise(sub, why));
        }
        Some(Summary { why, channels })
    }

    fn summary_bytes(&self, sub: u32) -> usize {
        let held = &self.subs[sub];
        let channel = &self.channels[held.channel];
        let kinds: usize = channel.totals.iter().map(|(kind, _)| kind.as_str().len() + 20).sum();
        let state = channel.state.as_ref().filter(|state| state.seq > held.cursor);
        SUMMARY_ENTRY_BYTES
            + channel.name.as_str().len()
            + kinds
            + state.map_or(0, |state| 200 + state.data.len())
    }

    fn summarise(&mut self, sub: u32, why: Why) -> Option<SummaryChannel> {
        let held = &mut self.subs[sub];
        let channel = &mut self.channels[held.channel];
        let summary = SummaryChannel {
            channel: channel.name.clone(),
            epoch: channel.epoch.clone()?,
            seq: channel.seq,
            totals: channel.totals.clone(),
            state: channel.state.clone().filter(|state| state.seq > held.cursor),
        };
        let summarised = channel.seq.since(held.cursor);
        self.counters.summarised[why as usize] += summarised;
        channel.meter.note_counted(summarised);
        held.cursor = channel.seq;
        held.next = channel.log.end();
        Some(summary)
    }
}
