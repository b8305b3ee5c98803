//! The calls of a node: publish, snapshot, audit; each bounded in time, each error said as what it means.

use super::connection::CommandError;
use super::error::LinkError;
use super::keys::Key;
use super::probe::Probe;
use super::reply;
use super::script::{Answer, Call};
use super::session::Session;
use crate::{Away, CHANNEL_EXPIRY, Content, Head, Publish, PublishError};
use bytes::Bytes;
use fred::types::Value;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::time::Duration;
use tally_protocol::{
    Batch, ChannelName, Class, Epoch, Event, Kind, Prev, Published, RawJson, Seq, Snapshot, State, Totals,
    UnixMs,
};

/// How long a probe's keys outlive it.
const PROBE_EXPIRY: Duration = Duration::from_secs(60);
/// Between two attempts while a slot of a cluster moves.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Audits that are on their way at once.
const AUDIT_MAX: usize = 256;
/// Bytes of the field `head` before epoch and owner.
const HEAD_LEN: usize = 108;

/// Publishes, or says what is known of the call.
pub(super) async fn publish(session: &Session, publish: &Publish) -> Result<Published, PublishError> {
    let place = session.places.next(&publish.channel, publish.content.len());
    let call = Call::new(&session.keys, publish, CHANNEL_EXPIRY, place.as_ref());
    let answer = run(session, &call).await;
    match answer {
        Ok(Answer::Published(told)) => {
            session.places.handle_told(&publish.channel, place.as_ref(), &told);
            Ok(told.published)
        }
        // Where the channel stands now, nobody knows.
        Ok(Answer::Refused(refusal)) => {
            session.places.forget(&publish.channel);
            Err(refusal.into())
        }
        Err(error) => {
            session.places.forget(&publish.channel);
            Err(error)
        }
    }
}

/// Publishes one record of the probe's channel, whose keys expire soon.
pub(super) async fn publish_probe(session: &Session, probe: &Probe) -> Result<Published, LinkError> {
    let event = Event {
        kind: Kind::new("probe").expect("a valid kind"),
        class: Class::Bulk,
        at: UnixMs::new(0),
        data: RawJson::string(""),
    };
    let batch = Batch::new(vec![event]).expect("one small event is a batch");
    let publish = Publish {
        channel: probe.channel().clone(),
        content: Content::Events(batch),
        batch: None,
        epoch: Epoch::new(&format!("{:016x}", fastrand::u64(..))).expect("sixteen digits are an epoch"),
    };
    let call = Call::new(&session.keys, &publish, PROBE_EXPIRY, None);
    match run(session, &call).await {
        Ok(Answer::Published(told)) if told.problem.is_empty() => Ok(told.published),
        Ok(Answer::Published(told)) => Err(LinkError::of_answer(&told.problem)),
        Ok(Answer::Refused(refusal)) => Err(LinkError::Answer(refusal.to_string())),
        Err(PublishError::Unavailable(text) | PublishError::Unknown(text)) => {
            Err(session.ending().unwrap_or(LinkError::Answer(text)))
        }
        Err(PublishError::Refused(refusal)) => Err(LinkError::Answer(refusal.to_string())),
    }
}

async fn run(session: &Session, call: &Call) -> Result<Answer, PublishError> {
    let unsent = |error: LinkError| PublishError::Unavailable(error.to_string());
    let _permit = session.permit(call.bytes).await.map_err(unsent)?;
    let until = tokio::time::Instant::now() + session.redis.timeouts.command;
    let mut is_loaded = false;
    loop {
        let problem = match session.commands.command("EVALSHA", call.arguments(&session.sha)).await {
            Ok(reply) => {
                let odd = || PublishError::Unknown("Redis answered what the script cannot have said".into());
                return call.answer(&reply).ok_or_else(odd);
            }
            Err(CommandError::Unsent(error)) => return Err(unsent(error)),
            Err(CommandError::Unanswered(error)) => return Err(PublishError::Unknown(error.to_string())),
            Err(CommandError::Answered(problem)) => problem,
        };
        if problem.starts_with("NOSCRIPT") && !is_loaded {
            // The script cannot have run, whatever becomes of loading it.
            let loading = session.load_script().await.map_err(CommandError::into_link_error);
            loading.map_err(unsent)?;
            is_loaded = true;
        } else if problem.starts_with("TRYAGAIN") && tokio::time::Instant::now() < until {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        } else {
            return Err(not_run(session, &problem));
        }
    }
}

/// What an error answered to the script says about the batch.
fn not_run(session: &Session, problem: &str) -> PublishError {
    let error = LinkError::of_answer(problem);
    let text = error.to_string();
    if error.ends_session() {
        session.end(error);
    }
    // These come before the script runs, or with its first write; all else may have come later.
    let first = ["NOSCRIPT", "TRYAGAIN", "READONLY", "MISCONF", "NOREPLICAS", "OOM command not allowed"];
    let before = ["LOADING", "BUSY", "NOAUTH", "CLUSTERDOWN", "MASTERDOWN", "MOVED", "ASK", "CROSSSLOT"];
    let is_in_script = problem.contains("script:") || problem.contains("user_script");
    let is_denied = problem.starts_with("NOPERM") && !is_in_script;
    if first.iter().any(|part| problem.contains(part))
        || before.iter().any(|part| problem.starts_with(part))
        || is_denied
    {
        PublishError::Unavailable(text)
    } else {
        PublishError::Unknown(text)
    }
}

/// One read of the channel's hash. It says what is there: where the server has lost part of the channel since the
/// hash was written, the epoch changes with the next publish call, not with a read.
pub(super) async fn snapshot(session: &Session, channel: &ChannelName) -> Result<Option<Snapshot>, Away> {
    let _permit = session.permit(0).await.map_err(|error| away(&error))?;
    let key = session.keys.key(channel, Key::Meta);
    let reply = read(session, "HGETALL", vec![Value::from(key.as_str())]).await?;
    let fields = reply::fields(&reply).ok_or_else(|| damaged(&key))?;
    if fields.is_empty() {
        return Ok(None);
    }
    decoded(&fields).map(Some).ok_or_else(|| damaged(&key))
}

fn decoded(fields: &HashMap<String, Bytes>) -> Option<Snapshot> {
    let Head { epoch, seq } = decoded_head(fields.get("head")?)?;
    let field = |name: &str| match fields.get(name) {
        Some(value) => std::str::from_utf8(value).map(Some).ok(),
        None => Some(None),
    };
    let prev = match field("prev")?.map(|prev| prev.split_once(' ')) {
        None => None,
        Some(prev) => {
            let (at, epoch) = prev?;
            Some(Prev { epoch: Epoch::new(epoch).ok()?, seq: self::seq(at)? })
        }
    };
    let mut totals = Totals::new();
    for (name, count) in fields {
        if let Some(kind) = name.strip_prefix("k:") {
            totals.add(&Kind::new(kind).ok()?, std::str::from_utf8(count).ok()?.parse().ok()?);
        }
    }
    if totals.sum() != seq.get() {
        return None;
    }
    let state = match field("state")? {
        None => None,
        Some(state) => Some(decoded_state(state)?),
    };
    Some(Snapshot { epoch, prev, seq, totals, state })
}

/// Epoch and seq of the field `head`, whose layout docs/redis.md has.
fn decoded_head(head: &[u8]) -> Option<Head> {
    let (epoch_len, owner_len) = (usize::from(*head.first()?), usize::from(*head.get(1)?));
    if head.len() != HEAD_LEN + epoch_len + owner_len {
        return None;
    }
    let seq = u64::from_be_bytes(head[4..12].try_into().ok()?);
    let epoch = std::str::from_utf8(&head[HEAD_LEN..HEAD_LEN + epoch_len]).ok()?;
    Some(Head { epoch: Epoch::new(epoch).ok()?, seq: Seq::new(seq)? })
}

/// `seq kind sent-as at data`, with `/` where it was sent as what it is tallied as.
fn decoded_state(state: &str) -> Option<State> {
    let mut parts = state.splitn(5, ' ');
    let seq = seq(parts.next()?)?;
    let kind = Kind::new(parts.next()?).ok()?;
    let sent_as = match parts.next()? {
        "/" => None,
        sent => Some(Kind::new(sent).ok()?),
    };
    let at = UnixMs::new(parts.next()?.parse().ok()?);
    let data = RawJson::new(&Bytes::copy_from_slice(parts.next()?.as_bytes())).ok()?;
    Some(State { seq, kind, sent_as, at, data })
}

fn seq(text: &str) -> Option<Seq> {
    text.parse().ok().and_then(Seq::new)
}

/// Each channel is a call of its own, so that they may lie on different servers; they travel together.
pub(super) async fn audit(session: &Session, channels: &[ChannelName]) -> Result<Vec<Option<Head>>, Away> {
    let _permit = session.permit(0).await.map_err(|error| away(&error))?;
    let mut heads = Vec::with_capacity(channels.len());
    for some in channels.chunks(AUDIT_MAX) {
        let answers = join_all(some.iter().map(|channel| head(session, channel))).await;
        for answer in answers {
            heads.push(answer?);
        }
    }
    Ok(heads)
}

async fn head(session: &Session, channel: &ChannelName) -> Result<Option<Head>, Away> {
    let key = session.keys.key(channel, Key::Meta);
    let expiry = CHANNEL_EXPIRY.as_millis().to_string();
    let (fields, renewed) = tokio::join!(
        read(session, "HMGET", vec![Value::from(key.as_str()), Value::from("head")]),
        read(session, "PEXPIRE", vec![Value::from(key.as_str()), Value::from(expiry)]),
    );
    renewed?;
    match reply::first(&fields?) {
        Some(None) => Ok(None),
        Some(Some(head)) => decoded_head(&head).map(Some).ok_or_else(|| damaged(&key)),
        None => Err(damaged(&key)),
    }
}

async fn read(
    session: &Session,
    name: &'static str,
    arguments: Vec<Value>,
) -> Result<fred::interfaces::Resp3Frame, Away> {
    session.commands.command(name, arguments).await.map_err(|error| {
        let is_answer = matches!(error, CommandError::Answered(_));
        let error = error.into_link_error();
        let text = error.to_string();
        if is_answer && error.ends_session() {
            session.end(error);
        }
        Away(text)
    })
}

fn away(error: &LinkError) -> Away {
    Away(error.to_string())
}

fn damaged(key: &str) -> Away {
    Away(format!("what {key} holds is not Tally's; delete the key to start the channel anew"))
}
