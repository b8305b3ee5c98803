//! What a channel is at one moment: its newest state, a position with totals, and the broker's snapshot.

use crate::json::RawJson;
use crate::name::Kind;
use crate::number::{Epoch, Seq, UnixMs};
use crate::totals::Totals;
use serde::{Deserialize, Serialize};

/// The newest `state` event of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub seq: Seq,
    /// As tallied: `_other` where the kind was folded.
    pub kind: Kind,
    /// The kind that the producer sent, where it was folded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<Kind>,
    pub at: UnixMs,
    pub data: RawJson,
}

/// Where a channel's numbering came from: what the broker surely still had when the epoch changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prev {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// One atomic read of a channel from the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub prev: Option<Prev>,
    pub seq: Seq,
    /// Adds up to `seq`.
    pub totals: Totals,
    pub state: Option<State>,
}

/// A position in a channel as a listener is told it. A channel without events: no epoch, seq 0, no totals, no state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    pub epoch: Option<Epoch>,
    pub seq: Seq,
    /// Adds up to `seq`.
    pub totals: Totals,
    pub state: Option<State>,
}
