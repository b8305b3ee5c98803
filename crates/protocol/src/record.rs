//! What a batch travels as between producers and gateways: at most 64 KiB of data or 256 events, never split.
//!
//! A record has two parts. The broker's part (epoch, from, to, folded kinds) is put in front in the same atomic step
//! that numbers it; the producer's part (sent-at, why, kinds with counts, index, data) is made once, by [`Draft`].
//! The header ends after the kinds with counts and is decodable without the rest, so that a record with a broken
//! body can still be told as counts. `docs/wire.md` has the layout byte by byte.

mod decode;
mod draft;

pub use draft::{Draft, DraftState, Place};

use crate::event::Class;
use crate::json::RawJson;
use crate::name::Kind;
use crate::number::{Epoch, Seq, UnixMs};
use crate::rung::Why;
use crate::snapshot::State;
use crate::totals::Totals;
use bytes::Bytes;

/// 0xF5 never occurs in UTF-8, so no text that a foreign program publishes is taken for a record.
const MAGIC: [u8; 2] = [0xF5, b'T'];
const VERSION: u8 = 1;
const FLAG_COUNTS_ONLY: u8 = 1;
const WHY_NONE: u8 = 0;
const WHY_UNHEARD: u8 = 1;
const WHY_UPSTREAM: u8 = 2;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not ours: published by a program that knows nothing of Tally.
    #[error("not a record: the magic bytes are absent")]
    Foreign,
    #[error("a record of version {0}; this build knows version 1")]
    Version(u8),
    #[error("a record whose header is broken: {0}")]
    Header(&'static str),
    /// The header stands, and can be told as counts.
    #[error("a record whose body disagrees with its header: {problem}")]
    Body { header: Box<RecordHeader>, problem: &'static str },
}

/// What a record says before its index: enough to account for its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    pub epoch: Epoch,
    pub from: Seq,
    pub to: Seq,
    /// By the producer's clock.
    pub sent_at: UnixMs,
    /// `None`: the payloads follow. Else why they were withheld (`unheard` or `upstream`).
    pub why: Option<Why>,
    /// As tallied, that is after folding; adds up to the number of events.
    pub counts: Totals,
}

/// One record as gateways hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub epoch: Epoch,
    pub from: Seq,
    pub to: Seq,
    pub sent_at: UnixMs,
    pub counts: Totals,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// One entry for each seq from `from` to `to`.
    Events(Vec<RecordEvent>),
    /// Payloads were withheld; the newest state event, if there was one, is the last of the span.
    Counts { why: Why, state: Option<State> },
}

/// One event of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEvent {
    /// As tallied: `_other` where the kind was folded.
    pub kind: Kind,
    /// The kind that the producer sent, where it was folded.
    pub sent_as: Option<Kind>,
    pub class: Class,
    pub at: UnixMs,
    pub data: RawJson,
}

impl Record {
    /// Takes a record apart. Data is shared with `bytes`, not copied; each `data` is checked to be JSON.
    ///
    /// # Errors
    /// [`RecordError`]; after [`RecordError::Body`] the span can still be told as counts.
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        decode::record(bytes)
    }

    /// The number of events it stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.to.get() + 1 - self.from.get()
    }

    /// Never true: a record stands for at least one event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes of data.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        match &self.body {
            Body::Events(events) => events.iter().map(|event| event.data.len()).sum(),
            Body::Counts { state, .. } => state.as_ref().map_or(0, |state| state.data.len()),
        }
    }

    /// The newest state event in it.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        match &self.body {
            Body::Counts { state, .. } => state.clone(),
            Body::Events(events) => {
                let at = events.iter().rposition(|event| event.class == Class::State)?;
                Some(events[at].to_state(self.from.plus(at as u64)))
            }
        }
    }
}

impl RecordEvent {
    fn to_state(&self, seq: Seq) -> State {
        State {
            seq,
            kind: self.kind.clone(),
            sent_as: self.sent_as.clone(),
            at: self.at,
            data: self.data.clone(),
        }
    }
}

impl RecordHeader {
    /// The header of a record, without looking at its index or data.
    ///
    /// # Errors
    /// [`RecordError`], never [`RecordError::Body`].
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        decode::header(bytes)
    }

    /// The record that tells this span as counts, for where its body cannot be used.
    #[must_use]
    pub fn into_counts(self) -> Record {
        let why = self.why.unwrap_or(Why::Upstream);
        Record {
            epoch: self.epoch,
            from: self.from,
            to: self.to,
            sent_at: self.sent_at,
            counts: self.counts,
            body: Body::Counts { why, state: None },
        }
    }
}

#[cfg(test)]
mod tests;
