//! What operators ask: is it alive, does it take connections, what has it counted.

use super::Entrance;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Alive: every shard's thread runs, or is about to end because the gateway drains.
pub(super) async fn health(State(entrance): State<Arc<Entrance>>) -> Response {
    let app = &entrance.app;
    let (alive, all) = (app.shards_alive.load(Ordering::Relaxed), app.config.shard_count());
    let answer = if alive == all || !app.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{alive} of {all} shards run; restart the gateway\n"))
    };
    std::future::ready(answer.into_response()).await
}

/// Ready: false only before listening and while draining, never because of the broker.
pub(super) async fn ready(State(entrance): State<Arc<Entrance>>) -> Response {
    let answer = if entrance.app.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    };
    std::future::ready(answer.into_response()).await
}

pub(super) async fn metrics(State(entrance): State<Arc<Entrance>>) -> Response {
    let text = entrance.app.metrics.handle().render();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    std::future::ready((kind, text).into_response()).await
}
