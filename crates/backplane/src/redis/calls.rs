//! The calls of a node: publish, snapshot, audit; each bounded in time, each error said as what it means.

use super::connection::CommandError;
use super::error::LinkError;
use super::keys::Key;
use super::merge;
use super::probe::Probe;
use super::reply;
use super::script::{self, Answer, Broken, Call};
use super::session::Session;
use crate::{Away, CHANNEL_EXPIRY, Content, Head, Publish, PublishError};
use bytes::Bytes;
use fred::interfaces::Resp3Frame;
use fred::types::Value;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
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

/// What became of a publish call.
pub(super) type Outcome = Result<Answer, Failure>;

/// A publish call that the script did not answer, or could not finish.
#[derive(Debug)]
pub(super) struct Failure {
    error: LinkError,
    /// Whether it was published nevertheless, nobody knows.
    is_in_doubt: bool,
    /// The reason lies in the channel of the call, and says nothing of others.
    is_of_channel: bool,
}

impl Failure {
    /// Surely not published.
    pub(super) fn certain(error: LinkError) -> Self {
        Self { error, is_in_doubt: false, is_of_channel: false }
    }

    /// Perhaps published.
    pub(super) fn doubtful(error: LinkError) -> Self {
        Self { error, is_in_doubt: true, is_of_channel: false }
    }

    fn into_publish_error(self) -> PublishError {
        let text = self.error.to_string();
        if self.is_in_doubt { PublishError::Unknown(text) } else { PublishError::Unavailable(text) }
    }
}

/// Publishes, or says what is known of the call.
pub(super) async fn publish(session: &Arc<Session>, publish: &Publish) -> Result<Published, PublishError> {
    let place = session.places.next(&publish.channel, publish.content.len());
    let call = Call::new(&session.keys, publish, CHANNEL_EXPIRY, place.as_ref());
    match merge::run(session, call).await {
        Ok(Answer::Published(told)) => {
            session.places.handle_told(&publish.channel, place.as_ref(), &told);
            Ok(told.published)
        }
        // Where the channel stands now, nobody knows.
        Ok(Answer::Refused(refusal)) => {
            session.places.forget(&publish.channel);
            Err(refusal.into())
        }
        Err(failure) => {
            session.places.forget(&publish.channel);
            if failure.error.ends_session() && !failure.is_of_channel {
                session.end(failure.error.clone());
            }
            Err(failure.into_publish_error())
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
    let _permit = session.permit(call.bytes).await?;
    match run_alone(session, &call).await {
        Ok(Answer::Published(told)) if told.problem.is_empty() => Ok(told.published),
        Ok(Answer::Published(told)) => Err(LinkError::of_answer(&told.problem)),
        Ok(Answer::Refused(refusal)) => Err(LinkError::Answer(refusal.to_string())),
        Err(failure) => Err(failure.error),
    }
}

/// In a script call of its own.
pub(super) async fn run_alone(session: &Session, call: &Call) -> Outcome {
    let until = tokio::time::Instant::now() + session.redis.timeouts.command;
    let mut is_loaded = false;
    loop {
        let arguments = script::arguments(&session.sha, std::iter::once(call));
        let reply = match session.commands.command("EVALSHA", arguments).await {
            Err(CommandError::Answered(problem)) if is_not_loaded(&problem) && !is_loaded => {
                // The script cannot have run, whatever becomes of loading it.
                let loading = session.load_script().await.map_err(CommandError::into_link_error);
                loading.map_err(Failure::certain)?;
                is_loaded = true;
                continue;
            }
            Err(CommandError::Answered(problem))
                if problem.starts_with("TRYAGAIN") && tokio::time::Instant::now() < until =>
            {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                continue;
            }
            reply => reply,
        };
        return outcomes(std::iter::once(call), reply).pop().expect("one call has one outcome");
    }
}

/// What a reply says of each call that it answers, in their order.
pub(super) fn outcomes<'a>(
    calls: impl ExactSizeIterator<Item = &'a Call>,
    reply: Result<Resp3Frame, CommandError>,
) -> Vec<Outcome> {
    let failed = |failure: fn(LinkError) -> Failure, error: LinkError| {
        (0..calls.len()).map(|_| Err(failure(error.clone()))).collect()
    };
    match reply {
        Ok(reply) => {
            let odd = || LinkError::Answer("what the publish script cannot have said".into());
            let answers = script::answers(calls, &reply).into_iter();
            answers.map(|answer| answer.map_or_else(|| Err(Failure::doubtful(odd())), finished)).collect()
        }
        Err(CommandError::Unsent(error)) => failed(Failure::certain, error),
        Err(CommandError::Unanswered(error)) => failed(Failure::doubtful, error),
        Err(CommandError::Answered(problem)) => calls.map(|_| Err(not_run(&problem))).collect(),
    }
}

/// A batch of which the script wrote nothing was surely not published.
fn finished(answer: Result<Answer, Broken>) -> Outcome {
    answer.map_err(|Broken { problem, is_written }| {
        let error = LinkError::of_answer(&problem);
        if is_written { Failure::doubtful(error) } else { Failure::certain(error) }
    })
}

/// What an error answered to a script call as a whole says about each of its batches.
fn not_run(problem: &str) -> Failure {
    let error = LinkError::of_answer(problem);
    let before = ["READONLY", "MISCONF", "NOREPLICAS", "OOM", "LOADING", "BUSY", "NOAUTH", "CLUSTERDOWN"];
    let elsewhere = ["MASTERDOWN", "MOVED", "ASK", "CROSSSLOT"];
    let is_certain =
        has_not_run(problem) || before.iter().chain(&elsewhere).any(|part| problem.starts_with(part));
    Failure { error, is_in_doubt: !is_certain, is_of_channel: is_denied(problem) && problem.contains(" key") }
}

/// Whether the call was refused before the script ran, for a reason that may lie in one of its batches or pass.
pub(super) fn has_not_run(problem: &str) -> bool {
    is_not_loaded(problem) || is_denied(problem) || problem.starts_with("TRYAGAIN")
}

pub(super) fn is_not_loaded(problem: &str) -> bool {
    problem.starts_with("NOSCRIPT")
}

/// Rights are looked at before the script runs, and for each command in it.
fn is_denied(problem: &str) -> bool {
    let is_in_script = problem.contains("script:") || problem.contains("user_script");
    problem.starts_with("NOPERM") && !is_in_script
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

async fn read(session: &Session, name: &'static str, arguments: Vec<Value>) -> Result<Resp3Frame, Away> {
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
