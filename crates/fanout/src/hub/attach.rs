//! Where a subscription starts: at the head, some events back, or where the client's cursor was.

use super::Hub;
use crate::channel::Channel;
use crate::log::Body;
use crate::output::Output;
use crate::point::Point;
use crate::subscription::{Phase, ResetDue, Start};
use crate::time::Time;
use tally_protocol::{
    After, Attach, Position, REPLAY_EVENTS_MAX, Seq, State, Subscribed, Totals, UpstreamStatus, Why,
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
                Resume::Continues => self.attach_after(sub, after),
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
                    let start = Start::After(after);
                    self.subs[sub].phase = Phase::Waiting { start, told_pending: false, read };
                    return self.pending(sub);
                }
            },
        };
        let head = self.channels[self.subs[sub].channel].seq;
        let held = &mut self.subs[sub];
        held.phase = Phase::Attached;
        held.free_until = head;
        self.place(sub, now);
        Some(self.subscribed(sub, attach))
    }

    /// `subscribed` without a position, where the broker is away; once.
    pub(super) fn pending(&mut self, sub: u32) -> Option<Output> {
        let Phase::Waiting { told_pending, .. } = &mut self.subs[sub].phase else { return None };
        if self.upstream == UpstreamStatus::Up || std::mem::replace(told_pending, true) {
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
        let (number, seq) = first_of_newest(channel, events, Seq::ZERO);
        let totals = channel.totals_before(number).filter(|totals| totals.sum() == seq.get());
        let Some(totals) = totals else { return self.attach_at_head(sub) };
        let state = state_up_to(channel, seq);
        let epoch = channel.epoch.clone();
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
    fn attach_after(&mut self, sub: u32, after: After) -> Attach {
        let channel = &self.channels[self.subs[sub].channel];
        let (number, start) = first_of_newest(channel, REPLAY_EVENTS_MAX, after.seq);
        let replay = if start > after.seq { replay_point(channel, number, start) } else { None };
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

/// The log entry before which at most `events` events (and the rest of the entry that holds the first of them) lie,
/// and the seq just before it; not before `floor`, and not across a gap that holds `floor` back.
fn first_of_newest(channel: &Channel, events: u64, floor: Seq) -> (u64, Seq) {
    let mut first = (channel.log.end(), channel.seq);
    let mut held = 0;
    for (number, entry) in channel.log.iter_back() {
        let is_gap = matches!(entry.body, Body::Gap { .. });
        let len = entry.to.get() + 1 - entry.from.get();
        let fits = if floor == Seq::ZERO { held < events } else { is_gap || held + len <= events };
        if entry.to <= floor || (floor == Seq::ZERO && is_gap) || !fits {
            break;
        }
        let before = Seq::new(entry.from.get() - 1).unwrap_or_default();
        // An entry that the cursor lies within is told as counts only if it is a gap; a record is never split.
        if before < floor && !is_gap {
            break;
        }
        held += if is_gap { 0 } else { len };
        first = (number, before.max(floor));
        if before <= floor {
            break;
        }
    }
    first
}

/// The counts frame that brings a cursor to just before log entry `number`.
fn replay_point(channel: &Channel, number: u64, seq: Seq) -> Option<Point> {
    let totals: Totals = channel.totals_before(number).filter(|totals| totals.sum() == seq.get())?;
    let state = state_up_to(channel, seq);
    Some(Point::new(channel.epoch.clone()?, seq, totals, state, number))
}

/// The channel's newest state if it is not after `seq`; which one was the newest before that is not known any more.
fn state_up_to(channel: &Channel, seq: Seq) -> Option<State> {
    channel.state.clone().filter(|state| state.seq <= seq)
}
