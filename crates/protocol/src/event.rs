//! Events as a producer gives them, and the batch that one publish call takes.

use crate::json::RawJson;
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX};
use crate::name::Kind;
use crate::number::UnixMs;
use serde::{Deserialize, Serialize};

/// Whether an event may be reduced to a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// May be reduced to a count.
    #[default]
    Bulk,
    /// The channel's newest one is kept and always reaches every listener.
    State,
}

impl Class {
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Bulk => 0,
            Self::State => 1,
        }
    }

    /// The byte is open: what is unknown counts as `bulk`.
    pub(crate) const fn from_byte(byte: u8) -> Self {
        if byte == 1 { Self::State } else { Self::Bulk }
    }

    pub(crate) fn is_bulk(&self) -> bool {
        *self == Self::Bulk
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub kind: Kind,
    #[serde(skip_serializing_if = "Class::is_bulk")]
    pub class: Class,
    /// By the producer's clock.
    pub at: UnixMs,
    pub data: RawJson,
}

/// Why events cannot be one batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("a batch needs at least one event")]
    Empty,
    #[error("the batch has {0} events; at most {BATCH_EVENTS_MAX} are allowed: send it as several")]
    TooManyEvents(usize),
    #[error("the batch has {0} bytes of data; at most {BATCH_BYTES_MAX} are allowed: send it as several")]
    TooLarge(usize),
    #[error("event {index} has {bytes} bytes of data; at most {EVENT_BYTES_MAX} are allowed")]
    EventTooLarge { index: usize, bytes: usize },
    #[error("event {index} has kind {kind}; kinds that start with `_` are reserved")]
    ReservedKind { index: usize, kind: Kind },
}

/// What one publish call takes: 1 to 65,536 events of one channel, at most 8 MiB of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch(Vec<Event>);

impl Batch {
    /// # Errors
    /// [`BatchError`] names the limit that does not hold.
    pub fn new(events: Vec<Event>) -> Result<Self, BatchError> {
        if events.is_empty() {
            return Err(BatchError::Empty);
        }
        if events.len() > BATCH_EVENTS_MAX {
            return Err(BatchError::TooManyEvents(events.len()));
        }
        let mut bytes = 0;
        for (index, event) in events.iter().enumerate() {
            if event.data.len() > EVENT_BYTES_MAX {
                return Err(BatchError::EventTooLarge { index, bytes: event.data.len() });
            }
            if event.kind.is_own() {
                return Err(BatchError::ReservedKind { index, kind: event.kind.clone() });
            }
            bytes += event.data.len();
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(BatchError::TooLarge(bytes));
        }
        Ok(Self(events))
    }

    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.0
    }

    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.0
    }
}
