//! The thread of a shard: its runtime, its main loop, and the HTTP connections that it serves.

use super::{Question, Shard};
use crate::accept::Open;
use crate::connection;
use crate::decision::Door;
use crate::drain::{Drain, Step};
use crate::http::upgrade::Upgrade;
use crate::http::{App, Entrance, Peer, Routers};
use crate::inbox::InboxReader;
use crate::interest::Interest;
use crate::interest::reconcile::Commands;
use crate::limits::{HEAD_BYTES_MAX, INPUTS_PER_TURN, SCAN_TIME, UPGRADES_MAX};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tower::ServiceExt as _;

/// What the gateway is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Since this moment.
    Draining(Instant),
}

/// An accepted socket, on its way to a shard.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: Peer,
}

/// Where a shard gets its work from.
pub(crate) struct Inputs {
    pub(crate) inbox: InboxReader,
    pub(crate) sockets: mpsc::Receiver<Handed>,
    /// From the tasks that say how the gateway is.
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) open: Arc<Open>,
}

/// Starts a shard's thread. What comes back is closed when the thread has ended; nothing is ever sent.
pub(crate) fn spawn(
    index: usize,
    runtime: Runtime,
    app: Arc<App>,
    interest: Arc<Interest>,
    commands: Commands,
    inputs: Inputs,
) -> io::Result<mpsc::Receiver<()>> {
    let (alive, end) = mpsc::channel(1);
    std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        let counted = Counted(app.clone());
        let shard = move || Rc::new(Shard::new(index, app, interest, commands));
        LocalSet::new().block_on(&runtime, async move { run(shard(), inputs).await });
        runtime.shutdown_background();
        drop((counted, alive));
    })?;
    Ok(end)
}

/// A shard's thread among those that run, also where it ends by a panic.
struct Counted(Arc<App>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shards_alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A drain, and whether this shard has said that its own is over.
struct Draining {
    drain: Drain,
    is_told: bool,
}

async fn run(shard: Rc<Shard>, mut inputs: Inputs) {
    let (upgrade, mut upgrades) = mpsc::channel(UPGRADES_MAX);
    let routers = Rc::new(Routers::new(&Arc::new(Entrance { app: shard.app.clone(), upgrade })));
    let mut scan = interval(scan_time(&shard));
    scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining: Option<Draining> = None;
    let mut arrivals = Vec::with_capacity(INPUTS_PER_TURN);
    loop {
        let wake = arm(&shard, &mut draining, inputs.open.public());
        let Some(wake) = wake else { break };
        tokio::select! {
            () = inputs.inbox.take(INPUTS_PER_TURN, &mut arrivals) => {
                if arrivals.is_empty() {
                    // Ingest is gone, and with it the gateway.
                    break;
                }
                arrivals.drain(..).for_each(|arrival| shard.handle_arrival(arrival));
            }
            Some(handed) = inputs.sockets.recv() => {
                spawn_local(serve(handed, routers.clone(), inputs.phase.clone(), shard.clone()));
            }
            Some(upgrade) = upgrades.recv() => spawn_session(&shard, upgrade),
            Some(question) = inputs.questions.recv() => shard.answer(question, inputs.inbox.bytes()),
            () = shard.again.notified() => {}
            () = sleep_until(wake.into()) => shard.handle_timeout(),
            _ = scan.tick() => shard.scan(inputs.inbox.bytes()),
            changed = inputs.phase.changed(), if draining.is_none() => {
                if changed.is_err() {
                    break;
                }
                if let Phase::Draining(since) = *inputs.phase.borrow() {
                    let time = Duration::from_millis(shard.limits().drain_ms);
                    let drain = Drain::new(since, time, shard.open_connections());
                    draining = Some(Draining { drain, is_told: false });
                }
            }
        }
        let is_done = shard.pump();
        // A shard with much to do lets its connections' tasks run in between; one that has to wait does so anyway.
        if !is_done || inputs.inbox.has_more() {
            yield_now().await;
        }
    }
    shard.scan(0);
}

/// A panic in a session's task ends that session alone.
fn spawn_session(shard: &Rc<Shard>, upgrade: Upgrade) {
    spawn_local(connection::run(shard.clone(), upgrade));
}

/// When the loop has to look again by itself; `None`: all shards are drained, or time is up. Operators' requests do
/// not hold a drain up.
fn arm(shard: &Shard, draining: &mut Option<Draining>, public: usize) -> Option<Instant> {
    let timeout = shard.state.borrow().hub.poll_timeout();
    shard.armed.set(timeout);
    let hour = || Instant::now() + Duration::from_secs(3_600);
    let wake = timeout.map_or_else(hour, |timeout| shard.clock.instant(timeout));
    let Some(Draining { drain, is_told }) = draining else { return Some(wake) };
    loop {
        let now = Instant::now();
        let open = public + shard.state.borrow().connections.len();
        match drain.poll(now, open, shard.open_connections()) {
            Step::Goodbye(n) => shard.drain(n),
            // Connections that close are no input of the loop; so it looks now and then.
            Step::Wait(until) => return Some(wake.min(until).min(now + DRAIN_LOOK_TIME)),
            Step::Done if open > 0 => return None,
            Step::Done => {
                let undrained = &shard.app.shards_undrained;
                if !std::mem::replace(is_told, true) {
                    undrained.fetch_sub(1, Ordering::Relaxed);
                }
                let is_over = undrained.load(Ordering::Relaxed) == 0 || now >= drain.deadline();
                return (!is_over).then(|| wake.min(now + DRAIN_LOOK_TIME));
            }
        }
    }
}

/// How often a draining shard looks whether everything is closed.
const DRAIN_LOOK_TIME: Duration = Duration::from_millis(20);

/// Often enough for a heartbeat that is due sooner than in a second.
fn scan_time(shard: &Shard) -> Duration {
    Duration::from_millis(shard.limits().heartbeat_ms / 4).clamp(Duration::from_millis(20), SCAN_TIME)
}

/// One HTTP connection, up to its end or its upgrade.
async fn serve(handed: Handed, routers: Rc<Routers>, mut phase: watch::Receiver<Phase>, shard: Rc<Shard>) {
    let stream = match TcpStream::from_std(handed.stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "a socket was lost on its way to a shard"),
    };
    let peer = Arc::new(handed.peer);
    let door = peer.door;
    let router = match door {
        Door::Public => routers.public.clone(),
        Door::Admin => routers.admin.clone(),
    };
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let header_read = Duration::from_millis(shard.limits().header_read_ms);
    drop(shard);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_read).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    // Operators are answered to the end.
    let mut is_draining = door == Door::Admin;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "an HTTP connection failed");
                }
                return;
            }
            _ = phase.wait_for(|phase| *phase != Phase::Running), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
