//! The laws that look at more than one frame, each with one function of its name.

use crate::broker::History;
use crate::client::{Checked, Context, goes_on};
use crate::world::World;
use std::sync::Arc;
use tally_fanout::{Account, Audit, HubLimits, Shared};
use tally_protocol::{
    Body, ChannelName, Counts, Events, Record, Rung, SUMMARY_BYTES_MAX, Seq, Summary, TAIL_BYTES_MAX,
    TAIL_EVENTS_MAX, TickMs, UpstreamStatus, Why, WireEvent,
};

const SECOND: u64 = 1_000_000;

/// The most that a rate allows: never behind the hub's own bucket, so whatever overdraws it is too much.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: u64,
    seconds: u64,
    tokens: i128,
    at: u64,
}

impl Bucket {
    pub(crate) fn new(rate: u64, seconds: u64) -> Self {
        let rate = rate.max(1);
        Self { rate, seconds, tokens: i128::from(rate * seconds * SECOND), at: 0 }
    }

    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// It stays as full as it is.
    pub(crate) fn change_rate(&mut self, rate: u64, now: u64) {
        self.pay(0, now);
        let rate = rate.max(1);
        // Rounded up, so that it never is behind.
        self.tokens = self.tokens * i128::from(rate) / i128::from(self.rate) + 1;
        self.rate = rate;
    }

    /// Law `rate`: answers whether it could pay.
    pub(crate) fn pay(&mut self, events: u64, now: u64) -> bool {
        let burst = i128::from(self.rate * self.seconds * SECOND);
        self.tokens = (self.tokens + i128::from((now - self.at) * self.rate)).min(burst);
        self.at = now;
        self.tokens -= i128::from(events * SECOND);
        self.tokens >= 0
    }
}

/// Laws `one_rung_up` and `dwell` of what a connection's socket allows.
#[derive(Debug)]
pub(crate) struct Pressure {
    seen: Rung,
    calm_seconds: u64,
    climbed_at: Option<u64>,
    changed_at: u64,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { seen: Rung::Full, calm_seconds: 2, climbed_at: None, changed_at: 0 }
    }
}

impl Pressure {
    /// `pressed` is what the socket alone allows.
    pub(crate) fn see(&mut self, pressed: Rung, is_blocked: bool, now: u64) -> Checked<Option<&'static str>> {
        if pressed == self.seen {
            return Ok(None);
        }
        let before = std::mem::replace(&mut self.seen, pressed);
        let since = now - std::mem::replace(&mut self.changed_at, now);
        if pressed < before {
            let failed = self.climbed_at.is_some_and(|at| now - at < 60 * SECOND);
            self.calm_seconds = if failed { (self.calm_seconds * 2).min(60) } else { 2 };
            let is_right = pressed == Rung::Summary && is_blocked;
            let note = if failed { "climb failed" } else { "pressed" };
            return if is_right { Ok(Some(note)) } else { Err("pressed while the socket has room".into()) };
        }
        self.climbed_at = Some(now);
        if pressed != before.up() {
            return Err(format!("climbed from {before} to {pressed}"));
        }
        if since < self.calm_seconds * SECOND {
            return Err(format!("climbed after {since} us; the calm period is {} s", self.calm_seconds));
        }
        Ok(Some("climbed"))
    }
}

/// A throttled subscription stays so for two seconds at least.
pub(crate) fn dwell(from: u64, to: u64) -> Checked {
    if to - from >= 2 * SECOND { Ok(()) } else { Err(format!("throttled for {} us only", to - from)) }
}

/// Every collection within its limit, and nothing that does not fit together.
pub(crate) fn bounded(audit: &Audit, limits: &HubLimits) -> Checked {
    if !audit.problems.is_empty() {
        return Err(format!("the hub does not fit together: {:?}", audit.problems));
    }
    let mut alone = 0;
    for one in &audit.channels {
        let is_over = one.log_events > limits.log_events_max || one.log_bytes > limits.log_bytes_max;
        if is_over && one.log_entries > 1 {
            return Err(format!("the log of {} is over its limit: {one:?}", one.name));
        }
        if one.held_bytes > limits.waiting_bytes_max.max(one.newest_bytes) {
            return Err(format!("too much waits for {}: {one:?}", one.name));
        }
        alone += one.newest_bytes;
    }
    if audit.log_bytes > limits.hub_log_bytes_max.max(alone) {
        return Err(format!("all logs hold {} bytes", audit.log_bytes));
    }
    let things = 2 * audit.connections + audit.subscriptions + audit.channels.len();
    if audit.timers > things || audit.ready > audit.connections || audit.requests > 0 {
        return Err(format!("{} timers, {} ready for {things}", audit.timers, audit.ready));
    }
    Ok(())
}

pub(crate) fn summary_bounded(summary: &Summary, bytes: usize) -> Checked {
    let mut names: Vec<_> = summary.channels.iter().map(|one| &one.channel).collect();
    names.sort();
    names.dedup();
    if names.len() != summary.channels.len() || names.is_empty() {
        return Err("a summary without channels, or one of them twice".into());
    }
    if bytes > SUMMARY_BYTES_MAX && names.len() > 1 {
        return Err(format!("a summary of {bytes} bytes with {} channels", names.len()));
    }
    Ok(())
}

/// Identity: at one tick, one frame for each form, however many listeners.
pub(crate) fn encoded_once(
    shared: &Arc<Shared<Counts>>,
    hub: usize,
    tick: TickMs,
    on: &mut Context<'_>,
) -> Checked {
    let frame = shared.value();
    let grid = tick.as_millis();
    let tail = frame.tail.as_ref().map(Vec::len);
    let at = on.now / (grid * 1_000);
    let key = (hub, frame.channel.clone(), grid, at, frame.seq, frame.why, frame.state.is_some(), tail);
    let first = on.coverage.frames.entry(key).or_insert_with(|| Arc::clone(shared));
    if Arc::ptr_eq(first, shared) { Ok(()) } else { Err(format!("{}: one tick, two frames", frame.channel)) }
}

pub(crate) fn upstream(told: UpstreamStatus, status: UpstreamStatus, truly: UpstreamStatus) -> Checked {
    if status == truly && status != told {
        Ok(())
    } else {
        Err(format!("upstream {status:?} after {told:?}"))
    }
}

/// A replay comes first or not at all; one that was cut short by a lower rung ends in a jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    None,
    MayReplay,
    Done,
}

/// At full, a counts frame has a cause outside the rung, and names it.
pub(crate) fn gap_is_true(
    channel: &ChannelName,
    history: &History,
    cursor: Seq,
    frame: &Counts,
    resume: Resume,
    on: &mut Context<'_>,
) -> Checked {
    let (first, last) = (cursor.get() + 1, frame.seq.get());
    let why_of = |seq: u64| history.records[seq as usize - 1].1;
    let is_true = match frame.why {
        Why::Unheard => (first..=last).any(|seq| why_of(seq) == Some(Why::Unheard)),
        Why::Upstream => {
            history.prev.is_some()
                || on.shell.hub.counters().misfits + on.shell.hub.counters().waiting_overflows > 0
                || (first..=last).any(|seq| why_of(seq) == Some(Why::Upstream))
                || (first..=last).any(|seq| never_came(channel, history, seq, frame, on))
        }
        Why::Replay => resume == Resume::MayReplay,
        Why::Backpressure | Why::Throttled | Why::Asked => {
            on.shell.hub.counters().jumps > 0
                && (on.shell.hub.counters().evicted > 0
                    || on.broker.epochs_of(channel) > 1
                    || resume != Resume::None)
        }
    };
    if is_true { Ok(()) } else { Err(format!("{channel}: {first} to {last} as {} without cause", frame.why)) }
}

/// Whether the payload of an event did not reach the hub in its turn: never, after a snapshot that has it, or after a
/// hole.
fn never_came(channel: &ChannelName, history: &History, seq: u64, frame: &Counts, on: &Context<'_>) -> bool {
    let Some(delivered) = on.shell.delivered.get(channel) else { return true };
    let last_of = |seq: u64| {
        let from = history.records[seq as usize - 1].0;
        (seq..=history.seq())
            .take_while(|one| history.records[*one as usize - 1].0 == from)
            .last()
            .unwrap_or(seq)
    };
    let came_at = |seq: u64| delivered.records.get(&(frame.epoch.clone(), last_of(seq))).copied();
    let Some(at) = came_at(seq) else { return true };
    let before =
        delivered.snapshots.iter().filter(|(read_at, epoch, _)| *read_at <= at && *epoch == frame.epoch);
    let known = before.map(|(_, _, to)| *to).max().unwrap_or_default();
    known >= seq || (known + 1..=seq).any(|one| came_at(one).is_none_or(|one| one > at))
}

/// A tail comes when asked for, is what was published, and is within its limits.
pub(crate) fn tail_is_true(wanted: bool, frame: &Counts, history: &History, on: &mut Context<'_>) -> Checked {
    let Some(tail) = &frame.tail else {
        // A jump has none: what it skips is not there any more.
        let is_jump = on.shell.hub.counters().jumps > 0;
        return if wanted && !is_jump { Err("no tail".into()) } else { Ok(()) };
    };
    on.coverage.note(&format!("tail of {}", tail.len()));
    let bytes: usize = tail.iter().map(|event| event.data.len()).sum();
    let same = tail.iter().all(|event| {
        let truth = history.event(event.seq.get());
        Some(&event.data) == truth.data.as_ref()
            && (&event.kind, &event.sent_as, event.class, event.at)
                == (&truth.kind, &truth.sent_as, truth.class, truth.at)
    });
    if !wanted || !same || bytes > TAIL_BYTES_MAX || tail.len() > TAIL_EVENTS_MAX {
        return Err(format!("a tail that is wrong: {tail:?}"));
    }
    Ok(())
}

/// What a client reads of a record.
pub(crate) fn wire_events(channel: &ChannelName, record: &Record) -> Events {
    let events = match &record.body {
        Body::Events(events) => events.as_slice(),
        Body::Counts { .. } => &[],
    };
    let wire = |event: &tally_protocol::RecordEvent| WireEvent {
        kind: event.kind.clone(),
        sent_as: event.sent_as.clone(),
        class: event.class,
        at: event.at,
        data: event.data.clone(),
    };
    Events {
        channel: channel.clone(),
        epoch: record.epoch.clone(),
        from: record.from,
        to: record.to,
        events: events.iter().map(wire).collect(),
    }
}

/// After calm, everything is back at what was asked for, every cursor at the head, and every state told.
pub(crate) fn recovery(world: &World) -> Checked {
    for (index, client) in world.clients.iter().enumerate().filter(|(_, client)| client.conn.is_some()) {
        if client.told != client.asked {
            return Err(format!("client {index} is at ceiling {} after calm", client.told));
        }
        if !client.errors.is_empty() || !client.leaving.is_empty() || !client.inbox.is_empty() {
            return Err(format!("client {index} was not answered: {:?}", client.errors));
        }
        for (channel, held) in &client.listeners {
            let ledger = held.ledger.as_ref().ok_or_else(|| format!("{channel} was never attached"))?;
            if held.told != held.asked {
                return Err(format!("client {index} is at {} on {channel} after calm", held.told));
            }
            let (epoch, seq, state) = match world.broker.current(channel) {
                Some((epoch, history)) => (Some(epoch), history.seq(), history.state(history.seq())),
                None => (None, 0, None),
            };
            // An epoch that changed without anything to tell is not told.
            let goes_on = epoch.is_none_or(|epoch| goes_on(ledger, channel, epoch, &world.broker));
            let is_there = ledger.cursor().get() == seq && (seq == 0 || goes_on);
            if !is_there || ledger.state() != state.as_ref() {
                return Err(format!(
                    "client {index}: {channel} ends at {epoch:?} {seq} {state:?}: {ledger:?}"
                ));
            }
        }
    }
    Ok(())
}

/// What all cursors of a hub advanced is what its columns say, with nothing left over.
pub(crate) fn accounted(account: &Account) -> Checked {
    if account.residual() == 0 { Ok(()) } else { Err(format!("the account does not close: {account:?}")) }
}

/// After everybody has left and the grace period is over, nothing remains.
pub(crate) fn no_residue(audit: &Audit) -> Checked {
    let left = audit.connections + audit.subscriptions + audit.channels.len() + audit.timers + audit.ready;
    if left == 0 && audit.log_bytes == 0 && audit.requests == 0 {
        Ok(())
    } else {
        Err(format!("left behind: {audit:?}"))
    }
}
