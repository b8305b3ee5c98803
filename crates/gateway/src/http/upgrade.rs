//! The websocket handshake: everything is checked before the upgrade, so that nobody is let in and then closed.

use super::answer::Refusal;
use super::{Entrance, Peer};
use crate::accept::Slot;
use crate::connection::Caller;
use crate::decision::{Guest, Handshake, Refused};
use crate::limits::USER_AGENT_MAX;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tally_protocol::{ErrorCode, SUBPROTOCOL};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A connection that was let in, on its way to its shard.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) upgraded: OnUpgrade,
    pub(crate) guest: Guest,
    pub(crate) slot: Arc<Slot>,
    pub(crate) caller: Caller,
}

pub(super) async fn upgrade(
    State(entrance): State<Arc<Entrance>>,
    Extension(peer): Extension<Arc<Peer>>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let key = websocket_key(request.headers())?;
    check_subprotocol(request.headers())?;
    if !entrance.app.is_ready.load(Ordering::Relaxed) {
        return Err(unavailable("the gateway is shutting down; connect again, another one will take you"));
    }
    let handshake =
        Handshake { peer: peer.addr, door: peer.door, uri: request.uri(), headers: request.headers() };
    let guest = entrance.app.decision.connect(&handshake).await.map_err(refuse)?;
    let caller = Caller { addr: peer.addr, user_agent: user_agent(request.headers()) };
    let upgraded = hyper::upgrade::on(&mut request);
    let upgrade = Upgrade { upgraded, guest, slot: peer.slot.clone(), caller };
    if entrance.upgrade.try_send(upgrade).is_err() {
        return Err(unavailable("too many connections at once; try again"));
    }
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept_value(&key)),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// As it was sent, cut; bytes that are no text are left out.
fn user_agent(headers: &HeaderMap) -> Option<Box<str>> {
    let given = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(given.chars().take(USER_AGENT_MAX).collect())
}

fn accept_value(key: &str) -> HeaderValue {
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value")
}

/// The client's key, if this is a handshake at all.
fn websocket_key(headers: &HeaderMap) -> Result<String, Refusal> {
    if !has_token(headers, &header::UPGRADE, "websocket")
        || !has_token(headers, &header::CONNECTION, "upgrade")
    {
        let message = "this is the websocket; connect with a websocket client and the subprotocol tally.v1";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, ErrorCode::BadRequest, message));
    }
    if !has_token(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Refusal::bad_request("Sec-WebSocket-Version must be 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    if key.len() != 24 || !key.ends_with("==") {
        return Err(Refusal::bad_request("Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    Ok(key.to_owned())
}

fn check_subprotocol(headers: &HeaderMap) -> Result<(), Refusal> {
    if has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Ok(());
    }
    let message = "offer the websocket subprotocol tally.v1, such as new WebSocket(url, \"tally.v1\")";
    Err(Refusal::bad_request(message))
}

/// Whether one of a header's comma-separated values is `token`.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn refuse(refused: Refused) -> Refusal {
    match refused {
        Refused::Unknown(message) => Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::BadRequest, message),
        Refused::Forbidden(message) => Refusal::new(StatusCode::FORBIDDEN, ErrorCode::BadRequest, message),
        Refused::Unavailable(message) => unavailable(&message),
    }
}

fn unavailable(message: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message).retry_after(1)
}
