//! What a gateway answers to an ask on `$ask`, and the orders that it carries out.
//!
//! One after the other; asks that come faster wait, [`crate::limits::ASKS_MAX`] of them, and further ones are dropped.

use super::ask::{Ask, Wanted, What};
use super::detail::ChannelRow;
use super::shards::Shards;
use super::{channels, fleet, publish};
use crate::http::App;
use crate::shard::{ConnectionDetail, Question};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tally_protocol::{ChannelName, CloseCode, RawJson};
use tokio::sync::mpsc;

/// What is said in one or several answers, or why not.
type Said = Result<Vec<Value>, String>;

/// Answers until nobody can ask.
pub(super) async fn run(app: Arc<App>, shards: Shards, mut asks: mpsc::Receiver<Arc<str>>) {
    while let Some(text) = asks.recv().await {
        let (ask, by) = match Ask::from_channel(&text) {
            Ok(ask) => ask,
            Err(error) => {
                tracing::warn!(error, "an ask of another version, or of a foreign program");
                continue;
            }
        };
        let id = &app.statistics.id;
        if ask.gateway.as_ref().is_some_and(|gateway| gateway != id) {
            continue;
        }
        let said = said(&app, &shards, &ask).await;
        if ask.what.is_order() {
            log_order(&ask, &by, said.as_ref().err());
        }
        let is_drain = ask.what == What::Drain;
        answer(&app, &ask, said).await;
        if is_drain {
            // After the answer: it is the last thing that this gateway can be sure to say.
            app.statistics.order_drain();
        }
    }
}

fn log_order(ask: &Ask, by: &str, error: Option<&String>) {
    let (order, connection) = (ask.what.as_str(), ask.what.connection());
    match error {
        None => tracing::info!(order, connection, ask = ask.ask, by, "an operator's order is carried out"),
        Some(error) => {
            tracing::info!(
                order,
                connection,
                ask = ask.ask,
                by,
                error,
                "an operator's order is not carried out"
            );
        }
    }
}

async fn answer(app: &App, ask: &Ask, said: Said) {
    let base = json!({ "ask": ask.ask, "gateway": app.statistics.id });
    let answers = match said {
        Ok(parts) => parts,
        Err(error) => vec![json!({ "error": error })],
    };
    for part in answers {
        let mut answer = base.clone();
        answer["ok"] = part.get("error").is_none().into();
        if let (Value::Object(answer), Value::Object(part)) = (&mut answer, part) {
            answer.extend(part);
        }
        let Ok(data) = RawJson::from_serialize(&answer) else { continue };
        let channel = channels::answers(&ask.ask);
        if let Err(error) = publish::event(app, channel, channels::kind("answer"), data).await {
            return tracing::debug!(%error, ask = ask.ask, "an answer was not published");
        }
    }
}

async fn said(app: &App, shards: &Shards, ask: &Ask) -> Said {
    match &ask.what {
        What::Channel { wanted, limit } => Ok(vec![channel(app, shards, wanted, *limit).await]),
        What::Connection { connection } => {
            let found = ask_connection(shards, connection, |reply| Question::Connection {
                connection: connection.clone(),
                reply,
            });
            let found: Option<ConnectionDetail> = found.await.flatten();
            let found = found.ok_or_else(|| nobody(connection))?;
            Ok(vec![json!({ "connection": found })])
        }
        What::History { from_ms, to_ms, step } => {
            let index = fleet::step_index(*step).ok_or("step must be 1, 10 or 60")?;
            let parts = app.statistics.fleet().history(index, from_ms / 1_000, to_ms / 1_000);
            let n = parts.len();
            let part = |(at, gateways): (usize, Value)| json!({ "step": step, "part": at, "parts": n, "gateways": gateways });
            Ok((1..).zip(parts).map(part).collect())
        }
        What::Reconnect { connection } => close(shards, connection, CloseCode::Reconnect).await,
        What::Disconnect { connection } => close(shards, connection, CloseCode::Forbidden).await,
        What::Drain => Ok(vec![json!({})]),
    }
}

async fn channel(app: &App, shards: &Shards, wanted: &Wanted, limit: usize) -> Value {
    match wanted {
        Wanted::Named(name) => {
            let views = shards.channels([name.clone()].into()).await;
            let points = {
                let mut tracks = app.statistics.tracks();
                tracks.look_at(name, Instant::now());
                tracks.points(name)
            };
            json!({ "channels": rows(views), "history": points })
        }
        Wanted::Prefix(prefix) => {
            let ask = |reply| Question::Find { prefix: prefix.as_str().into(), max: limit, reply };
            let found = shards.ask(ask).await;
            let names: BTreeSet<ChannelName> = found.into_iter().flatten().flatten().collect();
            let mut views = shards.channels(names.into_iter().collect()).await;
            views.sort_by_key(|view| std::cmp::Reverse(view.flow.events));
            views.truncate(limit);
            json!({ "channels": rows(views) })
        }
    }
}

fn rows(views: Vec<tally_fanout::ChannelView>) -> Vec<ChannelRow> {
    views.into_iter().map(ChannelRow::from).collect()
}

async fn close(shards: &Shards, connection: &str, code: CloseCode) -> Said {
    let closed = ask_connection(shards, connection, |reply| Question::Close {
        connection: connection.to_owned(),
        code,
        reply,
    });
    match closed.await {
        Some(true) => Ok(vec![json!({})]),
        Some(false) | None => Err(nobody(connection)),
    }
}

/// Asks the shard that the connection's name begins with.
async fn ask_connection<T>(
    shards: &Shards,
    connection: &str,
    question: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let shard = connection.split_once('-')?.0.parse().ok()?;
    shards.ask_one(shard, question).await
}

fn nobody(connection: &str) -> String {
    let shown: String = connection.chars().take(60).collect();
    format!("this gateway has no connection {shown:?}; it may have ended")
}
