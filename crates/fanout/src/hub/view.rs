//! Views for operators: the top channels, the slowest connections, one connection's subscriptions. They change nothing.
//!
//! What grows with the number of channels or connections is the walk, never the answer. Rates, listeners and rungs are
//! those of the last [`Hub::look`].

use super::Hub;
use super::look::Standing;
use crate::flow::Flow;
use crate::session::ConnId;
use crate::time::Time;
use crate::top::Top;
use std::collections::BTreeSet;
use tally_protocol::{ChannelName, Epoch, Rung, Seq, TickMs, Why};

/// One channel on this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    pub name: ChannelName,
    pub epoch: Option<Epoch>,
    pub seq: Seq,
    /// By effective rung, in the order of [`Rung::ALL`].
    pub listeners: [usize; 3],
    /// Per second.
    pub flow: Flow,
}

/// One connection of this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionView {
    pub id: ConnId,
    pub subscriptions: usize,
    pub standing: Standing,
    /// Since when the oldest thing waits that is due to it; what its socket has not taken counts from when it was full.
    pub due_since: Option<Time>,
    /// Bytes of records due to it and not pulled.
    pub due_bytes: u64,
}

/// One subscription of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionView {
    pub channel: ChannelName,
    pub rung: Rung,
    /// None at `full`.
    pub why: Option<Why>,
    pub asked: Rung,
    pub max_rate: u64,
    pub tick: TickMs,
    /// None before the attach.
    pub cursor: Option<Seq>,
    /// Events between its cursor and the channel's newest.
    pub behind: u64,
    pub throttled: bool,
}

impl ChannelView {
    /// What another hub of the same gateway has of the channel: each gets all of its events, and has its own listeners.
    pub fn add(&mut self, other: &Self) {
        if other.seq > self.seq || self.epoch.is_none() {
            self.epoch.clone_from(&other.epoch);
            self.seq = other.seq;
        }
        for (listeners, more) in self.listeners.iter_mut().zip(other.listeners) {
            *listeners += more;
        }
        self.flow.events = self.flow.events.max(other.flow.events);
        self.flow.in_bytes = self.flow.in_bytes.max(other.flow.in_bytes);
        self.flow.out_bytes += other.flow.out_bytes;
        self.flow.full_events += other.flow.full_events;
        self.flow.counted_events += other.flow.counted_events;
    }
}

impl Hub {
    /// Names of the channels with the highest rate, the most listeners, the most bytes out, and the largest share told
    /// by number only: `each_max` of each.
    #[must_use]
    pub fn top_channels(&self, each_max: usize) -> Vec<ChannelName> {
        let mut tops: [Top<(u64, u64)>; 4] = std::array::from_fn(|_| Top::new(each_max));
        for (index, channel) in self.channels.iter() {
            let keys = keys(&channel.meter.rates(), channel.listeners);
            for (top, key) in tops.iter_mut().zip(keys) {
                if key.0 > 0 {
                    top.offer(key, index);
                }
            }
        }
        let indexes: BTreeSet<u32> = tops.into_iter().flat_map(Top::into_indexes).collect();
        indexes.into_iter().map(|index| self.channels[index].name.clone()).collect()
    }

    /// Names of channels that begin with `prefix`: those with the highest rate, at most `max`.
    #[must_use]
    pub fn find_channels(&self, prefix: &str, max: usize) -> Vec<ChannelName> {
        let mut top = Top::new(max);
        for (index, channel) in self.channels.iter() {
            if channel.name.as_str().starts_with(prefix) {
                top.offer(keys(&channel.meter.rates(), channel.listeners)[0], index);
            }
        }
        top.into_indexes().map(|index| self.channels[index].name.clone()).collect()
    }

    #[must_use]
    pub fn channel_view(&self, name: &ChannelName) -> Option<ChannelView> {
        let channel = &self.channels[*self.names.get(name)?];
        Some(ChannelView {
            name: channel.name.clone(),
            epoch: channel.epoch.clone(),
            seq: channel.seq,
            listeners: channel.listeners,
            flow: channel.meter.rates(),
        })
    }

    /// The slowest connections, at most `max`: by how long the oldest thing waits, then by rung, then by bytes due.
    #[must_use]
    pub fn slowest_connections(&self, now: Time, max: usize) -> Vec<ConnectionView> {
        let mut top = Top::new(max);
        for (index, conn) in self.conns.iter() {
            let waits = self.due_since(index).map_or(0, |since| now.since(since).as_millis());
            top.offer((waits, std::cmp::Reverse(conn.standings.now.rung), conn.owed), index);
        }
        top.into_indexes().map(|index| self.view_of(index)).collect()
    }

    #[must_use]
    pub fn connection_view(&self, conn: ConnId) -> Option<ConnectionView> {
        Some(self.view_of(self.index(conn)?))
    }

    /// How a connection stood before, the oldest first.
    #[must_use]
    pub fn past_standings(&self, conn: ConnId) -> Vec<Standing> {
        let past = self.index(conn).map(|index| self.conns[index].standings.past.iter().copied().collect());
        past.unwrap_or_default()
    }

    /// Subscriptions of a connection, those that are the furthest behind first; at most `max`.
    #[must_use]
    pub fn subscriptions_of(&self, conn: ConnId, max: usize) -> Vec<SubscriptionView> {
        let Some(index) = self.index(conn) else { return Vec::new() };
        let mut top = Top::new(max);
        for sub in self.conns[index].subscriptions.values() {
            top.offer(self.behind(*sub), *sub);
        }
        top.into_indexes().map(|sub| self.subscription_view(sub)).collect()
    }

    fn view_of(&self, index: u32) -> ConnectionView {
        let conn = &self.conns[index];
        ConnectionView {
            id: ConnId { index, generation: conn.generation },
            subscriptions: conn.subscriptions.len(),
            standing: conn.standings.now,
            due_since: self.due_since(index),
            due_bytes: conn.owed,
        }
    }

    fn due_since(&self, conn: u32) -> Option<Time> {
        let oldest = self.oldest_due(conn).0;
        let since = self.conns[conn].blocked_at.map_or(oldest, |blocked_at| blocked_at.min(oldest));
        (since != Time::NEVER).then_some(since)
    }

    fn behind(&self, sub: u32) -> u64 {
        let held = &self.subs[sub];
        if held.is_attached() { self.channels[held.channel].seq.since(held.cursor) } else { 0 }
    }

    fn subscription_view(&self, sub: u32) -> SubscriptionView {
        let held = &self.subs[sub];
        let rung = self.effective_rung(sub);
        SubscriptionView {
            channel: self.channels[held.channel].name.clone(),
            rung,
            why: (rung != Rung::Full).then(|| self.effective_why(sub)),
            asked: held.asked,
            max_rate: held.bucket.rate(),
            tick: held.tick,
            cursor: held.is_attached().then_some(held.cursor),
            behind: self.behind(sub),
            throttled: held.throttled,
        }
    }
}

/// What channels are compared by: rate, listeners, bytes out, share in thousandths told by number only. The second
/// number decides among equals.
fn keys(flow: &Flow, listeners: [usize; 3]) -> [(u64, u64); 4] {
    let listeners = listeners.iter().sum::<usize>() as u64;
    let told = flow.full_events + flow.counted_events;
    [
        (flow.events, listeners),
        (listeners, flow.events),
        (flow.out_bytes, flow.events),
        ((flow.counted_events * 1_000).checked_div(told).unwrap_or(0), flow.counted_events),
    ]
}
