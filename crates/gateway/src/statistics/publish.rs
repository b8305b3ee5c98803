//! Publishing on Tally's own channels: straight to the broker, since over HTTP nobody may.
//!
//! A sample that waits for the broker is replaced by the next one; nothing is held or repeated.

use super::channels;
use crate::clock::unix_ms;
use crate::http::App;
use crate::limits::OWN_PUBLISH_TIME;
use std::sync::Arc;
use tally_backplane::{Content, Publish, PublishError};
use tally_protocol::{
    Batch, ChannelName, Class, CountsOnly, Epoch, Event, Heard, Kind, Published, RawJson, Totals, Why,
};
use tokio::sync::watch;
use tokio::time::timeout;

/// One event of this kind, with this JSON as its data.
pub(super) async fn event(
    app: &App,
    channel: ChannelName,
    kind: Kind,
    data: RawJson,
) -> Result<Published, PublishError> {
    let event = Event { kind, class: Class::Bulk, at: unix_ms(), data };
    let batch = Batch::new(vec![event]).map_err(|error| PublishError::Unavailable(error.to_string()))?;
    publish(app, channel, Content::Events(batch)).await
}

/// One event told by number only, because nobody listens; the answer says whether somebody does by now.
pub(super) async fn unheard(app: &App, channel: ChannelName, kind: &Kind) -> Result<Heard, PublishError> {
    let counts: Totals = [(kind, 1)].into_iter().collect();
    let counts = CountsOnly::new(counts, Why::Unheard, None)
        .map_err(|error| PublishError::Unavailable(error.to_string()))?;
    publish(app, channel, Content::Counts(counts)).await.map(|published| published.heard)
}

async fn publish(app: &App, channel: ChannelName, content: Content) -> Result<Published, PublishError> {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
    let epoch = Epoch::new(&random).expect("16 letters and digits are an epoch");
    let publish = Publish { channel, content, batch: None, epoch };
    let late = |_| Err(PublishError::Unknown("the broker did not answer in time".into()));
    timeout(OWN_PUBLISH_TIME, app.backplane.publish(publish)).await.unwrap_or_else(late)
}

/// Says on `$gateways` that this gateway drains.
pub(crate) async fn leaving(app: &App) {
    let statistics = &app.statistics;
    let data = serde_json::json!({
        "gateway": statistics.id,
        "name": statistics.name,
        "at": unix_ms().get(),
    });
    let data = RawJson::from_serialize(&data).expect("strings and numbers are JSON");
    if let Err(error) = event(app, channels::gateways(), channels::kind("leaving"), data).await {
        tracing::debug!(%error, "could not say that this gateway leaves");
    }
}

/// Publishes the newest sample, as often as there is a new one and the broker takes it.
pub(super) async fn run(app: Arc<App>, mut newest: watch::Receiver<Option<RawJson>>) {
    while newest.changed().await.is_ok() {
        let Some(sample) = newest.borrow_and_update().clone() else { continue };
        if let Err(error) = event(&app, channels::gateways(), channels::kind("sample"), sample).await {
            tracing::debug!(%error, "a sample was not published");
        }
    }
}
