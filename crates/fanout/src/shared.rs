//! A value with its lazily made bytes, shared by all shards: encoded at most once, however many listeners get it.

use crate::limits::{EVENT_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES};
use bytes::Bytes;
use std::sync::OnceLock;
use tally_protocol::{ChannelName, Record};

/// A value and its frame. The frame is made by the shell, in its dialect, when the first listener needs it.
#[derive(Debug)]
pub struct Shared<T> {
    value: T,
    frame: OnceLock<Bytes>,
}

impl<T> Shared<T> {
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { value, frame: OnceLock::new() }
    }

    /// With a frame that is there already.
    #[must_use]
    pub fn with_frame(value: T, frame: Bytes) -> Self {
        Self { value, frame: OnceLock::from(frame) }
    }

    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The frame; `encode` runs at most once for all callers.
    pub fn frame(&self, encode: impl FnOnce(&T) -> Bytes) -> &Bytes {
        self.frame.get_or_init(|| encode(&self.value))
    }
}

/// A record with the channel it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    pub channel: ChannelName,
    pub record: Record,
}

impl ChannelRecord {
    /// Bytes of payloads, from its weight in the log; 0 where they were withheld.
    pub(crate) fn data_bytes(&self, weight: u64) -> u64 {
        match &self.record.body {
            tally_protocol::Body::Events(events) => {
                weight.saturating_sub(RECORD_OVERHEAD_BYTES + events.len() as u64 * EVENT_OVERHEAD_BYTES)
            }
            tally_protocol::Body::Counts { .. } => 0,
        }
    }

    /// What it counts for in every limit in bytes: its data and an estimate of what its frame has around it.
    pub(crate) fn weight(&self) -> u64 {
        let events = match &self.record.body {
            tally_protocol::Body::Events(events) => events.len() as u64,
            tally_protocol::Body::Counts { .. } => 1,
        };
        self.record.data_bytes() as u64 + RECORD_OVERHEAD_BYTES + events * EVENT_OVERHEAD_BYTES
    }
}
