//! What one publish call takes, and everything it may answer.

use tally_protocol::{Batch, ChannelName, CountsOnly, Epoch, ProducerId};

/// One publish call: one batch of one channel, or counts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub channel: ChannelName,
    pub content: Content,
    /// Makes the call repeatable. `None`: the broker remembers nothing of it.
    pub batch: Option<ProducerBatch>,
    /// The epoch that the channel gets if this call starts its numbering; drawn at random by the publisher.
    pub epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Events(Batch),
    Counts(CountsOnly),
}

impl Content {
    /// The number of events that it stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Events(batch) => batch.events().len() as u64,
            Self::Counts(counts) => counts.counts().sum(),
        }
    }

    /// Never true: a batch stands for at least one event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which batch of which producer this is. Numbers count from 1 per channel and producer; the broker accepts the last
/// one again (and answers the first result, verbatim) and the next.
///
/// The broker remembers a producer for at least [`PRODUCER_MEMORY`](crate::PRODUCER_MEMORY) after its last accepted
/// batch; where it remembers nothing, only number 1 is accepted. A producer that was idle on a channel for that long
/// therefore takes a new random part and begins at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerBatch {
    pub producer: ProducerId,
    pub number: u64,
}

/// Why a publish call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Surely not published; the same call would be refused again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Surely not published: the broker never got it. The same call may be made again.
    #[error("not published: {0}")]
    Unavailable(String),
    /// Perhaps published: it was sent, and no answer came. Only a call with a [`ProducerBatch`] may be repeated.
    #[error("perhaps published: {0}")]
    Unknown(String),
}

/// Why the broker refused a batch. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("batch number {given} does not fit: the broker expects {expected}{}", .repeatable.map(|last| format!(" (or {last} again)")).unwrap_or_default())]
    BatchNumber { given: u64, expected: u64, repeatable: Option<u64> },
    #[error(
        "batch number {0} was published with other kinds or another number of events; a retry may only drop payloads"
    )]
    ChangedBatch(u64),
    #[error(
        "the channel remembers {0} producers, which is its limit; publish from fewer, or wait two minutes"
    )]
    TooManyProducers(usize),
    #[error("the channel's seq would reach 2^53; use a new channel")]
    ChannelFull,
    #[error("the broker holds {0} channels, which is its limit; use fewer, or wait for old ones to expire")]
    TooManyChannels(usize),
    #[error("the broker holds {0} bytes, which is its limit; wait for old channels to expire")]
    BrokerFull(usize),
    #[error("{0}")]
    Unusable(String),
}
