//! Publish calls that wait at the same moment travel in one script call, in the order in which they were made.
//!
//! A call is sent at once while few are on their way, with all that were made in the same turn of the runtime; what
//! comes meanwhile waits until one of those is answered, or until it fills a script call. So nothing waits for a clock,
//! and a long way to the server holds nothing up. What is merged shares its way and no more: the script takes
//! each batch by itself. Bounded by the session's permits, each of which lives as long as its call waits or is on its
//! way.

use super::calls::{self, Failure, Outcome};
use super::connection::CommandError;
use super::error::LinkError;
use super::script::{self, Call};
use super::session::Session;
use fred::interfaces::Resp3Frame;
use fred::types::Value;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Script calls on their way while others wait: one that the server works on, and one that it finds behind it.
const ON_THE_WAY_MAX: usize = 2;
/// Batches of one script call. More: another script call. It bounds how long the server does nothing else, and lets
/// what a producer has on its way be several script calls, so that both ends work at the same time.
const BATCHES_MAX: usize = 16;
/// Bytes of one script call, but for a batch that is larger alone.
const BYTES_MAX: usize = 128 * 1024;

/// The calls of a session that wait, and how many script calls are on their way.
#[derive(Debug, Default)]
pub(super) struct Merge(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
    on_the_way: usize,
    /// A task will send what waits, in its next turn.
    is_called: bool,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    answer: oneshot::Sender<Outcome>,
    _permit: OwnedSemaphorePermit,
}

/// A script call on its way.
struct Sent {
    entries: Vec<Entry>,
    reply: BoxFuture<'static, Result<Resp3Frame, CommandError>>,
    /// Where it was there at once.
    replied: Option<Result<Resp3Frame, CommandError>>,
}

/// Makes a call. Dropped before it is sent, it is not sent.
pub(super) async fn run(session: &Arc<Session>, call: Call) -> Outcome {
    let permit = session.permit(call.bytes).await.map_err(Failure::certain)?;
    let (answer, answered) = oneshot::channel();
    session.merge.push(session, Entry { call, answer, _permit: permit });
    answered.await.unwrap_or_else(|_| {
        let server = session.redis.to_string();
        Err(Failure::doubtful(LinkError::Closed(server, "the runtime that drives it ended".into())))
    })
}

impl Merge {
    fn push(&self, session: &Arc<Session>, entry: Entry) {
        let mut waiting = self.lock();
        waiting.bytes += entry.call.bytes;
        waiting.entries.push_back(entry);
        if waiting.is_full() {
            let sent = waiting.send(session);
            tokio::spawn(carry(Arc::clone(session), sent));
        } else if !waiting.is_called && waiting.on_the_way < ON_THE_WAY_MAX {
            waiting.is_called = true;
            tokio::spawn(carry(Arc::clone(session), None));
        }
    }

    /// Sends what the caller was called for.
    fn send(&self, session: &Arc<Session>) -> Option<Sent> {
        let mut waiting = self.lock();
        waiting.is_called = false;
        waiting.send(session)
    }

    /// One was answered; whether its task is called to send what waits.
    fn handle_answered(&self) -> bool {
        let mut waiting = self.lock();
        waiting.on_the_way -= 1;
        let is_called = !waiting.is_called && !waiting.entries.is_empty();
        waiting.is_called |= is_called;
        is_called
    }

    /// Every step under the lock leaves what it guards whole, so a poisoned lock is of no concern.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.entries.len() >= BATCHES_MAX || self.bytes >= BYTES_MAX
    }

    /// Under the lock, up to the connection's queue: so calls leave in the order in which they came.
    fn send(&mut self, session: &Arc<Session>) -> Option<Sent> {
        let entries = self.take();
        if entries.is_empty() {
            return None;
        }
        self.on_the_way += 1;
        let arguments = script::arguments(&session.sha, entries.iter().map(|entry| &entry.call));
        let mut reply = command(Arc::clone(session), arguments).boxed();
        let replied = (&mut reply).now_or_never();
        Some(Sent { entries, reply, replied })
    }

    /// The longest-waiting calls that fit into one script call, without those that nobody waits for any more.
    fn take(&mut self) -> Vec<Entry> {
        let mut taken = Vec::with_capacity(self.entries.len().min(BATCHES_MAX));
        let mut bytes = 0;
        while let Some(entry) = self.entries.front() {
            let size = entry.call.bytes;
            let is_wanted = !entry.answer.is_closed();
            if is_wanted && !taken.is_empty() && (taken.len() == BATCHES_MAX || bytes + size > BYTES_MAX) {
                break;
            }
            self.bytes -= size;
            let entry = self.entries.pop_front();
            if is_wanted {
                bytes += size;
                taken.extend(entry);
            }
        }
        taken
    }
}

async fn command(session: Arc<Session>, arguments: Vec<Value>) -> Result<Resp3Frame, CommandError> {
    session.commands.command("EVALSHA", arguments).await
}

/// Sends what waits, and hands its answers out. A task of its own, because a caller may give up at any time.
async fn carry(session: Arc<Session>, sent: Option<Sent>) {
    let mut next = sent.or_else(|| session.merge.send(&session));
    while let Some(mut sent) = next {
        let reply = match sent.replied.take() {
            Some(reply) => reply,
            None => sent.reply.await,
        };
        handle_reply(&session, sent.entries, reply).await;
        if !session.merge.handle_answered() {
            return;
        }
        // Those who were answered often have the next call ready: it goes along.
        tokio::task::yield_now().await;
        next = session.merge.send(&session);
    }
}

async fn handle_reply(session: &Session, entries: Vec<Entry>, reply: Result<Resp3Frame, CommandError>) {
    let calls = entries.iter().map(|entry| &entry.call);
    let outcomes = match reply {
        // None of it has run. One by one, so that what is wrong with one stands in nobody's way.
        Err(CommandError::Answered(problem)) if calls::has_not_run(&problem) => {
            if calls::is_not_loaded(&problem) {
                // Where it fails, each call finds that out for itself.
                let _ = session.load_script().await;
            }
            join_all(calls.map(|call| calls::run_alone(session, call))).await
        }
        reply => calls::outcomes(calls, reply),
    };
    // Who does not wait any more need not be told.
    entries.into_iter().zip(outcomes).for_each(|(entry, outcome)| drop(entry.answer.send(outcome)));
}
