//! Takes a record apart, trusting nothing: it may come from a broken or hostile producer.

use super::{Body, FLAG_COUNTS_ONLY, MAGIC, Record, RecordError, RecordEvent, RecordHeader, VERSION};
use super::{WHY_NONE, WHY_UNHEARD, WHY_UPSTREAM};
use crate::event::Class;
use crate::json::RawJson;
use crate::limits::{COUNTS_KINDS_MAX, EVENT_BYTES_MAX, RECORD_BYTES_MAX, RECORD_EVENTS_MAX};
use crate::name::Kind;
use crate::number::{Epoch, Seq, UnixMs};
use crate::rung::Why;
use crate::totals::Totals;
use bytes::Bytes;

/// One row of the record's table of kinds.
struct TableKind {
    sent: Kind,
    count: u64,
    folded: bool,
}

struct Head {
    header: RecordHeader,
    table: Vec<TableKind>,
    body_at: usize,
}

pub(super) fn header(bytes: &Bytes) -> Result<RecordHeader, RecordError> {
    head(bytes).map(|head| head.header)
}

pub(super) fn record(bytes: &Bytes) -> Result<Record, RecordError> {
    let Head { header, table, body_at } = head(bytes)?;
    let events = match events(bytes, body_at, &table) {
        Ok(events) => events,
        Err(problem) => return Err(RecordError::Body { header: Box::new(header), problem }),
    };
    let body = match header.why {
        None => full_body(&header, &table, events),
        Some(why) => counts_body(&header, why, events),
    };
    match body {
        Ok(body) => Ok(Record {
            epoch: header.epoch,
            from: header.from,
            to: header.to,
            sent_at: header.sent_at,
            counts: header.counts,
            body,
        }),
        Err(problem) => Err(RecordError::Body { header: Box::new(header), problem }),
    }
}

fn head(bytes: &Bytes) -> Result<Head, RecordError> {
    let mut read = Reader { bytes, at: 0 };
    if read.take(2).is_none_or(|magic| magic != MAGIC) {
        return Err(RecordError::Foreign);
    }
    match read.u8() {
        Some(VERSION) => {}
        Some(other) => return Err(RecordError::Version(other)),
        None => return Err(RecordError::Header("it ends in the version")),
    }
    head_fields(&mut read).map_err(RecordError::Header)
}

fn head_fields(read: &mut Reader<'_>) -> Result<Head, &'static str> {
    const SHORT: &str = "it ends too early";
    let flags = read.u8().ok_or(SHORT)?;
    let from = Seq::new(read.u64().ok_or(SHORT)?).ok_or("from is 2^53 or more")?;
    let to = Seq::new(read.u64().ok_or(SHORT)?).ok_or("to is 2^53 or more")?;
    if from == Seq::ZERO || to < from {
        return Err("from and to are not a span");
    }
    let epoch_len = read.u8().ok_or(SHORT)?;
    let epoch = read.take(usize::from(epoch_len)).ok_or(SHORT)?;
    let epoch =
        std::str::from_utf8(epoch).ok().and_then(|epoch| Epoch::new(epoch).ok()).ok_or("bad epoch")?;
    let folded_n = read.u16().ok_or(SHORT)?;
    let mut folded = Vec::new();
    for _ in 0..folded_n {
        folded.push(read.u16().ok_or(SHORT)?);
    }
    let sent_at = UnixMs::new(read.u64().ok_or(SHORT)?);
    let why = match (flags & FLAG_COUNTS_ONLY != 0, read.u8().ok_or(SHORT)?) {
        (false, WHY_NONE) => None,
        (true, WHY_UNHEARD) => Some(Why::Unheard),
        (true, WHY_UPSTREAM) => Some(Why::Upstream),
        _ => return Err("its why does not fit its flags"),
    };
    let table = table(read, &folded)?;
    let counts = tallied(&table);
    if counts.sum() != to.get() + 1 - from.get() {
        return Err("its counts do not add up to its span");
    }
    let header = RecordHeader { epoch, from, to, sent_at, why, counts };
    Ok(Head { header, table, body_at: read.at })
}

fn table(read: &mut Reader<'_>, folded: &[u16]) -> Result<Vec<TableKind>, &'static str> {
    let n = usize::from(read.u16().ok_or("it ends before its kinds")?);
    if n == 0 || n > COUNTS_KINDS_MAX.max(RECORD_EVENTS_MAX) {
        return Err("its number of kinds is not from 1 to 256");
    }
    if folded.iter().any(|index| usize::from(*index) >= n) || !folded.is_sorted_by(|a, b| a < b) {
        return Err("its folded kinds are not ascending indexes");
    }
    let mut table: Vec<TableKind> = Vec::with_capacity(n);
    for index in 0..n {
        let len = read.u8().ok_or("it ends in its kinds")?;
        let name = read.take(usize::from(len)).ok_or("it ends in its kinds")?;
        let name = std::str::from_utf8(name).map_err(|_| "a kind is not UTF-8")?;
        let sent = Kind::from_producer(name).map_err(|_| "a kind is not a valid name")?;
        let count = read.varint().ok_or("it ends in its counts")?;
        if count == 0 || count >= crate::limits::SEQ_END {
            return Err("a count is not from 1 to 2^53-1");
        }
        if table.iter().any(|row| row.sent == sent) {
            return Err("a kind stands twice");
        }
        table.push(TableKind { sent, count, folded: folded.contains(&(index as u16)) });
    }
    Ok(table)
}

fn tallied(table: &[TableKind]) -> Totals {
    let mut counts = Totals::new();
    for row in table {
        counts.add(&row.tallied(), row.count);
    }
    counts
}

impl TableKind {
    fn tallied(&self) -> Kind {
        if self.folded { Kind::other() } else { self.sent.clone() }
    }
}

/// One entry of the index with its data, and the row of its kind.
struct Entry {
    row: usize,
    event: RecordEvent,
}

fn events(bytes: &Bytes, body_at: usize, table: &[TableKind]) -> Result<Vec<Entry>, &'static str> {
    const SHORT: &str = "the index ends too early";
    let mut read = Reader { bytes, at: body_at };
    let n = usize::from(read.u16().ok_or(SHORT)?);
    if n > RECORD_EVENTS_MAX {
        return Err("it has more than 256 events");
    }
    let mut index = Vec::with_capacity(n);
    for _ in 0..n {
        let row = usize::try_from(read.varint().ok_or(SHORT)?).map_err(|_| SHORT)?;
        let class = Class::from_byte(read.u8().ok_or(SHORT)?);
        let at = UnixMs::new(read.varint().ok_or(SHORT)?);
        let len = usize::try_from(read.varint().ok_or(SHORT)?).map_err(|_| SHORT)?;
        if row >= table.len() || len > EVENT_BYTES_MAX {
            return Err("an index entry is out of range");
        }
        index.push((row, class, at, len));
    }
    let data_bytes: usize = index.iter().map(|(.., len)| len).sum();
    if n > 1 && data_bytes > RECORD_BYTES_MAX {
        return Err("it has more than 64 KiB of data in several events");
    }
    let mut entries = Vec::with_capacity(n);
    for (row, class, at, len) in index {
        let start = read.at;
        read.take(len).ok_or("the data ends too early")?;
        let data = RawJson::new(&bytes.slice(start..start + len)).map_err(|_| "data is not JSON")?;
        if data.len() != len {
            return Err("data has white space around it");
        }
        let kind = table[row].tallied();
        let sent_as = table[row].folded.then(|| table[row].sent.clone());
        entries.push(Entry { row, event: RecordEvent { kind, sent_as, class, at, data } });
    }
    if read.at != bytes.len() {
        return Err("bytes follow the data");
    }
    Ok(entries)
}

fn full_body(header: &RecordHeader, table: &[TableKind], entries: Vec<Entry>) -> Result<Body, &'static str> {
    if entries.len() as u64 != header.to.get() + 1 - header.from.get() {
        return Err("the index does not have one entry for each event");
    }
    let mut seen = vec![0u64; table.len()];
    for entry in &entries {
        seen[entry.row] += 1;
    }
    if table.iter().zip(&seen).any(|(row, seen)| row.count != *seen) {
        return Err("the index does not have the counts of the header");
    }
    Ok(Body::Events(entries.into_iter().map(|entry| entry.event).collect()))
}

fn counts_body(header: &RecordHeader, why: Why, mut entries: Vec<Entry>) -> Result<Body, &'static str> {
    if entries.len() > 1 {
        return Err("a counts-only record carries more than its newest state");
    }
    let Some(Entry { event, .. }) = entries.pop() else {
        return Ok(Body::Counts { why, state: None });
    };
    if event.class != Class::State {
        return Err("a counts-only record carries an event that is no state");
    }
    Ok(Body::Counts { why, state: Some(event.to_state(header.to)) })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// At most nine bytes, that is below 2^63: nothing in a record is larger.
    fn varint(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }
}
