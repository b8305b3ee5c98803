//! Reading a channel over HTTP: its snapshot. (Its history comes with the history issue.)

use super::answer::{Refusal, json_response};
use super::{Entrance, Peer};
use crate::decision::{Door, OWN_CHANNEL};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::StatusCode;
use std::sync::Arc;
use tally_backplane::Away;
use tally_protocol::{ChannelName, ErrorCode};

pub(super) async fn snapshot(
    State(entrance): State<Arc<Entrance>>,
    Extension(peer): Extension<Arc<Peer>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let channel = channel_of(path, peer.door)?;
    match entrance.app.backplane.snapshot(channel.clone()).await {
        Ok(Some(snapshot)) => Ok(json_response(StatusCode::OK, &snapshot)),
        Ok(None) => {
            let message = format!("the channel {channel} has no events, or they were too long ago");
            Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message))
        }
        Err(Away(reason)) => {
            let message = format!("the broker is away ({reason}); try again");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Refusal::new(status, ErrorCode::Unavailable, message).retry_after(1))
        }
    }
}

pub(super) async fn history(
    Extension(peer): Extension<Arc<Peer>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let channel = std::future::ready(channel_of(path, peer.door)?).await;
    let message = format!(
        "no history is kept of {channel}; subscribe over /v1/ws with last or after for what the gateway still has, or \
         read the snapshot at /v1/channels/{channel}"
    );
    Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NoHistory, message))
}

/// The channel that a path names.
pub(super) fn channel_of(
    path: Result<Path<String>, PathRejection>,
    door: Door,
) -> Result<ChannelName, Refusal> {
    let bad = |message| Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadChannel, message);
    let Path(name) = path.map_err(|error| bad(error.to_string()))?;
    let channel = ChannelName::new(&name).map_err(|error| bad(error.to_string()))?;
    if channel.is_own() && door == Door::Public {
        return Err(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::ForbiddenChannel, OWN_CHANNEL));
    }
    Ok(channel)
}
