//! What a shard is asked about itself and answers between two turns, and orders to end one of its connections.

use super::Shard;
use crate::clock::unix_ms;
use crate::connection::{Conn, Ending};
use crate::limits::{
    ANSWER_SUBSCRIPTIONS_MAX, DELIVERY_SAMPLE, DELIVERY_SAMPLES_WANTED, DETAIL_CONNECTIONS_MAX,
    DETAIL_EACH_MAX,
};
use crate::metrics::OutTotals;
use crate::statistics::detail::ShardTop;
use crate::statistics::sample::empty_histogram;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_fanout::{ChannelView, ConnId, ConnectionView, Counters, Look, SubscriptionView, Time};
use tally_protocol::{ChannelName, CloseCode, Rung, Why};
use tokio::sync::oneshot;

/// Each with where its answer goes.
#[derive(Debug)]
pub(crate) enum Question {
    /// Once a second. `tracked`: channels whose course is kept.
    Figures {
        tracked: Arc<[ChannelName]>,
        reply: oneshot::Sender<ShardFigures>,
    },
    /// Who leads: by name only, since figures of one channel may lie on several shards.
    Top {
        reply: oneshot::Sender<ShardTop>,
    },
    Find {
        prefix: Arc<str>,
        max: usize,
        reply: oneshot::Sender<Vec<ChannelName>>,
    },
    Channels {
        names: Arc<[ChannelName]>,
        reply: oneshot::Sender<Vec<ChannelView>>,
    },
    Connection {
        connection: String,
        reply: oneshot::Sender<Option<ConnectionDetail>>,
    },
    /// The answer is whether it was there and open.
    Close {
        connection: String,
        code: CloseCode,
        reply: oneshot::Sender<bool>,
    },
}

/// What one shard has counted since its start, and what it holds now.
#[derive(Debug)]
pub(crate) struct ShardFigures {
    pub(crate) at: Instant,
    pub(crate) look: Look,
    pub(crate) counters: Counters,
    pub(crate) out: OutTotals,
    /// Deliveries since the last answer.
    pub(crate) latency: Histogram<u32>,
    pub(crate) inbox_bytes: u64,
    /// How long its thread was not idle.
    pub(crate) busy: Duration,
    pub(crate) channels: Vec<ChannelView>,
}

/// One connection in a detail.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectionRow {
    connection: String,
    addr: String,
    user_agent: Option<Box<str>>,
    since: u64,
    shard: usize,
    /// How many; absent where they are listed under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<usize>,
    rung: Rung,
    why: Option<Why>,
    rung_since: u64,
    lag_ms: u64,
    due_bytes: u64,
    out_bytes: u64,
    errors: u64,
}

/// One connection with its subscriptions and its past.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectionDetail {
    #[serde(flatten)]
    row: ConnectionRow,
    subscriptions_n: usize,
    #[serde(rename = "subscriptions")]
    listed: Vec<SubscriptionRow>,
    history: Vec<(u64, Rung, Option<Why>)>,
}

#[derive(Debug, Serialize)]
struct SubscriptionRow {
    channel: ChannelName,
    rung: Rung,
    why: Option<Why>,
    asked: Rung,
    max_rate: u64,
    tick_ms: u64,
    cursor: Option<u64>,
    behind: u64,
    throttled: bool,
}

impl ConnectionRow {
    /// What connections are compared by: lag, then rung, then bytes due.
    pub(crate) const fn slowness(&self) -> (u64, u8, u64) {
        (self.lag_ms, Rung::Full as u8 - self.rung as u8, self.due_bytes)
    }
}

impl From<SubscriptionView> for SubscriptionRow {
    fn from(view: SubscriptionView) -> Self {
        Self {
            channel: view.channel,
            rung: view.rung,
            why: view.why,
            asked: view.asked,
            max_rate: view.max_rate,
            tick_ms: view.tick.as_millis(),
            cursor: view.cursor.map(tally_protocol::Seq::get),
            behind: view.behind,
            throttled: view.throttled,
        }
    }
}

impl Shard {
    /// Whoever has asked and does not wait any more needs no answer.
    pub(super) fn answer(&self, question: Question, inbox_bytes: u64) {
        match question {
            Question::Figures { tracked, reply } => drop(reply.send(self.figures(&tracked, inbox_bytes))),
            Question::Top { reply } => drop(reply.send(self.top())),
            Question::Find { prefix, max, reply } => {
                drop(reply.send(self.state.borrow().hub.find_channels(&prefix, max)));
            }
            Question::Channels { names, reply } => drop(reply.send(self.views(&names))),
            Question::Connection { connection, reply } => drop(reply.send(self.connection(&connection))),
            Question::Close { connection, code, reply } => {
                let found = self.find(&connection).filter(|(_, conn)| conn.ending() == Ending::None);
                if let Some((_, conn)) = &found {
                    conn.close(code);
                }
                let _ = reply.send(found.is_some());
            }
        }
    }

    fn figures(&self, tracked: &[ChannelName], inbox_bytes: u64) -> ShardFigures {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        let look = state.hub.look(now);
        let latency = std::mem::replace(&mut state.latency, empty_histogram());
        let counters = state.hub.counters().clone();
        let out = state.report.out();
        // So few that a quiet gateway times each delivery, so many that a busy one hardly times any.
        let full = out.full - std::mem::replace(&mut state.full_told, out.full);
        let every = full / DELIVERY_SAMPLES_WANTED;
        state.sample_after = u32::try_from(every).unwrap_or(u32::MAX).min(DELIVERY_SAMPLE);
        state.until_sample = state.until_sample.min(state.sample_after);
        drop(state);
        ShardFigures {
            at: Instant::now(),
            look,
            counters,
            out,
            latency,
            inbox_bytes,
            busy: tokio::runtime::Handle::current().metrics().worker_total_busy_duration(0),
            channels: self.views(tracked),
        }
    }

    fn views(&self, names: &[ChannelName]) -> Vec<ChannelView> {
        let state = self.state.borrow();
        names.iter().filter_map(|name| state.hub.channel_view(name)).collect()
    }

    fn top(&self) -> ShardTop {
        let now = self.clock.now();
        let state = self.state.borrow();
        let slowest = state.hub.slowest_connections(now, DETAIL_CONNECTIONS_MAX);
        let connections = slowest
            .into_iter()
            .filter_map(|view| Some(self.row(now, &view, state.connections.get(&view.id)?)))
            .collect();
        let stats = state.hub.stats();
        ShardTop {
            channels_n: stats.channels,
            channels: state.hub.top_channels(DETAIL_EACH_MAX),
            connections_n: stats.connections,
            connections,
        }
    }

    fn row(&self, now: Time, view: &ConnectionView, conn: &Conn) -> ConnectionRow {
        let figures = &conn.figures;
        let lag = view.due_since.map_or(Duration::ZERO, |since| now.since(since));
        ConnectionRow {
            connection: figures.name.clone(),
            addr: figures.caller.addr.to_string(),
            user_agent: figures.caller.user_agent.clone(),
            since: figures.since_ms,
            shard: self.index,
            subscriptions: Some(view.subscriptions),
            rung: view.standing.rung,
            why: view.standing.why,
            rung_since: unix_at(now, view.standing.since),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            due_bytes: view.due_bytes + conn.writer.borrow().unwritten_bytes() as u64,
            out_bytes: figures.bytes_per_second(),
            errors: figures.errors.get(),
        }
    }

    fn connection(&self, name: &str) -> Option<ConnectionDetail> {
        let now = self.clock.now();
        let (id, conn) = self.find(name)?;
        let state = self.state.borrow();
        let view = state.hub.connection_view(id)?;
        let past = state.hub.past_standings(id);
        let subscriptions = state.hub.subscriptions_of(id, ANSWER_SUBSCRIPTIONS_MAX);
        Some(ConnectionDetail {
            row: ConnectionRow { subscriptions: None, ..self.row(now, &view, &conn) },
            subscriptions_n: view.subscriptions,
            listed: subscriptions.into_iter().map(SubscriptionRow::from).collect(),
            history: past
                .iter()
                .chain([&view.standing])
                .map(|one| (unix_at(now, one.since), one.rung, one.why))
                .collect(),
        })
    }

    /// By the name that its `hello` said.
    fn find(&self, name: &str) -> Option<(ConnId, Rc<Conn>)> {
        let state = self.state.borrow();
        let mut all = state.connections.iter();
        all.find(|(_, conn)| conn.figures.name == name).map(|(id, conn)| (*id, conn.clone()))
    }
}

/// A moment of the shard's clock on the wall clock.
fn unix_at(now: Time, then: Time) -> u64 {
    let ago = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
    unix_ms().get().saturating_sub(ago)
}
