//! HTTP of a gateway: what each port serves, who may ask, and how errors look.

pub(crate) mod access;
pub(crate) mod admin;
mod answer;
mod body;
mod channel;
mod ops;
pub(crate) mod origin;
pub(crate) mod pages;
mod publish;
pub(crate) mod upgrade;

use crate::accept::Slot;
use crate::config::Config;
use crate::decision::{Decision, Door};
use crate::metrics::Metrics;
use crate::statistics::Statistics;
use answer::{Refusal, RefusedCode};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode, header};
use origin::Verdict;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tally_backplane::Backplane;
use tally_protocol::ErrorCode;
use tokio::sync::{Semaphore, mpsc};

/// What all shards share, read-only but for its counters.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) decision: Decision,
    pub(crate) statistics: Statistics,
    /// KiB of request bodies that may still come into memory.
    pub(crate) bodies: Arc<Semaphore>,
    /// False before listening and while draining.
    pub(crate) is_ready: AtomicBool,
    /// Shards whose thread runs.
    pub(crate) shards_alive: AtomicUsize,
    /// Shards that still have to drain. Those that have serve operators until all have.
    pub(crate) shards_undrained: AtomicUsize,
}

impl App {
    pub(crate) fn new(config: Config, backplane: Arc<dyn Backplane>) -> Self {
        let kib = usize::try_from(config.limits.publish_bytes_max / 1024).unwrap_or(usize::MAX);
        let shards = config.shard_count();
        Self {
            statistics: Statistics::new(&config),
            config,
            backplane,
            metrics: Arc::new(Metrics::new()),
            decision: Decision,
            bodies: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            is_ready: AtomicBool::new(false),
            shards_alive: AtomicUsize::new(shards),
            shards_undrained: AtomicUsize::new(shards),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the handlers on one shard share.
pub(crate) struct Entrance {
    pub(crate) app: Arc<App>,
    /// To the shard that these handlers run on.
    pub(crate) upgrade: mpsc::Sender<upgrade::Upgrade>,
}

/// Who is on the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) door: Door,
    /// The connection's place; the last holder gives it back.
    pub(crate) slot: Arc<Slot>,
}

/// What each port serves.
pub(crate) struct Routers {
    pub(crate) public: Router,
    pub(crate) admin: Router,
}

impl Routers {
    pub(crate) fn new(entrance: &Arc<Entrance>) -> Self {
        let public = Router::new()
            .route("/", get(pages::viewer))
            .route("/assets/{*file}", get(pages::viewer_asset))
            .route("/v1/channels/{channel}", get(channel::snapshot))
            .route("/v1/channels/{channel}/events", post(publish::events).get(channel::history))
            .route("/v1/channels/{channel}/counts", post(publish::counts));
        let admin = Router::new()
            .route("/healthz", get(admin::health))
            .route("/readyz", get(admin::ready))
            .route("/metrics", get(admin::metrics))
            .route("/ops", get(pages::ops))
            .route("/ops/assets/{*file}", get(pages::ops_asset))
            .route("/ops/ask", post(ops::ask));
        Self { public: finish(public, entrance), admin: finish(admin, entrance) }
    }
}

/// What both ports have: the websocket, the origin rule, errors as JSON.
fn finish(router: Router<Arc<Entrance>>, entrance: &Arc<Entrance>) -> Router {
    router
        .route("/v1/ws", get(upgrade::upgrade))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(entrance.clone(), guard))
        .with_state(entrance.clone())
}

async fn unknown_path(request: Request) -> Refusal {
    let message = format!(
        "nothing is at {}; there are /v1/ws, /v1/channels/{{channel}}, …/events and …/counts",
        request.uri().path().chars().take(80).collect::<String>()
    );
    std::future::ready(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)).await
}

async fn unknown_method(request: Request) -> Refusal {
    let message = format!("{} is not done here", request.method());
    std::future::ready(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, message)).await
}

/// The origin rule, before anything is done; and what is refused is counted.
async fn guard(State(entrance): State<Arc<Entrance>>, request: Request, next: Next) -> Response {
    let verdict = origin::judge(request.headers(), &entrance.app.config.allow_origin);
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let method = request.method();
    let mut response = match (&verdict, method) {
        (Verdict::Foreign(origin), &Method::POST | &Method::OPTIONS) => {
            origin::refusal(origin).into_response()
        }
        (Verdict::Foreign(origin), _) if is_upgrade => origin::refusal(origin).into_response(),
        (_, &Method::OPTIONS) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    if let Verdict::Allowed(origin) = verdict {
        origin::add_headers(response.headers_mut(), origin);
    }
    if let Some(RefusedCode(code)) = response.extensions().get() {
        entrance.app.metrics.refused(code);
    }
    response
}
