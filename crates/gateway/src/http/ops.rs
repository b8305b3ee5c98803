//! `POST /ops/ask`: a question or an order of an operator, put on `$ask` for the gateway that is meant.

use super::answer::{Refusal, json_response};
use super::publish::refuse_publish;
use super::{Entrance, Peer, body};
use crate::limits::ASK_BYTES_MAX;
use crate::statistics::ask::{Ask, What};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use tally_protocol::ErrorCode;

/// 202 once the broker has it; the answers come on `$answers:<ask>`.
pub(super) async fn ask(
    State(entrance): State<Arc<Entrance>>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let app = &entrance.app;
    check_type(&headers)?;
    let body = body::read(app, body, ASK_BYTES_MAX).await?;
    let mut ask = Ask::parse(&body.bytes).map_err(Refusal::bad_request)?;
    let own = &app.statistics.id;
    if matches!(ask.what, What::History { .. }) && ask.gateway.is_none() {
        ask.gateway = Some(own.clone());
    }
    if let Some(gateway) = ask.gateway.as_ref().filter(|id| *id != own && !app.statistics.fleet().knows(id)) {
        let message =
            format!("no gateway {gateway:?} was heard of in the last hours; $gateways names those that run");
        return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message));
    }
    if ask.what.is_order() {
        let (order, connection) = (ask.what.as_str(), ask.what.connection());
        let gateway = ask.gateway.as_deref();
        tracing::info!(peer = %peer.addr, order, connection, gateway, ask = ask.ask, "an operator's order");
    }
    crate::statistics::put_ask(app, &ask).await.map_err(refuse_publish)?;
    Ok(json_response(StatusCode::ACCEPTED, &serde_json::json!({})))
}

/// A form of a foreign page cannot send this type without being asked first.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let message = "send the ask as JSON, with Content-Type: application/json";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadRequest, message))
}
