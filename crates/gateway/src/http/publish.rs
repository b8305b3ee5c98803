//! Publishing over HTTP: answered only after the broker has acknowledged, or surely has not.

use super::access::check_publisher;
use super::answer::{Refusal, json_response};
use super::body::{self, ReadBody};
use super::channel::channel_of;
use super::{App, Entrance, Peer};
use crate::clock::unix_ms;
use crate::limits::{BODY_BYTES_MAX, BODY_INLINE_BYTES_MAX, RETRY_MIN};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_backplane::{Content, ProducerBatch, Publish, PublishError, Refusal as Refused};
use tally_protocol::{
    BadLine, Batch, BatchError, ChannelName, Class, CountsOnly, Epoch, ErrorCode, Event, Heard, Intake,
    IntakeError, Kind, OnError, ProducerId, Published, RawJson, Totals, UnixMs, Why, drop_keys, read_events,
};
use tokio::time::sleep;

/// The answer: these events have the seqs `from` to `to`.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    published: Published,
    /// Where lines were skipped: the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<Vec<BadLine>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_count: Option<usize>,
}

pub(super) async fn events(
    State(entrance): State<Arc<Entrance>>,
    Extension(peer): Extension<Arc<Peer>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let app = &entrance.app;
    let (channel, batch) = check(app, &peer, path, &headers)?;
    let on_error = on_error(query)?;
    let ReadBody { bytes, .. } = body::read(app, body, BODY_BYTES_MAX).await?;
    let intake = read(app, &channel, bytes, on_error).await?;
    let skipped = (on_error == OnError::Skip).then_some((intake.skipped, intake.skipped_count));
    let content = Content::Events(Batch::new(intake.events).map_err(|error| refuse_batch(&error))?);
    let published = publish(app, channel, content, batch).await?;
    let (skipped, skipped_count) = skipped.unzip();
    Ok(json_response(StatusCode::OK, &Answer { published, skipped, skipped_count }))
}

/// The body of `POST …/counts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountsBody {
    counts: Totals,
    why: Why,
    state: Option<StateBody>,
}

/// The newest state event among those counted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateBody {
    kind: String,
    /// May only say what it is anyway.
    class: Option<Class>,
    at: Option<UnixMs>,
    data: Option<RawJson>,
}

pub(super) async fn counts(
    State(entrance): State<Arc<Entrance>>,
    Extension(peer): Extension<Arc<Peer>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let app = &entrance.app;
    let (channel, batch) = check(app, &peer, path, &headers)?;
    let ReadBody { bytes, .. } = body::read(app, body, BODY_BYTES_MAX).await?;
    let CountsBody { counts, why, state } = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::bad_request(format!(
            "{error}; send {{\"counts\": {{KIND: N}}, \"why\": \"unheard\" or \"upstream\"}}"
        ))
    })?;
    let drop = app.config.drop_keys(channel.as_str());
    let state = state.map(|state| state.into_event(&drop)).transpose().map_err(Refusal::bad_request)?;
    let counts =
        CountsOnly::new(counts, why, state).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let published = publish(app, channel, Content::Counts(counts), batch).await?;
    Ok(json_response(StatusCode::OK, &Answer { published, skipped: None, skipped_count: None }))
}

impl StateBody {
    fn into_event(self, drop: &[String]) -> Result<Event, String> {
        let kind = Kind::from_producer(&self.kind).map_err(|error| error.to_string())?;
        let data = match self.data {
            None => RawJson::new(&Bytes::from_static(b"null")).map_err(|error| error.to_string())?,
            Some(data) => drop_keys(&data, drop),
        };
        let class = self.class.unwrap_or(Class::State);
        Ok(Event { kind, class, at: self.at.unwrap_or_else(unix_ms), data })
    }
}

/// Everything that can be said before the body comes.
fn check(
    app: &App,
    peer: &Peer,
    path: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
) -> Result<(ChannelName, Option<ProducerBatch>), Refusal> {
    check_publisher(peer, headers, app.config.publish_key.as_ref())?;
    let channel = channel_of(path, peer.door)?;
    Ok((channel, producer_batch(headers)?))
}

fn producer_batch(headers: &HeaderMap) -> Result<Option<ProducerBatch>, Refusal> {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match (text("tally-producer"), text("tally-batch")) {
        (None, None) => Ok(None),
        (Some(producer), Some(number)) => {
            let producer =
                ProducerId::new(&producer).map_err(|error| Refusal::bad_request(error.to_string()))?;
            let number = number.parse().ok().filter(|number| (1..1 << 53).contains(number));
            let number = number.ok_or_else(|| {
                Refusal::bad_request(
                    "Tally-Batch must be a whole number from 1; it counts the producer's batches",
                )
            })?;
            Ok(Some(ProducerBatch { producer, number }))
        }
        _ => Err(Refusal::bad_request("Tally-Producer and Tally-Batch belong together; send both or none")),
    }
}

fn on_error(query: Result<Query<HashMap<String, String>>, QueryRejection>) -> Result<OnError, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let mut on_error = OnError::Refuse;
    for (key, value) in &query {
        on_error = match (key.as_str(), value.as_str()) {
            ("on_error", "skip") => OnError::Skip,
            ("on_error", "refuse") => OnError::Refuse,
            ("on_error", _) => return Err(Refusal::bad_request("on_error must be skip or refuse")),
            _ => {
                let shown: String = key.chars().take(40).collect();
                return Err(Refusal::bad_request(format!(
                    "{shown:?} is no parameter; there is on_error=skip"
                )));
            }
        };
    }
    Ok(on_error)
}

/// Reads the events; a large body on a thread of its own, so that this shard's listeners do not wait for it.
async fn read(app: &App, channel: &ChannelName, body: Bytes, on_error: OnError) -> Result<Intake, Refusal> {
    let drop = app.config.drop_keys(channel.as_str());
    let intake = if body.len() <= BODY_INLINE_BYTES_MAX {
        read_events(&body, unix_ms(), &drop, on_error)
    } else {
        let read = tokio::task::spawn_blocking(move || read_events(&body, unix_ms(), &drop, on_error));
        read.await.map_err(|error| {
            tracing::error!(%error, "reading a body failed");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ErrorCode::Unavailable,
                "the body could not be read",
            )
        })?
    };
    let intake = intake.map_err(refuse_intake)?;
    if intake.events.is_empty() {
        let message = format!("no event is left: all {} lines were skipped", intake.skipped_count);
        let skipped = serde_json::to_value(&intake.skipped).unwrap_or_default();
        return Err(
            Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadEvent, message).with("skipped", skipped)
        );
    }
    Ok(intake)
}

fn refuse_intake(error: IntakeError) -> Refusal {
    let message = error.to_string();
    match error {
        IntakeError::BadLine(bad) => {
            Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadEvent, message).with("line", bad.line)
        }
        IntakeError::Empty => Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadEvent, message),
        IntakeError::TooMany => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message),
    }
}

fn refuse_batch(error: &BatchError) -> Refusal {
    let (status, code) = match error {
        BatchError::Empty => (StatusCode::BAD_REQUEST, ErrorCode::BadEvent),
        _ => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
    };
    Refusal::new(status, code, error.to_string())
}

async fn publish(
    app: &App,
    channel: ChannelName,
    content: Content,
    batch: Option<ProducerBatch>,
) -> Result<Published, Refusal> {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
    let epoch = Epoch::new(&random).expect("16 letters and digits are an epoch");
    let started = Instant::now();
    let publish = Publish { channel, content, batch, epoch };
    let result = hold(app, &publish).await;
    app.metrics.publish_seconds.record(started.elapsed().as_secs_f64());
    app.metrics.publish(match &result {
        Ok(_) => "published",
        Err(PublishError::Refused(_)) => "refused",
        Err(PublishError::Unavailable(_)) => "unavailable",
        Err(PublishError::Unknown(_)) => "unknown",
    });
    if let Ok(Published { heard: Heard::No, .. }) = &result {
        app.statistics.unheard.note(&publish.channel, publish.content.len(), data_bytes(&publish.content));
    }
    result.map_err(refuse_publish)
}

fn data_bytes(content: &Content) -> u64 {
    match content {
        Content::Events(batch) => batch.events().iter().map(|event| event.data.len() as u64).sum(),
        Content::Counts(_) => 0,
    }
}

/// Tries again for a while where nothing was published for sure, or where the call may be repeated.
///
/// Once an attempt was left without an answer, no later refusal says anything about it: the outcome is unknown.
async fn hold(app: &App, publish: &Publish) -> Result<Published, PublishError> {
    let until = Instant::now() + Duration::from_millis(app.config.limits.publish_hold_ms);
    let mut pause = RETRY_MIN;
    let mut unknown: Option<String> = None;
    loop {
        let error = match app.backplane.publish(publish.clone()).await {
            Ok(published) => return Ok(published),
            Err(error) => error,
        };
        if let PublishError::Unknown(reason) = &error {
            unknown = Some(reason.clone());
        }
        let may_repeat = match &error {
            PublishError::Refused(_) => false,
            PublishError::Unavailable(_) => true,
            PublishError::Unknown(_) => publish.batch.is_some(),
        };
        if !may_repeat || Instant::now() + pause >= until {
            return Err(unknown.map_or(error, PublishError::Unknown));
        }
        sleep(pause).await;
        pause *= 2;
    }
}

pub(super) fn refuse_publish(error: PublishError) -> Refusal {
    let message = error.to_string();
    let refused = match error {
        PublishError::Refused(refused) => refused,
        PublishError::Unavailable(_) => {
            let message = format!("{message}; try again");
            return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
                .retry_after(1);
        }
        PublishError::Unknown(_) => {
            let message = format!(
                "{message}; without Tally-Producer and Tally-Batch, sending it again may publish it twice"
            );
            return Refusal::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unknown, message);
        }
    };
    let new = |status, code| Refusal::new(status, code, message);
    match refused {
        Refused::BatchNumber { expected, repeatable, .. } => {
            new(StatusCode::CONFLICT, ErrorCode::BatchNumber)
                .with("expected", expected)
                .with("repeatable", repeatable)
        }
        Refused::ChangedBatch(_) => new(StatusCode::CONFLICT, ErrorCode::BatchNumber),
        Refused::TooManyProducers(_) => {
            new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyProducers).retry_after(120)
        }
        Refused::ChannelFull => new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::ChannelFull),
        Refused::TooManyChannels(_) | Refused::BrokerFull(_) => {
            new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable).retry_after(10)
        }
        Refused::Unusable(_) => new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
    }
}
