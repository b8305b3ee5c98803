//! What a publish call answers, and the counts that may stand in place of payloads.

use crate::event::Event;
use crate::limits::{COUNTS_KINDS_MAX, EVENT_BYTES_MAX, SEQ_END};
use crate::number::{Epoch, Seq};
use crate::rung::Why;
use crate::totals::Totals;
use serde::{Deserialize, Serialize};

/// Whether any gateway was subscribed to the channel when the broker took the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Yes,
    No,
    Unknown,
}

/// The broker has acknowledged: these events have the seqs `from` to `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub epoch: Epoch,
    pub from: Seq,
    pub to: Seq,
    pub heard: Heard,
}

/// Why counts were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountsError {
    #[error("counts name no kind; give at least one with a count of 1 or more")]
    Empty,
    #[error("counts name {0} kinds; at most {COUNTS_KINDS_MAX} are allowed")]
    TooManyKinds(usize),
    #[error("the counts add up to 2^53 or more")]
    TooMany,
    #[error("why is {0}; counts may only be published as unheard or upstream")]
    Why(Why),
    #[error("kind {0} starts with `_`, which is reserved")]
    ReservedKind(String),
    #[error("the state event's kind {0} is not among the counts; it must be counted as well")]
    StateNotCounted(String),
    #[error("the state event has class bulk")]
    StateClass,
    #[error("the state event has {0} bytes of data; at most {EVENT_BYTES_MAX} are allowed")]
    StateTooLarge(usize),
}

/// Events told by number only: counts by kind, with the newest state event among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountsOnly {
    counts: Totals,
    why: Why,
    state: Option<Event>,
}

impl CountsOnly {
    /// The state event, if any, is the last of those counted; its kind must be among the counts.
    ///
    /// # Errors
    /// [`CountsError`] names the rule that does not hold.
    pub fn new(counts: Totals, why: Why, state: Option<Event>) -> Result<Self, CountsError> {
        if counts.is_empty() {
            return Err(CountsError::Empty);
        }
        if counts.len() > COUNTS_KINDS_MAX {
            return Err(CountsError::TooManyKinds(counts.len()));
        }
        if counts.sum() >= SEQ_END {
            return Err(CountsError::TooMany);
        }
        if !matches!(why, Why::Unheard | Why::Upstream) {
            return Err(CountsError::Why(why));
        }
        if let Some((kind, _)) = counts.iter().find(|(kind, _)| kind.is_own()) {
            return Err(CountsError::ReservedKind(kind.to_string()));
        }
        if let Some(state) = &state {
            if state.class.is_bulk() {
                return Err(CountsError::StateClass);
            }
            if counts.get(state.kind.as_str()) == 0 {
                return Err(CountsError::StateNotCounted(state.kind.to_string()));
            }
            if state.data.len() > EVENT_BYTES_MAX {
                return Err(CountsError::StateTooLarge(state.data.len()));
            }
        }
        Ok(Self { counts, why, state })
    }

    #[must_use]
    pub fn counts(&self) -> &Totals {
        &self.counts
    }

    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }

    #[must_use]
    pub fn state(&self) -> Option<&Event> {
        self.state.as_ref()
    }
}
