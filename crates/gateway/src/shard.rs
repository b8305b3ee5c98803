//! One thread with its connections and the hub that it alone owns.
//!
//! Inputs (arrivals, frames of clients, sockets that can be written again, time) go into the hub; after each, the shard
//! pumps: whatever is due goes straight to the sockets. Nothing here is borrowed across an await.

mod pump;
mod question;
mod run;

pub(crate) use pump::pass_on;
pub(crate) use question::{ConnectionDetail, ConnectionRow, Question, ShardFigures};
pub(crate) use run::{Handed, Inputs, Phase, spawn};

use crate::clock::Clock;
use crate::connection::{Conn, Due, Ending};
use crate::decision::Decision;
use crate::frames;
use crate::http::App;
use crate::inbox::Arrival;
use crate::interest::Interest;
use crate::interest::reconcile::{Command, Commands};
use crate::limits::{Limits, RETRY_AFTER_MS};
use crate::metrics::{Form, Metrics, ShardReport};
use crate::statistics::sample::empty_histogram;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tally_fanout::{ConnId, Hub, HubLimits, Time};
use tally_protocol::{
    CLIENT_FRAME_BYTES_MAX, ClientFrame, CloseCode, FrameError, Heartbeat, Hello, HelloLimits,
    REPLAY_EVENTS_MAX, SUBPROTOCOL,
};
use tokio::sync::Notify;

/// What the tasks of one thread share.
pub(crate) struct Shard {
    index: usize,
    clock: Clock,
    app: Arc<App>,
    interest: Arc<Interest>,
    commands: Commands,
    state: RefCell<State>,
    /// The main loop has to look again: more is due, or its timer is too late.
    again: Notify,
    armed: Cell<Option<Time>>,
}

struct State {
    hub: Hub,
    connections: HashMap<ConnId, Rc<Conn>>,
    report: ShardReport,
    /// Full deliveries until the next one that is timed, and how many lie between two.
    until_sample: u32,
    sample_after: u32,
    /// Milliseconds to the socket of those that were timed since operators were last told.
    latency: Histogram<u32>,
    /// Full deliveries when operators were last told.
    full_told: u64,
}

impl Shard {
    pub(crate) fn new(index: usize, app: Arc<App>, interest: Arc<Interest>, commands: Commands) -> Self {
        let hub = Hub::new(hub_limits(&app.config.limits, app.config.shard_count()));
        let state = State {
            hub,
            connections: HashMap::new(),
            report: ShardReport::default(),
            until_sample: 0,
            sample_after: 0,
            latency: empty_histogram(),
            full_told: 0,
        };
        Self {
            index,
            clock: Clock::start(),
            app,
            interest,
            commands,
            state: RefCell::new(state),
            again: Notify::new(),
            armed: Cell::new(None),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.app.config.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.app.metrics
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.app.decision
    }

    pub(crate) fn count_client_frame(&self) {
        self.state.borrow_mut().report.count_client_frame();
    }

    /// A new connection: `hello` goes out first.
    pub(crate) fn attach(&self, conn: &Rc<Conn>) -> ConnId {
        let now = self.clock.now();
        let id = {
            let mut state = self.state.borrow_mut();
            let id = state.hub.handle_connect(now);
            state.connections.insert(id, conn.clone());
            id
        };
        conn.writer
            .borrow_mut()
            .push(frames::server(&self.hello(conn.figures.name.clone()).into()), Form::Control);
        self.write(id, conn);
        id
    }

    /// A new connection's name: it begins with its shard.
    pub(crate) fn draw_name(&self) -> String {
        let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
        format!("{}-{random}", self.index)
    }

    fn hello(&self, connection: String) -> Hello {
        let limits = self.limits();
        Hello {
            protocol: SUBPROTOCOL.into(),
            connection,
            heartbeat_ms: limits.heartbeat_ms,
            limits: HelloLimits {
                frame_bytes: CLIENT_FRAME_BYTES_MAX as u64,
                subscriptions: limits.subscriptions_max,
                max_rate_default: limits.max_rate_default,
                max_rate: limits.connection_max_rate,
                last: REPLAY_EVENTS_MAX,
            },
        }
    }

    /// The connection is gone.
    pub(crate) fn detach(&self, id: ConnId) {
        {
            let mut state = self.state.borrow_mut();
            state.hub.handle_disconnect(self.clock.now(), id);
            state.connections.remove(&id);
        }
        self.pump();
    }

    /// The client will read no more of its channels; what is being written still goes out.
    pub(crate) fn stop(&self, id: ConnId, conn: &Conn) {
        conn.stop();
        self.state.borrow_mut().hub.handle_disconnect(self.clock.now(), id);
        self.write(id, conn);
    }

    /// Goodbye and the close frame, as the last things written.
    pub(crate) fn say_goodbye(&self, id: ConnId, conn: &Conn, code: CloseCode) {
        conn.writer.borrow_mut().seal(frames::goodbye(code, reason(code), RETRY_AFTER_MS));
        self.stop(id, conn);
    }

    pub(crate) fn handle_frame(&self, id: ConnId, frame: ClientFrame) {
        self.state.borrow_mut().hub.handle_frame(self.clock.now(), id, frame);
        self.pump();
    }

    pub(crate) fn handle_refused(&self, id: ConnId, error: FrameError) {
        self.state.borrow_mut().hub.handle_refused(self.clock.now(), id, error);
        self.pump();
    }

    pub(crate) fn is_answering(&self, id: ConnId) -> bool {
        self.state.borrow().hub.is_answering(id)
    }

    fn handle_arrival(&self, arrival: Arrival) {
        apply(&mut self.state.borrow_mut().hub, self.clock.now(), arrival, &self.commands);
    }

    fn handle_timeout(&self) {
        self.state.borrow_mut().hub.handle_timeout(self.clock.now());
    }

    /// Looks at all connections: heartbeats, pings, the silent ones; and reports figures.
    fn scan(&self, inbox_bytes: u64) {
        let now = self.clock.now();
        let connections: Vec<_> = {
            let mut state = self.state.borrow_mut();
            let State { hub, report, connections, .. } = &mut *state;
            report.flush(&self.app.metrics, hub.stats(), hub.counters(), inbox_bytes);
            connections.iter().map(|(id, conn)| (*id, conn.clone())).collect()
        };
        for (id, conn) in connections {
            conn.writer.borrow_mut().rest();
            conn.figures.turn(now);
            if conn.ending() != Ending::None {
                continue;
            }
            match conn.due(now, self.limits()) {
                Due::Nothing => {}
                // A full socket says by itself that somebody should read.
                Due::Heartbeat | Due::Ping if conn.writer.borrow().is_blocked() => {}
                Due::Heartbeat => {
                    let frame = frames::server(&Heartbeat { at: crate::clock::unix_ms() }.into());
                    conn.writer.borrow_mut().push(frame, Form::Control);
                    conn.note_told(now);
                    self.write(id, &conn);
                }
                Due::Ping => {
                    conn.writer.borrow_mut().push(frames::PING, Form::Control);
                    self.write(id, &conn);
                }
                Due::Silent => conn.close(CloseCode::Silent),
            }
        }
    }

    /// Says goodbye to so many connections that were not told yet.
    fn drain(&self, n: usize) {
        let state = self.state.borrow();
        let open = state.connections.values().filter(|conn| conn.ending() == Ending::None);
        open.take(n).for_each(|conn| conn.close(CloseCode::Drain));
    }

    /// Connections that were not told goodbye yet.
    fn open_connections(&self) -> usize {
        let state = self.state.borrow();
        state.connections.values().filter(|conn| conn.ending() == Ending::None).count()
    }
}

/// What came for a hub, of a shard or of the watcher.
pub(crate) fn apply(hub: &mut Hub, now: Time, arrival: Arrival, commands: &Commands) {
    match arrival {
        Arrival::Record(record) => hub.handle_record(now, &record),
        Arrival::Snapshot { channel, snapshot, read } => {
            hub.handle_snapshot(now, &channel, snapshot, read);
        }
        Arrival::Unnumbered { number, frame } => hub.handle_unnumbered(now, number, &frame),
        Arrival::Upstream { status, since } => hub.handle_upstream(now, status, since),
        Arrival::HandOver { channel, to, head } => {
            let backlog = hub.backlog(&channel).map(Box::new);
            commands.send(Command::HandedOver { to, channel, head, backlog });
        }
        Arrival::Backlog(backlog) => hub.handle_backlog(now, *backlog),
    }
}

fn reason(code: CloseCode) -> &'static str {
    match code {
        CloseCode::Drain => "the gateway is shutting down; come back, another one will take you",
        CloseCode::Silent => "nothing came from you, and your socket took nothing",
        CloseCode::Reconnect => "an operator asked you to reconnect",
        CloseCode::Full => "the gateway has reached its number of connections",
        CloseCode::BadFrame => "what you sent is no websocket text frame with a JSON object",
        CloseCode::FrameTooLarge => "your frame is over the limit that hello states",
        CloseCode::TooManyErrors => "too many of your frames were refused; see the error frames",
        CloseCode::Forbidden => "your right to listen has ended",
    }
}

fn hub_limits(limits: &Limits, shards: usize) -> HubLimits {
    HubLimits {
        log_events_max: limits.log_events_max,
        log_bytes_max: limits.log_bytes_max,
        hub_log_bytes_max: limits.logs_bytes_max / shards.max(1) as u64,
        grace: Duration::from_millis(limits.grace_ms),
        max_rate_default: limits.max_rate_default,
        connection_max_rate: limits.connection_max_rate,
        subscriptions_max: usize::try_from(limits.subscriptions_max).unwrap_or(usize::MAX),
        due_age_max: Duration::from_millis(limits.due_age_max_ms),
        due_bytes_max: limits.due_bytes_max,
        ..HubLimits::default()
    }
}
