//! What connects producers and gateways: the trait, the embedded backplane, and the conformance suite.
//!
//! A [`Backplane`] is one node's link to the broker. What the node subscribed to arrives on the [`Incoming`] stream
//! that was made together with the link. The numbering itself (seq, totals, retries, folding, expiry) happens in the
//! broker, in one atomic step per publish call.

#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod limits;
mod publish;
pub mod redis;
mod stream;

pub use embedded::{Embedded, EmbeddedNode, Sizes};
pub use limits::{CHANNEL_EXPIRY, Limits, PRODUCER_MEMORY, PRODUCERS_MAX};
pub use publish::{Content, ProducerBatch, Publish, PublishError, Refusal};
pub use stream::Stream;

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use tally_protocol::{ChannelName, Epoch, Published, Seq, Snapshot};

/// A future as a trait object, so that a gateway can hold either backplane.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The broker cannot be reached, or did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker is away: {0}")]
pub struct Away(pub String);

/// What a channel is numbered by, and how far: what an audit compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// One node's link to the broker.
pub trait Backplane: Send + Sync + 'static {
    /// Numbers and publishes all records of one batch in one atomic step.
    ///
    /// # Errors
    /// [`PublishError`] says whether it was surely not published.
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, PublishError>>;

    /// Subscribes this node. When it returns, the subscription has taken effect: everything published from now on
    /// arrives on the stream. Channels already subscribed are left as they are.
    ///
    /// # Errors
    /// [`Away`]; some of the channels may be subscribed. Repeating the call is harmless.
    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>>;

    /// Ends subscriptions. Messages that are already on the way may still arrive.
    ///
    /// # Errors
    /// [`Away`]; some of the subscriptions may have ended. Repeating the call is harmless.
    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>>;

    /// One atomic read of a channel from the master; `None` where it does not exist. Does not renew its expiry.
    ///
    /// # Errors
    /// [`Away`].
    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>>;

    /// The heads of many channels, in the order asked. Renews the expiry of those that exist.
    ///
    /// # Errors
    /// [`Away`].
    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>>;
}

/// What arrives from the broker, in the order it was published within each channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message of a subscribed channel: a record, or what a foreign program published.
    Message { channel: ChannelName, payload: Bytes },
    /// This node was too slow and messages of the channel were dropped: read its snapshot again.
    Gap { channel: ChannelName },
    /// The link is up, for the first time or after a `Down`: nothing is subscribed, and what was has to be subscribed
    /// and read anew.
    Up,
    /// The link is down, or still down for another reason; the reason is for people.
    Down { reason: String },
}
