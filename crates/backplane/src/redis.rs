//! The Redis backplane: the same semantics as the embedded one, on a server that many processes share.
//!
//! [`Redis`] says where the server is; [`Redis::connect`] makes a node's link, which needs no server to be there yet
//! and keeps trying. `docs/redis.md` has what the server needs, the keys, and what to watch.
//!
//! The folder is the flow: `config` -> `link` (one `session` after the other) -> `connection` (fred) ->
//! `calls` (publish, snapshot, audit; `script` and `publish.lua`) and `session`'s mover into the stream. Bounds: calls
//! on their way by permits, each call by a timeout, messages by fred's 8,192 and then the node's queue.

mod calls;
mod config;
mod connection;
mod error;
mod keys;
mod link;
mod merge;
mod places;
mod probe;
mod reply;
mod script;
mod session;

pub use self::config::{ConfigError, Redis, Timeouts};
pub use self::error::{ACL_RULE, LinkError};

use self::link::{Link, Standing};
use self::session::Session;
use crate::stream::{Queue, Stream};
use crate::{Away, Backplane, BoxFuture, Head, Publish, PublishError};
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::{ChannelName, Published, Snapshot};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// One node's link to a Redis server. Dropping it closes its connections; its [`Stream`] then ends after what already
/// waits. Publishing and reading go on working when only the stream was dropped.
#[derive(Debug)]
pub struct RedisNode {
    standing: watch::Receiver<Standing>,
    /// How long a call waits for the first attempt to connect.
    first_wait: Duration,
    queue: Option<Arc<Queue>>,
    link: AbortHandle,
}

impl Drop for RedisNode {
    fn drop(&mut self) {
        self.link.abort();
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

/// Tells the link that its stream was dropped.
struct Reader {
    queue: Arc<Queue>,
    unread: Arc<Notify>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.queue.close();
        self.unread.notify_one();
    }
}

impl Redis {
    /// A node's link, with the stream of what it will subscribe to. The stream begins with `Up` when the link is
    /// first up, or with `Down` where the first attempt fails; calls made before that wait for it.
    ///
    /// To be called inside a tokio runtime, which then drives the connections.
    #[must_use]
    pub fn connect(self) -> (RedisNode, Stream) {
        let queue = Arc::new(Queue::new(self.queue_bytes_max, self.queue_messages_max));
        let unread = Arc::new(Notify::new());
        let reader = Reader { queue: queue.clone(), unread: unread.clone() };
        let node = self.spawn(Some(queue.clone()), unread);
        (node, Stream::new(queue, reader))
    }

    /// A node that publishes and reads, and cannot subscribe: it has one connection.
    ///
    /// To be called inside a tokio runtime, which then drives the connection.
    #[must_use]
    pub fn connect_publisher(self) -> RedisNode {
        self.spawn(None, Arc::default())
    }

    /// Connects once, as a node would, and says whether all that a node needs is there.
    ///
    /// # Errors
    /// [`LinkError`] says what is missing, and what to do.
    pub async fn check(&self) -> Result<(), LinkError> {
        // Never read, and closed with the session.
        let queue = Arc::new(Queue::new(0, 0));
        Session::open(self, Some(&queue)).await.map(drop)
    }

    fn spawn(self, queue: Option<Arc<Queue>>, unread: Arc<Notify>) -> RedisNode {
        let (sender, standing) = watch::channel(Standing::Starting);
        let first_wait = 2 * self.timeouts.connect;
        let link = Link { redis: self, queue: queue.clone(), standing: sender, unread };
        let link = tokio::spawn(link.run()).abort_handle();
        RedisNode { standing, first_wait, queue, link }
    }
}

impl RedisNode {
    /// Waits for the first attempt to connect.
    ///
    /// # Errors
    /// [`LinkError`] says why there is no link now; the node keeps trying.
    pub async fn ready(&self) -> Result<(), LinkError> {
        self.session().await.map(drop)
    }

    /// Messages that were lost because this process was too busy to take them in; each such loss was told as gaps.
    #[must_use]
    pub fn lost_messages(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.lost())
    }

    /// How long the newest probe took from its publish call to its arrival here; none while the link is down, or where
    /// this node only publishes.
    #[must_use]
    pub fn probe_time(&self) -> Option<Duration> {
        match &*self.standing.borrow() {
            Standing::Up(session) => session.probe_time(),
            Standing::Starting | Standing::Down(_) => None,
        }
    }

    async fn session(&self) -> Result<Arc<Session>, LinkError> {
        let mut standing = self.standing.clone();
        let started = standing.wait_for(|standing| !matches!(standing, Standing::Starting));
        let standing = match tokio::time::timeout(self.first_wait, started).await {
            Ok(Ok(standing)) => standing.clone(),
            Ok(Err(_)) => return Err(LinkError::NoStream),
            Err(_) => Standing::Starting,
        };
        match standing {
            Standing::Up(session) => Ok(session),
            Standing::Down(error) => Err(error),
            Standing::Starting => Err(LinkError::Silent("Redis".into(), self.first_wait.as_millis())),
        }
    }

    async fn reachable(&self) -> Result<Arc<Session>, Away> {
        self.session().await.map_err(|error| Away(error.to_string()))
    }
}

impl Backplane for RedisNode {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            let session =
                self.session().await.map_err(|error| PublishError::Unavailable(error.to_string()))?;
            calls::publish(&session, &publish).await
        })
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            self.stream()?;
            if channels.is_empty() {
                return Ok(());
            }
            let session = self.reachable().await?;
            session.subscribe(&channels).await.map_err(|error| Away(error.to_string()))
        })
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            let queue = self.stream()?;
            if channels.is_empty() {
                return Ok(());
            }
            let session = self.reachable().await?;
            session.unsubscribe(&channels, queue).await.map_err(|error| Away(error.to_string()))
        })
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        Box::pin(async move { calls::snapshot(&*self.reachable().await?, &channel).await })
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        Box::pin(async move { calls::audit(&*self.reachable().await?, &channels).await })
    }
}

impl RedisNode {
    fn stream(&self) -> Result<&Queue, Away> {
        let queue = self.queue.as_deref().filter(|queue| !queue.is_closed());
        queue.ok_or_else(|| Away(LinkError::NoStream.to_string()))
    }
}
