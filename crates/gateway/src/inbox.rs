//! A shard's inbox: records, snapshots and link changes in one order, bounded in bytes; nobody ever waits to put.

use crate::limits::{INBOX_ENTRY_BYTES, INPUTS_PER_TURN};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tally_backplane::Head;
use tally_fanout::{Backlog, ChannelRecord, Shared};
use tally_protocol::{Body, ChannelName, Snapshot, UnixMs, Unnumbered, UpstreamStatus};
use tokio::sync::Notify;

/// What ingest tells a shard.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Record(Arc<Shared<ChannelRecord>>),
    /// `read` is the number of the hub's latest request that it answers, see [`tally_fanout::Hub::handle_snapshot`].
    Snapshot {
        channel: ChannelName,
        snapshot: Option<Snapshot>,
        read: u64,
    },
    /// `number` counts those of the channel, see [`tally_fanout::Hub::handle_unnumbered`].
    Unnumbered {
        number: u64,
        frame: Arc<Shared<Unnumbered>>,
    },
    Upstream {
        status: UpstreamStatus,
        since: UnixMs,
    },
    /// Shard `to` begins to listen to the channel, which has come as far as `head`: give it what this one's log holds.
    HandOver {
        channel: ChannelName,
        to: usize,
        head: Option<Head>,
    },
    /// What another shard knows of a channel, in place of a snapshot.
    Backlog(Box<Backlog>),
}

impl Arrival {
    /// A record is shared by shards and still charged to each: an estimate from above.
    fn weight(&self) -> u64 {
        let data = match self {
            Self::Record(shared) => {
                let record = &shared.value().record;
                let events = if matches!(record.body, Body::Events(_)) { record.len() } else { 1 };
                record.data_bytes() as u64 + 128 * events
            }
            Self::Snapshot { snapshot, .. } => snapshot.as_ref().map_or(0, |snapshot| {
                let state = snapshot.state.as_ref().map_or(0, |state| state.data.len() as u64);
                state + 128 * snapshot.totals.len() as u64
            }),
            Self::Unnumbered { frame, .. } => {
                frame.value().events.iter().map(|event| event.len() as u64).sum()
            }
            Self::Upstream { .. } | Self::HandOver { .. } => 0,
            // Shares its records with the log that they come from.
            Self::Backlog(_) => 0,
        };
        data + INBOX_ENTRY_BYTES
    }
}

/// The end into which arrivals go.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(Arc<Writing>);

/// Closes the inbox when the last one who could put is gone.
#[derive(Debug)]
struct Writing(Arc<Shelf>);

/// The end that a shard reads.
#[derive(Debug)]
pub(crate) struct InboxReader {
    shelf: Arc<Shelf>,
    /// Taken off the shelf and not handed out yet.
    taken: VecDeque<(u64, Arrival)>,
}

/// What both ends share. Whoever holds the lock only moves arrivals.
#[derive(Debug)]
struct Shelf {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    arrivals: VecDeque<(u64, Arrival)>,
    /// Of everything that was put and not handed out: what the reader has taken stays charged.
    bytes: u64,
    is_closed: bool,
}

/// The inbox has no room, or its shard is gone: what was to be put is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

pub(crate) fn inbox(bytes_max: u64) -> (Inbox, InboxReader) {
    let shelf = Arc::new(Shelf { waiting: Mutex::default(), arrived: Notify::new(), bytes_max });
    let reader = InboxReader { shelf: shelf.clone(), taken: VecDeque::new() };
    (Inbox(Arc::new(Writing(shelf))), reader)
}

impl Shelf {
    /// Every step under the lock leaves the shelf whole, so a poisoned lock is of no concern.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Puts, and wakes the shard. Never waits.
    pub(crate) fn put(&self, arrival: Arrival) -> Result<(), Full> {
        let put = self.put_quietly(arrival);
        self.wake();
        put
    }

    /// Puts without waking the shard: so that ingest wakes it once for many records. Link changes always fit: they are
    /// few.
    pub(crate) fn put_quietly(&self, arrival: Arrival) -> Result<(), Full> {
        let weight = arrival.weight();
        let shelf = &self.0.0;
        let mut waiting = shelf.lock();
        let fits = waiting.bytes == 0 || waiting.bytes + weight <= shelf.bytes_max;
        if waiting.is_closed || !(fits || matches!(arrival, Arrival::Upstream { .. })) {
            return Err(Full);
        }
        waiting.bytes += weight;
        waiting.arrivals.push_back((weight, arrival));
        Ok(())
    }

    /// Lets the shard look. Costs next to nothing where it already knows.
    pub(crate) fn wake(&self) {
        self.0.0.arrived.notify_one();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_one();
    }
}

impl InboxReader {
    /// Waits for at least one arrival and puts at most `max` into `into`, in order. None came: nobody can put any
    /// more. Cancelling the wait loses nothing.
    pub(crate) async fn take(&mut self, max: usize, into: &mut Vec<Arrival>) {
        while self.taken.is_empty() {
            {
                let mut waiting = self.shelf.lock();
                if waiting.arrivals.is_empty() && waiting.is_closed {
                    return;
                }
                std::mem::swap(&mut waiting.arrivals, &mut self.taken);
            }
            if self.taken.is_empty() {
                self.shelf.arrived.notified().await;
            }
        }
        let n = max.min(self.taken.len());
        let bytes: u64 = self.taken.iter().take(n).map(|(weight, _)| weight).sum();
        into.extend(self.taken.drain(..n).map(|(_, arrival)| arrival));
        self.shelf.lock().bytes -= bytes;
        if self.taken.is_empty() {
            // A burst leaves no more behind than an ordinary turn needs.
            self.taken.shrink_to(INPUTS_PER_TURN);
        }
    }

    /// Whether the next [`InboxReader::take`] would not have to wait.
    pub(crate) fn has_more(&self) -> bool {
        !self.taken.is_empty() || !self.shelf.lock().arrivals.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.shelf.lock().bytes
    }
}

impl Drop for InboxReader {
    fn drop(&mut self) {
        let mut waiting = self.shelf.lock();
        waiting.is_closed = true;
        waiting.arrivals = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Arrival {
        Arrival::Snapshot { channel: ChannelName::new("a").unwrap(), snapshot: None, read: 0 }
    }

    async fn take(reader: &mut InboxReader, max: usize) -> usize {
        let mut arrivals = Vec::new();
        reader.take(max, &mut arrivals).await;
        arrivals.len()
    }

    #[tokio::test]
    async fn what_has_no_room_is_dropped_and_room_comes_back() {
        let (inbox, mut reader) = inbox(2 * INBOX_ENTRY_BYTES);
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Err(Full));
        let up = Arrival::Upstream { status: UpstreamStatus::Up, since: UnixMs::new(1) };
        assert_eq!(inbox.put(up), Ok(()));
        assert_eq!(take(&mut reader, 10).await, 3);
        assert_eq!(reader.bytes(), 0);
        assert_eq!(inbox.put(snapshot()), Ok(()));
    }

    #[tokio::test]
    async fn one_that_is_larger_than_the_inbox_passes_alone() {
        let (inbox, mut reader) = inbox(1);
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Err(Full));
        assert_eq!(take(&mut reader, 10).await, 1);
    }
    #[tokio::test]
    async fn what_is_taken_in_parts_stays_charged_until_it_is_handed_out() {
        let (inbox, mut reader) = inbox(3 * INBOX_ENTRY_BYTES);
        for _ in 0..3 {
            inbox.put_quietly(snapshot()).unwrap();
        }
        assert_eq!(take(&mut reader, 2).await, 2);
        assert_eq!(reader.bytes(), INBOX_ENTRY_BYTES);
        assert_eq!(inbox.put_quietly(snapshot()), Ok(()));
        assert_eq!(inbox.put_quietly(snapshot()), Ok(()));
        assert_eq!(inbox.put_quietly(snapshot()), Err(Full));
        assert_eq!(take(&mut reader, 9).await, 1);
        assert_eq!(take(&mut reader, 9).await, 2);
        assert_eq!(reader.bytes(), 0);
    }

    #[tokio::test]
    async fn either_end_may_go_first() {
        let (put, mut reader) = inbox(1 << 20);
        put.put_quietly(snapshot()).unwrap();
        drop(put);
        assert_eq!(take(&mut reader, 9).await, 1);
        assert_eq!(take(&mut reader, 9).await, 0);
        let (put, reader) = inbox(1 << 20);
        drop(reader);
        assert_eq!(put.put(snapshot()), Err(Full));
    }
}
