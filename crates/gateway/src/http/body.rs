//! A request's body in memory: within its own bound, within that of all bodies together, and within its time.

use super::App;
use super::answer::Refusal;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::ErrorCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A body, and its place among all bodies, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    _places: Option<OwnedSemaphorePermit>,
}

pub(super) async fn read(app: &Arc<App>, body: Body, bytes_max: usize) -> Result<ReadBody, Refusal> {
    let time = Duration::from_millis(app.config.limits.body_read_ms);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    timeout(time, take(app, body, bytes_max)).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {} s; nothing was published", time.as_secs_f32());
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BadRequest, message))
    })
}

async fn take(app: &Arc<App>, mut body: Body, bytes_max: usize) -> Result<ReadBody, Refusal> {
    let mut read = BytesMut::new();
    let mut places: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad_request(format!("the body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let held = places.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * 1024;
        let missing = (read.len() + data.len()).saturating_sub(held).div_ceil(1024);
        if missing > 0 {
            let more = app.bodies.clone().try_acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX));
            let more = more.map_err(|_| busy())?;
            match &mut places {
                Some(places) => places.merge(more),
                None => places = Some(more),
            }
        }
        read.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: read.freeze(), _places: places })
}

fn too_large(bytes_max: usize) -> Refusal {
    let message = format!("the body has more than {bytes_max} bytes; send it as several");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
}

fn busy() -> Refusal {
    let message =
        "too many bytes are being published at once (publish_bytes_max); nothing was published, try again";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message).retry_after(1)
}
