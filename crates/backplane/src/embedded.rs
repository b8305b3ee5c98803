//! The embedded backplane: the same semantics as the Redis one, in the memory of one process.
//!
//! [`Embedded`] is the broker; each gateway or producer in the process has a link to it, an [`EmbeddedNode`]. The
//! broker is a fixed number of shards by channel name, each under its own lock; a publish call is one step under one
//! of them and never waits for a node. What it holds is bounded by [`Limits`].

mod call;
mod channel;
mod producers;
mod shard;

use self::call::Call;
use self::shard::{Account, Shard};
use crate::limits::Limits;
use crate::stream::{Queue, Stream};
use crate::{Away, Backplane, BoxFuture, Head, Publish, PublishError, Refusal};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tally_protocol::{ChannelName, Published, Snapshot};
use tokio::task::consume_budget;
use tokio::time::Instant;

/// Locks over the channels: more than a machine has cores, so that two channels rarely meet at one.
const SHARDS: usize = 64;

/// The broker inside this process. Clones are handles to the same one; its memory ends with the last of handles,
/// nodes and streams.
#[derive(Debug, Clone)]
pub struct Embedded(Arc<Broker>);

/// One node's link to an [`Embedded`] broker. Dropping it ends its subscriptions; its [`Stream`] then ends after what
/// already waits. Publishing and reading go on working when only the stream was dropped.
#[derive(Debug)]
pub struct EmbeddedNode {
    broker: Embedded,
    queue: Arc<Queue>,
    _link: Link,
}

/// What the broker holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Channels that have not expired, or were not yet looked at since.
    pub channels: usize,
    /// Channels subscribed to, summed over nodes.
    pub subscriptions: usize,
    /// What [`Limits::bytes_max`] bounds: an estimate, from above, of the memory of all channels.
    pub bytes: usize,
}

#[derive(Debug)]
struct Broker {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    account: Account,
    limits: Limits,
    /// The shard that is swept next.
    sweep_at: AtomicUsize,
}

/// Ends a node's subscriptions when it is dropped; the node and its stream have one each.
#[derive(Debug)]
struct Link {
    broker: Embedded,
    queue: Arc<Queue>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.queue.close();
        for shard in 0..SHARDS {
            self.broker.lock(shard).unsubscribe_all(&self.queue);
        }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Embedded {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let account = Account::new(limits);
        let sweep_at = AtomicUsize::new(0);
        Self(Arc::new(Broker { shards, hasher: RandomState::new(), account, limits, sweep_at }))
    }

    /// A node's link, with the stream of what it will subscribe to. The link is up from the start and never goes
    /// down: the stream has messages and gaps only.
    #[must_use]
    pub fn node(&self) -> (EmbeddedNode, Stream) {
        let Limits { queue_bytes_max, queue_messages_max, .. } = self.0.limits;
        let queue = Arc::new(Queue::new(queue_bytes_max, queue_messages_max));
        let link = || Link { broker: self.clone(), queue: queue.clone() };
        let stream = Stream::new(queue.clone(), link());
        (EmbeddedNode { broker: self.clone(), _link: link(), queue }, stream)
    }

    /// For metrics. Takes each lock once.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let subscriptions = (0..SHARDS).map(|shard| self.lock(shard).subscriptions()).sum();
        let Account { channels, bytes, .. } = &self.0.account;
        Sizes {
            channels: channels.load(Ordering::Relaxed),
            subscriptions,
            bytes: bytes.load(Ordering::Relaxed),
        }
    }

    /// Forgets what is remembered of a channel's producers, as a broker does that lost its memory of them: a lever
    /// for tests.
    #[cfg(feature = "conformance")]
    pub fn forget_producers(&self, channel: &ChannelName) {
        self.shard_of(channel).forget_producers(channel, &self.0.account);
    }

    fn publish(&self, publish: Publish) -> Result<Published, Refusal> {
        let call = Call::new(publish);
        let now = Instant::now();
        self.sweep(now);
        self.shard_of(&call.channel).publish(call, &self.0.account, now)
    }

    /// Looks for what has expired in one shard, in turn; in all of them where a new channel would find no place.
    fn sweep(&self, now: Instant) {
        let account = &self.0.account;
        if account.is_out_of_channels() {
            (0..SHARDS).for_each(|shard| self.lock(shard).sweep(account, now));
            return;
        }
        let shard = self.0.sweep_at.fetch_add(1, Ordering::Relaxed) % SHARDS;
        self.lock(shard).sweep(account, now);
    }

    fn shard_of(&self, channel: &ChannelName) -> MutexGuard<'_, Shard> {
        let hash = self.0.hasher.hash_one(channel);
        self.lock(usize::try_from(hash % SHARDS as u64).expect("smaller than SHARDS"))
    }

    /// No step under the lock fails half way, so a poisoned lock is of no concern.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.0.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backplane for EmbeddedNode {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            // Before the step, so that a call that is cancelled here was surely not published.
            consume_budget().await;
            Ok(self.broker.publish(publish)?)
        })
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            for channel in &channels {
                if !self.broker.shard_of(channel).subscribe(channel, &self.queue) {
                    return Err(Away("this node's stream was dropped".into()));
                }
            }
            Ok(())
        })
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            for channel in &channels {
                self.broker.shard_of(channel).unsubscribe(channel, &self.queue);
            }
            Ok(())
        })
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        Box::pin(async move {
            let now = Instant::now();
            Ok(self.broker.shard_of(&channel).snapshot(&channel, &self.broker.0.account, now))
        })
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        Box::pin(async move {
            let (now, account) = (Instant::now(), &self.broker.0.account);
            self.broker.sweep(now);
            let head = |channel| self.broker.shard_of(channel).audit(channel, account, now);
            Ok(channels.iter().map(head).collect())
        })
    }
}

#[cfg(test)]
mod tests;
