//! A gateway put together: build, run, drain.

use crate::accept::{Acceptor, Open, Target};
use crate::clock::unix_ms;
use crate::config::Config;
use crate::decision::Door;
use crate::http::App;
use crate::inbox::{Inbox, inbox};
use crate::ingest::{Ingest, IngestThread};
use crate::interest::reconcile::{Commands, Reconcile};
use crate::interest::{Interest, audit};
use crate::limits::{HANDOFF_MAX, LEAVING_TIME, QUESTIONS_MAX};
use crate::metrics::Metrics;
use crate::shard::{self, Inputs, Phase, Question};
use crate::statistics::link::Link;
use crate::statistics::{self, Shards, publish};
use crate::watcher::{self, Watcher};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tally_backplane::{Backplane, Stream};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout, timeout_at};

/// How often histograms are folded, so that they do not keep raw samples.
const UPKEEP_TIME: Duration = Duration::from_secs(5);
/// What shards get beyond the drain's deadline to end their threads.
const END_TIME: Duration = Duration::from_secs(1);

/// Makes gateways.
#[derive(Debug)]
pub struct Gateway;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr} ({setting}): {error}")]
    Listen { setting: &'static str, addr: SocketAddr, error: io::Error },
    #[error("redis: {0}")]
    Redis(tally_backplane::redis::ConfigError),
    #[error("cannot start the thread of ingest: {0}")]
    Ingest(io::Error),
    #[error("cannot start a shard's thread: {0}")]
    Shard(io::Error),
}

/// What is known of the link to the broker before it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// It is in this process, and there.
    Up,
    /// Its first word is awaited.
    Unknown,
}

/// A gateway that runs. Dropping it cuts everything off; [`Running::shutdown`] says goodbye first.
pub struct Running {
    listen_addr: SocketAddr,
    admin_addr: SocketAddr,
    app: Arc<App>,
    phase: watch::Sender<Phase>,
    /// Each is closed when its thread has ended.
    shards: Vec<mpsc::Receiver<()>>,
    tasks: JoinSet<()>,
    /// Goes last: it may carry the link to the broker, which publishing needs during a drain.
    _ingest: IngestThread,
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself, or took its goodbye.
    Whole,
    /// Some were cut off at the deadline.
    CutOff,
}

impl Gateway {
    /// Starts listening. The tasks run on the runtime that this is called in, connections on threads of their own.
    ///
    /// `backplane` and `stream` are the two halves of one node's link to the broker.
    ///
    /// # Errors
    /// [`StartError`] names the setting and the address.
    pub async fn start(
        config: Config,
        backplane: Arc<dyn Backplane>,
        stream: Stream,
    ) -> Result<Running, StartError> {
        let ingest = start_ingest(&config)?;
        Self::start_as(config, backplane, stream, Upstream::Up, ingest).await
    }

    pub(crate) async fn start_as(
        config: Config,
        backplane: Arc<dyn Backplane>,
        stream: Stream,
        upstream: Upstream,
        mut ingest_thread: IngestThread,
    ) -> Result<Running, StartError> {
        let public = listen("listen", config.listen).await?;
        let admin = listen("admin", config.admin).await?;
        let app = Arc::new(App::new(config, backplane.clone()));
        let metrics = app.metrics.clone();
        if upstream == Upstream::Unknown {
            app.statistics.link.begin(unix_ms());
        }
        metrics.upstream_up.set(if upstream == Upstream::Up { 1.0 } else { 0.0 });
        let watcher_index = app.config.shard_count();
        let interest = Arc::new(Interest::with_watcher(watcher_index, watcher::listened().into()));
        let (commands, command_reader) = Commands::new();
        let (phase, phase_reader) = watch::channel(Phase::Running);

        let Threads { mut inboxes, targets, questions, shards } =
            spawn_shards(&app, &interest, &commands, &phase_reader, &mut ingest_thread)?;
        let (put, watcher_inbox) = inbox(app.config.limits.inbox_bytes_max);
        inboxes.push(put);

        let mut tasks = JoinSet::new();
        let ingest = Ingest {
            interest: interest.clone(),
            inboxes: inboxes.clone(),
            commands: commands.clone(),
            metrics: metrics.clone(),
            intake: app.statistics.intake.clone(),
        };
        ingest_thread.spawn(ingest.run(stream));
        let link = app.statistics.link.clone();
        let reconcile = Reconcile::new(backplane.clone(), interest.clone(), inboxes, metrics.clone(), link);
        tasks.spawn(reconcile.run(command_reader));
        tasks.spawn(audit::run(backplane, interest.clone(), commands.clone(), metrics.clone()));
        tasks.spawn(upkeep(metrics.handle()));

        let addr = |listener: &TcpListener, wanted| listener.local_addr().unwrap_or(wanted);
        let (listen_addr, admin_addr) = (addr(&public, app.config.listen), addr(&admin, app.config.admin));
        // Set only here.
        let _ = app.statistics.addresses.set((listen_addr, admin_addr));
        let asks = statistics::spawn(&app, &Shards::new(questions), &interest, &phase_reader, &mut tasks);
        let watcher = Watcher::new(watcher_index, app.clone(), interest, commands, asks);
        tasks.spawn(watcher.run(watcher_inbox));
        let acceptor = Arc::new(Acceptor::new(app.clone(), targets));
        tasks.spawn(acceptor.clone().run(public, Door::Public, phase_reader.clone()));
        tasks.spawn(acceptor.run(admin, Door::Admin, phase_reader));
        crate::http::pages::log_absent();
        app.is_ready.store(true, Ordering::Relaxed);
        metrics.ready.set(1.0);
        Ok(Running { listen_addr, admin_addr, app, phase, shards, tasks, _ingest: ingest_thread })
    }
}

impl Running {
    /// Where producers and clients connect.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen_addr
    }

    /// Where operators connect.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// All metrics as text, as `/metrics` answers.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.app.metrics.handle().render()
    }

    pub(crate) fn metrics_handles(&self) -> Arc<Metrics> {
        self.app.metrics.clone()
    }

    pub(crate) fn link(&self) -> Arc<Link> {
        self.app.statistics.link.clone()
    }

    /// Resolves when an operator has ordered this gateway to drain: call [`Running::shutdown`] then, as for a signal.
    pub fn drain_ordered(&self) -> impl Future<Output = ()> + Send + 'static {
        self.app.statistics.drain_ordered()
    }

    /// A task that ends with the gateway.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends when a shard's thread has ended, which only a defect can cause before [`Running::shutdown`]: the process
    /// should end then, and be started anew.
    pub async fn failed(&mut self) {
        futures_util::future::select_all(self.shards.iter_mut().map(|end| Box::pin(end.recv()))).await;
    }

    /// Not ready any more, no new connections, goodbye to every client, requests in flight are finished; what is
    /// open at the deadline (`drain_ms`) is cut off.
    pub async fn shutdown(mut self) -> Drained {
        let now = Instant::now();
        self.app.is_ready.store(false, Ordering::Relaxed);
        self.app.metrics.ready.set(0.0);
        let deadline = now + Duration::from_millis(self.app.config.limits.drain_ms);
        // Refused only where every shard has ended.
        let _ = self.phase.send(Phase::Draining(now));
        let ends = futures_util::future::join_all(self.shards.iter_mut().map(mpsc::Receiver::recv));
        let ended = async {
            let ended = timeout_at((deadline + END_TIME).into(), ends).await;
            ended.is_ok() && Instant::now() < deadline
        };
        let leaving = timeout(LEAVING_TIME, publish::leaving(&self.app));
        let (is_whole, _) = tokio::join!(ended, leaving);
        self.tasks.shutdown().await;
        if is_whole { Drained::Whole } else { Drained::CutOff }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("listen", &self.listen_addr)
            .field("admin", &self.admin_addr)
            .finish_non_exhaustive()
    }
}

pub(crate) fn start_ingest(config: &Config) -> Result<IngestThread, StartError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    IngestThread::start(config.shard_count(), cores).map_err(StartError::Ingest)
}

/// The ends of all shards, each in their order.
#[derive(Default)]
struct Threads {
    inboxes: Vec<Inbox>,
    targets: Vec<Target>,
    questions: Vec<mpsc::Sender<Question>>,
    shards: Vec<mpsc::Receiver<()>>,
}

fn spawn_shards(
    app: &Arc<App>,
    interest: &Arc<Interest>,
    commands: &Commands,
    phase: &watch::Receiver<Phase>,
    ingest: &mut IngestThread,
) -> Result<Threads, StartError> {
    let mut threads = Threads::default();
    for index in 0..app.config.shard_count() {
        let (put, inbox) = inbox(app.config.limits.inbox_bytes_max);
        let (sockets, handed) = mpsc::channel(HANDOFF_MAX);
        let (asked, questions) = mpsc::channel(QUESTIONS_MAX);
        let open = Arc::new(Open::default());
        let inputs = Inputs { inbox, sockets: handed, questions, phase: phase.clone(), open: open.clone() };
        let runtime = ingest.next_shard().map_err(StartError::Shard)?;
        let ended = shard::spawn(index, runtime, app.clone(), interest.clone(), commands.clone(), inputs);
        threads.shards.push(ended.map_err(StartError::Shard)?);
        threads.inboxes.push(put);
        threads.targets.push(Target { sockets, open });
        threads.questions.push(asked);
    }
    Ok(threads)
}

async fn listen(setting: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|error| StartError::Listen { setting, addr, error })
}

async fn upkeep(handle: metrics_exporter_prometheus::PrometheusHandle) {
    let mut ticks = interval(UPKEEP_TIME);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
