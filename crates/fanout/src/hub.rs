//! The delivery machine of one shard: inputs, outputs and time are values.
//!
//! Owns every connection, subscription and channel log of its shard. Law 1 and law 2 live in `deliver` and `attach`
//! (a cursor only moves together with the frame that accounts for it), law 3 in [`HubLimits`], law 4 in the shape:
//! nothing here waits, and an event costs nothing for listeners that are not at `full`.

mod account;
mod attach;
mod audit;
mod backlog;
mod clock;
mod deliver;
mod evict;
mod intake;
mod listen;
pub(crate) mod look;
mod place;
mod pressure;
pub(crate) mod unnumbered;
mod view;

use crate::channel::Channel;
use crate::limits::HubLimits;
use crate::output::{Counters, HubStats, Request};
use crate::session::{ConnId, Connection};
use crate::slab::Slab;
use crate::subscription::Subscription;
use crate::time::Time;
pub use account::Account;
pub use audit::{Audit, ChannelAudit};
pub use backlog::Backlog;
use clock::Timer;
pub use look::{Look, Standing};
use std::collections::{BTreeSet, HashMap, VecDeque};
use tally_protocol::{ChannelName, FrameError, Rung, TickMs, UnixMs, UpstreamStatus};
pub use view::{ChannelView, ConnectionView, SubscriptionView};

/// All connections and channels of one shard.
#[derive(Debug)]
pub struct Hub {
    limits: HubLimits,
    conns: Slab<Connection>,
    generation: u32,
    channels: Slab<Channel>,
    names: HashMap<ChannelName, u32>,
    subs: Slab<Subscription>,
    /// Connections that are not blocked and have something to send; each at most once.
    ready: VecDeque<u32>,
    /// At most one `Watch`, one `Reread` and one `Unwatch` for each life of a channel.
    requests: VecDeque<Request>,
    /// The number of the newest read asked for, of any channel: so they grow across a channel's lives as well.
    reads: u64,
    timers: BTreeSet<(Time, Timer)>,
    /// Channels to look at on the next tick of each grid, and when that is.
    changed: [Vec<u32>; 3],
    tick_at: [Option<Time>; 3],
    /// How many ticks there were, of any grid.
    ticks: u64,
    upstream: UpstreamStatus,
    upstream_since: UnixMs,
    log_bytes: u64,
    /// Channels with more than one log entry, the coldest first.
    coldest: BTreeSet<(u64, u32)>,
    warmth: u64,
    counters: Counters,
    ended: account::Ended,
    looked_at: Time,
}

impl Hub {
    #[must_use]
    pub fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            conns: Slab::default(),
            generation: 0,
            channels: Slab::default(),
            names: HashMap::new(),
            subs: Slab::default(),
            ready: VecDeque::new(),
            requests: VecDeque::new(),
            reads: 0,
            timers: BTreeSet::new(),
            changed: [Vec::new(), Vec::new(), Vec::new()],
            tick_at: [None; 3],
            ticks: 0,
            upstream: UpstreamStatus::Up,
            upstream_since: UnixMs::default(),
            log_bytes: 0,
            coldest: BTreeSet::new(),
            warmth: 0,
            counters: Counters::default(),
            ended: account::Ended::default(),
            looked_at: Time::default(),
        }
    }

    /// A socket was upgraded and has been told `hello`.
    pub fn handle_connect(&mut self, now: Time) -> ConnId {
        self.generation = self.generation.wrapping_add(1);
        let conn = Connection::new(self.generation, &self.limits, self.upstream, now);
        ConnId { index: self.conns.insert(conn), generation: self.generation }
    }

    /// The connection is gone, with everything it listened to.
    pub fn handle_disconnect(&mut self, now: Time, conn: ConnId) {
        let Some(index) = self.index(conn) else { return };
        self.conns[index].due.clear();
        self.conns[index].summaries.clear();
        let held: Vec<u32> = self.conns[index].subscriptions.values().copied().collect();
        for sub in held {
            (self.subs[sub].in_due, self.subs[sub].in_summary) = (false, false);
            self.remove_subscription(now, sub);
        }
        self.set_age_timer(index, None);
        self.set_climb_timer(index, None);
        if self.conns[index].in_ready {
            self.ready.retain(|ready| *ready != index);
        }
        self.conns.remove(index);
    }

    /// Something the client sent was refused before it came here; it is told so.
    pub fn handle_refused(&mut self, _now: Time, conn: ConnId, error: FrameError) {
        let Some(index) = self.index(conn) else { return };
        self.reply_error(index, error);
    }

    /// The link to the broker changed. `since` is for people.
    pub fn handle_upstream(&mut self, _now: Time, status: UpstreamStatus, since: UnixMs) {
        if self.upstream == status {
            return;
        }
        (self.upstream, self.upstream_since) = (status, since);
        let conns: Vec<u32> = self.conns.iter().map(|(index, _)| index).collect();
        for conn in conns {
            self.wake(conn);
        }
        if status == UpstreamStatus::Down {
            let waiting: Vec<u32> = self.channels.iter().flat_map(|(_, c)| c.unattached.clone()).collect();
            for sub in waiting {
                self.mark_due(sub);
            }
        }
    }

    /// A connection that is not blocked and has something to send.
    pub fn poll_ready(&mut self) -> Option<ConnId> {
        let index = self.ready.pop_front()?;
        let conn = &mut self.conns[index];
        conn.in_ready = false;
        Some(ConnId { index, generation: conn.generation })
    }

    /// What the hub needs from outside.
    pub fn poll_request(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        if let Request::Reread(name, _) = &request
            && let Some(channel) = self.names.get(name)
        {
            self.channels[*channel].read_queued = false;
        }
        Some(request)
    }

    /// When [`Hub::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        self.tick_at.iter().flatten().copied().chain(timer).min()
    }

    /// Whether replies wait to be pulled: read nothing from this client meanwhile.
    #[must_use]
    pub fn is_answering(&self, conn: ConnId) -> bool {
        self.index(conn).is_some_and(|index| !self.conns[index].replies.is_empty())
    }

    #[must_use]
    pub fn stats(&self) -> HubStats {
        let mut stats = self.sizes();
        for (_, sub) in self.subs.iter() {
            if sub.is_attached() {
                let rung = sub.own_rung().min(self.conns[sub.conn].ceiling());
                stats.subscriptions[rung as usize] += 1;
            } else {
                stats.pending += 1;
            }
        }
        stats
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn index(&self, conn: ConnId) -> Option<u32> {
        self.conns.get(conn.index).filter(|held| held.generation == conn.generation).map(|_| conn.index)
    }

    /// Lists a connection as ready, unless it is, or its socket is full.
    fn wake(&mut self, conn: u32) {
        let held = &mut self.conns[conn];
        if !held.in_ready && held.blocked_at.is_none() {
            held.in_ready = true;
            self.ready.push_back(conn);
        }
    }

    /// Lists a subscription among those its connection serves in turn.
    fn mark_due(&mut self, sub: u32) {
        let held = &mut self.subs[sub];
        if !held.in_due {
            held.in_due = true;
            let conn = held.conn;
            self.conns[conn].due.push_back(sub);
        }
        let conn = self.subs[sub].conn;
        self.wake(conn);
    }

    fn effective_rung(&self, sub: u32) -> Rung {
        let held = &self.subs[sub];
        held.own_rung().min(self.conns[held.conn].ceiling())
    }

    /// The reason for the effective rung; where several hold, what was asked comes first, then the throttle.
    fn effective_why(&self, sub: u32) -> tally_protocol::Why {
        let held = &self.subs[sub];
        let conn = &self.conns[held.conn];
        if held.own_rung() <= conn.ceiling() { held.own_why() } else { conn.ceiling_why() }
    }

    /// The grid of a tick, as an index into every array of three.
    fn grid(tick: TickMs) -> usize {
        tick as usize
    }
}
