//! One time of being connected: a connection for commands and one for messages, checked, then watched until one ends.
//!
//! Both begin and end together, so that "up" means one thing. A session that ends takes its subscriptions with it;
//! whoever wants them subscribes again in the next one.

use super::config::Redis;
use super::connection::{CommandError, Connection, Role};
use super::error::LinkError;
use super::keys::Keys;
use super::merge::Merge;
use super::places::Places;
use super::probe::Probe;
use super::script;
use super::{calls, reply};
use crate::stream::Queue;
use bytes::Bytes;
use fred::types::{Message, Value};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tally_protocol::ChannelName;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Names in one `SUBSCRIBE`: more in one command would hold up what others wait for.
const SUBSCRIBE_MAX: usize = 512;
/// KiB of calls that are on their way; further ones wait, no longer than a command may take.
const ON_THE_WAY_KIB_MAX: u32 = 64 * 1024;
/// The oldest version that has all that is used (from 6.2: `HELLO` without arguments, ACLs for channels).
const VERSION_MIN: (u32, u32) = (6, 2);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) commands: Connection,
    pub(super) keys: Keys,
    permits: Arc<Semaphore>,
    /// Publish calls that wait for their way.
    pub(super) merge: Merge,
    pub(super) redis: Redis,
    /// What `EVALSHA` names.
    pub(super) sha: String,
    /// Where the next batch of each channel is expected: what changes the channels otherwise often ends the session.
    pub(super) places: Places,
    ears: Option<Ears>,
    probe: Arc<Probe>,
    /// Microseconds that the newest probe took; 0 before the first.
    probe_micros: AtomicU64,
    /// The stream is gone, and with it the connection for messages.
    is_unread: AtomicBool,
    /// The first reason to end that a call came upon.
    ending: OnceLock<LinkError>,
    end: Notify,
}

/// The connection for messages.
#[derive(Debug)]
struct Ears {
    connection: Connection,
    subscribed: Arc<Subscribed>,
    /// Held while `subscribed` and the server are changed: so both have the same order.
    changing: tokio::sync::Mutex<()>,
    mover: JoinHandle<()>,
}

/// The channels whose messages are wanted: bounds gaps, and keeps names from being made anew per message.
#[derive(Debug, Default)]
struct Subscribed(Mutex<HashSet<ChannelName>>);

impl Subscribed {
    /// Every step under the lock leaves the set whole, so a poisoned lock is of no concern.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<ChannelName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

impl Session {
    /// Connects and proves that everything works, up to a record that was published and has arrived.
    pub(super) async fn open(redis: &Redis, queue: Option<&Arc<Queue>>) -> Result<Self, LinkError> {
        let (commands, _) = Connection::open(redis, Role::Commands).await?;
        check_server(&commands).await?;
        let keys = Keys::new(&redis.prefix);
        let sha = load(&commands).await.map_err(CommandError::into_link_error)?;
        let probe = Arc::new(Probe::default());
        let ears = match queue {
            Some(queue) => Some(Ears::open(redis, &keys, &probe, queue).await?),
            None => None,
        };
        let session = Self {
            commands,
            keys,
            permits: Arc::new(Semaphore::new(ON_THE_WAY_KIB_MAX as usize)),
            merge: Merge::default(),
            redis: redis.clone(),
            sha,
            places: Places::default(),
            ears,
            probe,
            probe_micros: AtomicU64::new(0),
            is_unread: AtomicBool::new(false),
            ending: OnceLock::new(),
            end: Notify::new(),
        };
        session.probe().await?;
        Ok(session)
    }

    /// Resolves when the session has to end. `unread` resolves when nobody reads messages any more; the rest goes on.
    pub(super) async fn ended(&self, unread: impl Future<Output = ()>) -> LinkError {
        let timeouts = self.redis.timeouts;
        let commands = async {
            tokio::select! {
                error = self.commands.ended() => error,
                error = self.commands.silent(timeouts.heartbeat, timeouts.silence) => error,
                error = self.probe_again() => error,
                () = self.end.notified() => {
                    self.ending.get().cloned().unwrap_or(LinkError::NoStream)
                }
            }
        };
        let messages = async {
            let Some(ears) = &self.ears else { return std::future::pending().await };
            tokio::select! {
                error = ears.connection.ended() => error,
                error = ears.connection.silent(timeouts.heartbeat, timeouts.silence) => error,
                () = unread => {
                    self.is_unread.store(true, Ordering::Relaxed);
                    ears.connection.close();
                    std::future::pending().await
                }
            }
        };
        tokio::select! { error = commands => error, error = messages => error }
    }

    /// Ends the session, for what a call came upon.
    pub(super) fn end(&self, error: LinkError) {
        // Only the first reason is told.
        let _ = self.ending.set(error);
        self.end.notify_one();
    }

    /// Closes both connections: what is still on its way is not answered any more.
    pub(super) fn close(&self) {
        self.permits.close();
        self.commands.close();
        if let Some(ears) = &self.ears {
            ears.connection.close();
            ears.mover.abort();
        }
    }

    /// Room for a call; waits at most as long as a command may take, and not at all once the session has ended.
    pub(super) async fn permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, LinkError> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(ON_THE_WAY_KIB_MAX);
        let waiting =
            tokio::time::timeout(self.redis.timeouts.command, self.permits.clone().acquire_many_owned(kib));
        match waiting.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(LinkError::Closed(self.redis.to_string(), "a moment ago".into())),
            Err(_) => Err(LinkError::Busy),
        }
    }

    pub(super) async fn load_script(&self) -> Result<String, CommandError> {
        load(&self.commands).await
    }

    /// When it returns, the subscriptions have taken effect.
    pub(super) async fn subscribe(&self, channels: &[ChannelName]) -> Result<(), LinkError> {
        let ears = self.ears.as_ref().ok_or(LinkError::NoStream)?;
        let _changing = ears.changing.lock().await;
        let _permit = self.permit(0).await?;
        ears.subscribed.lock().extend(channels.iter().cloned());
        let subscribed = ears.connection.subscribe(self.names(channels)).await;
        self.end_after(subscribed)
    }

    /// When it returns, the subscriptions have ended.
    pub(super) async fn unsubscribe(&self, channels: &[ChannelName], queue: &Queue) -> Result<(), LinkError> {
        let ears = self.ears.as_ref().ok_or(LinkError::NoStream)?;
        let _changing = ears.changing.lock().await;
        let _permit = self.permit(0).await?;
        {
            let mut subscribed = ears.subscribed.lock();
            for channel in channels {
                subscribed.remove(channel);
                queue.forget_gap(channel);
            }
        }
        let unsubscribed = ears.connection.unsubscribe(self.names(channels)).await;
        self.end_after(unsubscribed)
    }

    /// Whatever went wrong, other than that it took long, leaves the connection with answers that cannot be trusted.
    fn end_after(&self, result: Result<(), LinkError>) -> Result<(), LinkError> {
        if let Err(error) = &result
            && !matches!(error, LinkError::Silent(..))
        {
            self.end(error.clone());
        }
        result
    }

    fn names(&self, channels: &[ChannelName]) -> Vec<Vec<String>> {
        let names = |some: &[ChannelName]| some.iter().map(|channel| self.keys.pubsub(channel)).collect();
        channels.chunks(SUBSCRIBE_MAX).map(names).collect()
    }

    /// Publishes a record of its own and waits for it to arrive.
    ///
    /// A publish call that Redis does not take proves nothing about the subscription: then nothing is wrong here.
    async fn probe(&self) -> Result<(), LinkError> {
        let began = Instant::now();
        match calls::publish_probe(self, &self.probe).await {
            Ok(published) if self.hears() => {
                let arriving =
                    tokio::time::timeout(self.redis.timeouts.silence, self.probe.arrived(&published));
                let arrived = arriving.await.is_ok();
                if arrived {
                    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.probe_micros.store(micros.max(1), Ordering::Relaxed);
                }
                if !arrived && self.hears() { Err(LinkError::Deaf) } else { Ok(()) }
            }
            Ok(_) => Ok(()),
            Err(error) if error.ends_session() => Err(error),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn probe_time(&self) -> Option<Duration> {
        let micros = self.probe_micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn hears(&self) -> bool {
        self.ears.is_some() && !self.is_unread.load(Ordering::Relaxed)
    }

    async fn probe_again(&self) -> LinkError {
        loop {
            tokio::time::sleep(self.redis.timeouts.probe).await;
            if !self.hears() {
                return std::future::pending().await;
            }
            if let Err(error) = self.probe().await {
                return error;
            }
        }
    }
}

impl Ears {
    async fn open(
        redis: &Redis,
        keys: &Keys,
        probe: &Arc<Probe>,
        queue: &Arc<Queue>,
    ) -> Result<Self, LinkError> {
        let (connection, messages) = Connection::open(redis, Role::Messages).await?;
        let subscribed = Arc::new(Subscribed::default());
        let mover = Mover {
            messages,
            keys: keys.clone(),
            subscribed: subscribed.clone(),
            probe: probe.clone(),
            queue: queue.clone(),
        };
        let mover = tokio::spawn(mover.run());
        let ears = Self { connection, subscribed, changing: tokio::sync::Mutex::default(), mover };
        ears.connection.subscribe(vec![vec![keys.pubsub(probe.channel())]]).await?;
        Ok(ears)
    }
}

/// Moves messages from fred's queue into the node's, and does nothing else: fred's is short.
struct Mover {
    messages: Receiver<Message>,
    keys: Keys,
    subscribed: Arc<Subscribed>,
    probe: Arc<Probe>,
    queue: Arc<Queue>,
}

impl Mover {
    async fn run(mut self) {
        loop {
            match self.messages.recv().await {
                Ok(message) => self.handle_message(&message),
                Err(RecvError::Lagged(lost)) => self.handle_lag(lost),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn handle_message(&self, message: &Message) {
        let Some(name) = self.keys.channel(&message.channel) else { return };
        // Anything that Redis can carry in a message is one of these two.
        let Some(payload) = message.value.as_bytes() else { return };
        if name == self.probe.channel().as_str() {
            self.probe.handle_message(&Bytes::copy_from_slice(payload));
            return;
        }
        let channel = self.subscribed.lock().get(name).cloned();
        if let Some(channel) = channel {
            // Copied: as it came it would keep the whole read buffer alive, up to several times its size, for as
            // long as the record is held anywhere.
            self.queue.push(&channel, &Bytes::copy_from_slice(payload));
        }
    }

    /// Nobody knows of which channels: each of them has a gap. The probe's record may be among them as well.
    fn handle_lag(&self, lost: u64) {
        self.queue.count_lost(lost);
        let channels: Vec<_> = self.subscribed.lock().iter().cloned().collect();
        for channel in channels {
            self.queue.push_gap(&channel);
        }
        self.probe.handle_lag();
    }
}

async fn load(commands: &Connection) -> Result<String, CommandError> {
    let arguments = vec![Value::from("LOAD"), Value::from(script::text())];
    let answer = commands.command("SCRIPT", arguments).await?;
    Ok(reply::text(&answer).unwrap_or_default())
}

/// What the server is, before anything is asked of it.
async fn check_server(commands: &Connection) -> Result<(), LinkError> {
    let answer = commands.command("INFO", Vec::new()).await.map_err(CommandError::into_link_error)?;
    let info = reply::text(&answer).unwrap_or_default();
    let field = |name| reply::info(&info, name).unwrap_or_default();
    let version = field("redis_version");
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < VERSION_MIN {
        return Err(LinkError::TooOld(version.to_owned()));
    }
    if field("cluster_enabled") == "1" {
        return Err(LinkError::Cluster);
    }
    if field("loading") == "1" {
        return Err(LinkError::Loading);
    }
    if !["master", ""].contains(&field("role")) {
        return Err(LinkError::ReadOnly);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
