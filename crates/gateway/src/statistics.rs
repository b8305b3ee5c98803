//! What a gateway says about itself: samples, details and answers, as events on Tally's own `$` channels.
//!
//! ```text
//!   shards ── figures, once a second ──> sample ──> fleet (own memory) and `$gateways`
//!   shards ── views, every 2 s ────────> detail ──> `$gateway:<id>`, in full only while somebody listens
//!   `$gateways` ──> watcher ──> fleet: bounded memory of every gateway's last hours
//!   `$ask` ───────> watcher ──> answer ──> `$answers:<ask>`, or an order carried out
//! ```
//!
//! Shards are asked by message and answer between two turns; nothing is shared with them. What is published does not
//! grow with the number of channels or connections. docs/ops.md has the shapes.

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod channels;
pub(crate) mod detail;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod link;
mod process;
pub(crate) mod publish;
pub(crate) mod sample;
pub(crate) mod shards;
mod tracks;
pub(crate) mod unheard;

pub(crate) use shards::Shards;

use crate::clock::unix_ms;
use crate::config::Config;
use crate::http::App;
use crate::limits::ASKS_MAX;
use crate::shard::Phase;
use ask::Ask;
use fleet::Fleet;
use link::Link;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tally_backplane::PublishError;
use tally_protocol::RawJson;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracks::Tracks;
use unheard::Unheard;

/// Random characters behind the name: a gateway that was started again is another one.
const ID_RANDOM_CHARS: usize = 6;

/// What of a gateway's statistics its shards, its HTTP and its tasks share.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) started_at: u64,
    started: Instant,
    /// Known once it listens: for clients, for operators.
    pub(crate) addresses: OnceLock<(SocketAddr, SocketAddr)>,
    /// How the link to the broker stands.
    pub(crate) link: Arc<Link>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) unheard: Unheard,
    fleet: Mutex<Fleet>,
    tracks: Mutex<Tracks>,
    drain: watch::Sender<bool>,
}

/// What came from the broker since the start, without Tally's own channels.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    records: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Intake {
    /// Only ingest adds to it.
    pub(crate) fn note(&self, events: u64, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn totals(&self) -> [u64; 3] {
        [&self.records, &self.events, &self.bytes].map(|n| n.load(Ordering::Relaxed))
    }
}

impl Statistics {
    pub(crate) fn new(config: &Config) -> Self {
        let name = config.gateway_name();
        let random = std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase());
        let random: String = random.take(ID_RANDOM_CHARS).collect();
        Self {
            id: format!("{name}-{random}"),
            name,
            started_at: unix_ms().get(),
            started: Instant::now(),
            addresses: OnceLock::new(),
            link: Arc::default(),
            intake: Arc::default(),
            unheard: Unheard::default(),
            fleet: Mutex::default(),
            tracks: Mutex::default(),
            drain: watch::Sender::new(false),
        }
    }

    /// Every step under the lock leaves the memory whole, so a poisoned lock is of no concern.
    pub(crate) fn fleet(&self) -> std::sync::MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tracks(&self) -> std::sync::MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operator wants this gateway to drain, as a signal would.
    fn order_drain(&self) {
        self.drain.send_replace(true);
    }

    /// Resolves when an operator wants this gateway to drain.
    pub(crate) fn drain_ordered(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ordered = self.drain.subscribe();
        async move {
            // Whose sender is gone has nobody left to order anything.
            if ordered.wait_for(|ordered| *ordered).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Puts an ask where all gateways hear it.
pub(crate) async fn put_ask(app: &App, ask: &Ask) -> Result<(), PublishError> {
    let data = RawJson::from_serialize(&ask.to_json(&app.statistics.id)).expect("texts and numbers are JSON");
    publish::event(app, channels::ask(), channels::kind(ask.what.as_str()), data).await.map(drop)
}

/// Starts the tasks that publish and answer. What comes back is where the watcher puts asks.
pub(crate) fn spawn(
    app: &Arc<App>,
    shards: &Shards,
    interest: &Arc<crate::interest::Interest>,
    phase: &watch::Receiver<Phase>,
    tasks: &mut JoinSet<()>,
) -> mpsc::Sender<Arc<str>> {
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (newest, sampled) = watch::channel(None);
    let sampler = sample::Sampler::new(app.clone(), shards.clone(), interest.clone(), phase.clone());
    tasks.spawn(sampler.run(newest));
    tasks.spawn(publish::run(app.clone(), sampled));
    tasks.spawn(detail::run(app.clone(), shards.clone()));
    tasks.spawn(answer::run(app.clone(), shards.clone(), asked));
    asks
}
