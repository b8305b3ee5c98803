//! Every limit of a backplane, with its consequence.

use std::time::Duration;

/// Producers remembered per channel. More: the batch of a further one is refused ([`Refusal::TooManyProducers`]).
///
/// [`Refusal::TooManyProducers`]: crate::Refusal::TooManyProducers
pub const PRODUCERS_MAX: usize = 16_384;
/// What is remembered of a producer lives at least this long after its last accepted batch, and less than twice as
/// long. Afterwards only batch number 1 is accepted from it.
pub const PRODUCER_MEMORY: Duration = Duration::from_secs(120);
/// A channel that was neither published to nor audited for this long is gone; its next event starts a new epoch.
pub const CHANNEL_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the embedded broker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channels. More: the batch that would start one is refused ([`Refusal::TooManyChannels`]).
    ///
    /// [`Refusal::TooManyChannels`]: crate::Refusal::TooManyChannels
    pub channels_max: usize,
    /// Bytes of all channels together: totals, states, producers' records. More: a batch that would add to them is
    /// refused ([`Refusal::BrokerFull`]); one that only counts on is not.
    ///
    /// [`Refusal::BrokerFull`]: crate::Refusal::BrokerFull
    pub bytes_max: usize,
    /// Bytes waiting for one node. More: the message is dropped, and a gap is told in its place.
    pub queue_bytes_max: usize,
    /// Messages waiting for one node. More: as with bytes.
    pub queue_messages_max: usize,
}

impl Default for Limits {
    /// 100,000 channels, 512 MiB; per node 64 MiB and 262,144 messages.
    fn default() -> Self {
        Self {
            channels_max: 100_000,
            bytes_max: 512 * 1024 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
            queue_messages_max: 262_144,
        }
    }
}

/// Bytes that a channel is charged with beside what follows: its name, epoch, and places in maps.
pub(crate) const CHANNEL_COST: usize = 1024;
/// Bytes that a kind in the totals is charged with.
pub(crate) const KIND_COST: usize = 128;
/// Bytes that a state is charged with beside its data.
pub(crate) const STATE_COST: usize = 256;
/// Bytes that a remembered producer is charged with.
pub(crate) const PRODUCER_COST: usize = 320;
/// Bytes that a waiting message is charged with beside its payload.
pub(crate) const MESSAGE_COST: usize = 64;
