//! A record before it is numbered: the producer's part, encoded once and kept for retries.

use super::{FLAG_COUNTS_ONLY, MAGIC, VERSION, WHY_NONE, WHY_UNHEARD, WHY_UPSTREAM};
use crate::event::{Batch, Class, Event};
use crate::json::RawJson;
use crate::limits::{RECORD_BYTES_MAX, RECORD_EVENTS_MAX};
use crate::name::Kind;
use crate::number::{Epoch, Seq, UnixMs};
use crate::publish::CountsOnly;
use crate::rung::Why;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;

/// The producer's part of a record, with what a broker needs to number it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    counts_only: bool,
    kinds: Vec<(Kind, u64)>,
    events: u64,
    state: Option<DraftState>,
    /// The producer's part, behind a broker's part if one was expected.
    bytes: Bytes,
    front_len: usize,
}

/// Where a record is expected to lie in its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub epoch: Epoch,
    pub from: Seq,
}

/// The newest state event of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftState {
    /// Its seq is the record's `from` plus this.
    pub offset: u64,
    pub kind: Kind,
    pub at: UnixMs,
    pub data: RawJson,
}

impl Draft {
    /// Cuts a batch into records, in order.
    #[must_use]
    pub fn from_batch(batch: &Batch, sent_at: UnixMs) -> Vec<Self> {
        Self::from_batch_at(batch, sent_at, None)
    }

    /// As [`Draft::from_batch`]. Where the batch is expected to begin at `place`, each record has the broker's part in
    /// front that it will get if that is so and none of its kinds is folded.
    #[must_use]
    pub fn from_batch_at(batch: &Batch, sent_at: UnixMs, place: Option<&Place>) -> Vec<Self> {
        let mut drafts = Vec::new();
        let (mut rest, mut place) = (batch.events(), place.cloned());
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(record_len(rest));
            drafts.push(Self::from_events(head, sent_at, place.as_ref()));
            if let Some(place) = &mut place {
                place.from = place.from.plus(head.len() as u64);
            }
            rest = tail;
        }
        drafts
    }

    /// The draft of a counts-only publish.
    #[must_use]
    pub fn from_counts(counts: &CountsOnly, sent_at: UnixMs) -> Self {
        Self::from_counts_at(counts, sent_at, None)
    }

    /// As [`Draft::from_counts`], and with `place` as with [`Draft::from_batch_at`].
    #[must_use]
    pub fn from_counts_at(counts: &CountsOnly, sent_at: UnixMs, place: Option<&Place>) -> Self {
        let kinds: Vec<_> = counts.counts().iter().map(|(kind, n)| (kind.clone(), n)).collect();
        let events = counts.counts().sum();
        let state = counts.state().map(|event| DraftState::new(events - 1, event));
        let why = if counts.why() == Why::Unheard { WHY_UNHEARD } else { WHY_UPSTREAM };
        let indexed = counts.state().map(|event| {
            let row = kinds.iter().position(|(kind, _)| *kind == event.kind);
            (row.expect("CountsOnly checks that its state is counted"), event)
        });
        let (bytes, front_len) = encode(place, true, events, sent_at, why, &kinds, indexed.as_slice());
        Self { counts_only: true, kinds, events, state, bytes, front_len }
    }

    fn from_events(events: &[Event], sent_at: UnixMs, place: Option<&Place>) -> Self {
        let mut kinds: Vec<(Kind, u64)> = Vec::new();
        let mut rows: HashMap<&Kind, usize> = HashMap::new();
        let mut indexed: Vec<(usize, &Event)> = Vec::with_capacity(events.len());
        for event in events {
            let row = *rows.entry(&event.kind).or_insert_with(|| {
                kinds.push((event.kind.clone(), 0));
                kinds.len() - 1
            });
            kinds[row].1 += 1;
            indexed.push((row, event));
        }
        let newest = events.iter().rposition(|event| event.class == Class::State);
        let state = newest.map(|at| DraftState::new(at as u64, &events[at]));
        let len = events.len() as u64;
        let (bytes, front_len) = encode(place, false, len, sent_at, WHY_NONE, &kinds, &indexed);
        Self { counts_only: false, kinds, events: len, state, bytes, front_len }
    }

    /// Kinds with counts in the order of the record's table, which the indexes of folded kinds point into.
    #[must_use]
    pub fn kinds(&self) -> &[(Kind, u64)] {
        &self.kinds
    }

    /// The number of events that it stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.events
    }

    /// Never true: a draft stands for at least one event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    #[must_use]
    pub fn state(&self) -> Option<&DraftState> {
        self.state.as_ref()
    }

    /// The producer's part.
    #[must_use]
    pub fn part(&self) -> &[u8] {
        &self.bytes[self.front_len..]
    }

    /// The producer's part, behind the broker's part where a place was expected.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How much of [`Draft::bytes`] is the broker's part.
    #[must_use]
    pub fn front_len(&self) -> usize {
        self.front_len
    }

    #[must_use]
    pub fn is_counts_only(&self) -> bool {
        self.counts_only
    }

    /// Puts the broker's part in front. `folded` are ascending indexes into [`Draft::kinds`].
    #[must_use]
    pub fn assemble(&self, epoch: &Epoch, from: Seq, folded: &[u16]) -> Bytes {
        let mut out = BytesMut::with_capacity(FRONT_MAX + 2 * folded.len() + self.part().len());
        put_front(&mut out, self.counts_only, epoch, from, self.events, folded);
        out.put_slice(self.part());
        out.freeze()
    }
}

impl DraftState {
    fn new(offset: u64, event: &Event) -> Self {
        Self { offset, kind: event.kind.clone(), at: event.at, data: event.data.clone() }
    }
}

/// How many of the first events fit into one record; at least one.
fn record_len(events: &[Event]) -> usize {
    let mut bytes = 0;
    for (i, event) in events.iter().take(RECORD_EVENTS_MAX).enumerate() {
        bytes += event.data.len();
        if i > 0 && bytes > RECORD_BYTES_MAX {
            return i;
        }
    }
    events.len().min(RECORD_EVENTS_MAX)
}

/// Bytes of a broker's part that folds nothing, at most.
const FRONT_MAX: usize = 23 + 32;

/// The broker's part of a record.
fn put_front(out: &mut BytesMut, counts_only: bool, epoch: &Epoch, from: Seq, events: u64, folded: &[u16]) {
    let epoch = epoch.as_str().as_bytes();
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    out.put_u8(if counts_only { FLAG_COUNTS_ONLY } else { 0 });
    out.put_u64(from.get());
    out.put_u64(from.get() + events - 1);
    out.put_u8(u8::try_from(epoch.len()).expect("an epoch has at most 32 characters"));
    out.put_slice(epoch);
    out.put_u16(u16::try_from(folded.len()).expect("a record has at most 256 kinds"));
    for index in folded {
        out.put_u16(*index);
    }
}

/// Each event comes with the row of its kind in `kinds`. Answers the length of the broker's part as well.
fn encode(
    place: Option<&Place>,
    counts_only: bool,
    len: u64,
    sent_at: UnixMs,
    why: u8,
    kinds: &[(Kind, u64)],
    events: &[(usize, &Event)],
) -> (Bytes, usize) {
    let data_bytes: usize = events.iter().map(|(_, event)| event.data.len()).sum();
    let capacity = FRONT_MAX + 16 + 80 * kinds.len() + 16 * events.len() + data_bytes;
    let mut out = BytesMut::with_capacity(capacity);
    if let Some(Place { epoch, from }) = place {
        put_front(&mut out, counts_only, epoch, *from, len, &[]);
    }
    let front_len = out.len();
    out.put_u64(sent_at.get());
    out.put_u8(why);
    out.put_u16(u16::try_from(kinds.len()).expect("a record has at most 256 kinds"));
    for (kind, n) in kinds {
        out.put_u8(u8::try_from(kind.as_str().len()).expect("a kind has at most 64 bytes"));
        out.put_slice(kind.as_str().as_bytes());
        put_varint(&mut out, *n);
    }
    out.put_u16(u16::try_from(events.len()).expect("a record has at most 256 events"));
    for (row, event) in events {
        put_varint(&mut out, *row as u64);
        out.put_u8(event.class.to_byte());
        put_varint(&mut out, event.at.get());
        put_varint(&mut out, event.data.len() as u64);
    }
    for (_, event) in events {
        out.put_slice(event.data.as_bytes());
    }
    (out.freeze(), front_len)
}

/// LEB128: seven bits a byte, the lowest first, the high bit set where more follow.
fn put_varint(out: &mut BytesMut, mut n: u64) {
    while n >= 0x80 {
        out.put_u8((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.put_u8(n as u8);
}
