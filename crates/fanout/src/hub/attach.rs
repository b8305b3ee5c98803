//! Where a subscription starts: at the head, some events back, or where the client's cursor was.

use super::Hub;
use crate::channel::Channel;
use crate::log::Body;
use crate::output::Output;
use crate::point::Point;
use crate::subscription::{Phase, ResetDue, Start};
use crate::time::Time;
use tally_protocol::{
    After, Attach, Position, REPLAY_EVENTS_MAX, Seq, Subscribed, Totals, UpstreamStatus, Why,
};

/// What a resume request comes to.
enum Resume {
    Continues,
    /// The hub may be behind the broker: a newer snapshot decides.
    Unclear,
    Refused,
}

impl Hub {
    /// The answer to a subscribe whose channel is known; `None` if a newer snapshot has to decide first.
    pub(super) fn attach(&mut self, sub: u32, now: Time) -> Option<Output> {
        let Phase::Attaching { start, checked } = self.subs[sub].phase.clone() else { return None };
        let attach = match start {
            Start::Head => self.attach_at_head(sub),
            Start::Last(events) => self.attach_back(sub, events),
            Start::After(after) => match self.resume(sub, &after, checked) {
                Resume::Continues => self.attach_after(sub, after, now),
                Resume::Refused => {
                    let attach = self.attach_at_head(sub);
                    if let Attach::At(position) = &attach {
                        self.subs[sub].reset = Some(ResetDue::Given(Box::new(position.clone())));
                        self.counters.resets += 1;
                    }
                    attach
                }
                Resume::Unclear => {
                    let read = self.reread_once_more(self.subs[sub].channel);
                    self.subs[sub].phase = Phase::Waiting { start: Start::After(after), read };
                    return self.pending(sub);
                }
            },
        };
        let head = self.channels[self.subs[sub].channel].seq;
        let held = &mut self.subs[sub];
        held.phase = Phase::Attached;
        held.free_until = head;
        held.unnumbered.attach(&self.channels[held.channel].unnumbered);
        self.open_account(sub);
        self.place(sub, now);
        Some(self.subscribed(sub, attach))
    }

    /// `subscribed` without a position, where the broker is away; once.
    pub(super) fn pending(&mut self, sub: u32) -> Option<Output> {
        let held = &mut self.subs[sub];
        let waits = matches!(held.phase, Phase::Waiting { .. });
        if !waits || self.upstream == UpstreamStatus::Up || std::mem::replace(&mut held.told_pending, true) {
            return None;
        }
        Some(self.subscribed(sub, Attach::Pending))
    }

    fn subscribed(&mut self, sub: u32, attach: Attach) -> Output {
        let held = &mut self.subs[sub];
        (held.told, held.told_why) = (held.own_rung(), held.own_why());
        Output::Subscribed(Box::new(Subscribed {
            id: held.id,
            channel: self.channels[held.channel].name.clone(),
            attach,
            rung: held.told,
            max_rate: held.bucket.rate(),
            tick_ms: held.tick,
            upstream: self.upstream,
        }))
    }

    fn attach_at_head(&mut self, sub: u32) -> Attach {
        let held = &mut self.subs[sub];
        let channel = &self.channels[held.channel];
        held.cursor = channel.seq;
        held.next = channel.log.end();
        Attach::At(channel.position())
    }

    /// Before the record that holds the Nth newest event, no further back than the log or its newest gap.
    fn attach_back(&mut self, sub: u32, events: u64) -> Attach {
        let channel = &self.channels[self.subs[sub].channel];
        let (number, seq) = first_of_newest(channel, events);
        let totals = channel.totals_before(number).filter(|totals| totals.sum() == seq.get());
        let Some(totals) = totals else { return self.attach_at_head(sub) };
        let state = channel.state_before(number);
        let epoch = channel.epoch_at(number);
        let held = &mut self.subs[sub];
        (held.cursor, held.next) = (seq, number);
        Attach::At(Position { epoch, seq, totals, state })
    }

    fn resume(&self, sub: u32, after: &After, checked: bool) -> Resume {
        let channel = &self.channels[self.subs[sub].channel];
        if channel.epoch.as_ref() == Some(&after.epoch) && after.seq <= channel.seq {
            return Resume::Continues;
        }
        let under_prev = |prev: &tally_protocol::Prev| prev.epoch == after.epoch && after.seq <= prev.seq;
        if channel.prev.as_ref().is_some_and(under_prev) {
            return Resume::Continues;
        }
        if checked { Resume::Refused } else { Resume::Unclear }
    }

    /// The client keeps its totals. What the log still has is replayed, its newest part in full; what lies before
    /// is one counts frame.
    fn attach_after(&mut self, sub: u32, after: After, now: Time) -> Attach {
        let channel = &self.channels[self.subs[sub].channel];
        let (number, start) = first_to_replay(channel, after.seq);
        let replay = if start > after.seq { replay_point(channel, number, start, now) } else { None };
        let held = &mut self.subs[sub];
        held.cursor = after.seq;
        held.next = match (&replay, start > after.seq) {
            (Some(_), _) | (None, false) => number,
            // Totals at the start cannot be known: everything up to the head is one jump.
            (None, true) => channel.log.base() - 1,
        };
        held.replay = replay.map(Box::new);
        held.jump_why = Why::Replay;
        Attach::Resumed { epoch: after.epoch, seq: after.seq }
    }
}

/// The log entry that holds the Nth newest event, and the seq just before it; not across a gap.
fn first_of_newest(channel: &Channel, events: u64) -> (u64, Seq) {
    let mut first = (channel.log.end(), channel.seq);
    let mut held = 0;
    for (number, entry) in channel.log.iter_back() {
        if held >= events || matches!(entry.body, Body::Gap { .. }) {
            break;
        }
        held += entry.len();
        first = (number, entry.before());
    }
    first
}

/// The log entry from which on a cursor gets everything in place, gaps as counts and at most
/// [`REPLAY_EVENTS_MAX`] events in full; and the seq from which on that is.
fn first_to_replay(channel: &Channel, cursor: Seq) -> (u64, Seq) {
    let mut first = (channel.log.end(), channel.seq);
    let mut held = 0;
    for (number, entry) in channel.log.iter_back() {
        let is_gap = matches!(entry.body, Body::Gap { .. });
        held += if is_gap { 0 } else { entry.len() };
        // A gap that the cursor lies within is told from there on; a record is never split.
        let splits = entry.before() < cursor && !is_gap;
        if entry.to <= cursor || splits || held > REPLAY_EVENTS_MAX {
            break;
        }
        first = (number, entry.before().max(cursor));
    }
    first
}

/// The counts frame that brings a cursor to just before log entry `number`.
fn replay_point(channel: &Channel, number: u64, seq: Seq, now: Time) -> Option<Point> {
    let totals: Totals = channel.totals_before(number).filter(|totals| totals.sum() == seq.get())?;
    let state = channel.state_before(number);
    Some(Point::new(channel.epoch_at(number)?, seq, totals, state, number, now))
}
