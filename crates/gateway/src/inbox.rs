//! A shard's inbox: records, snapshots and link changes in one order, bounded in bytes; nobody ever waits to put.

use crate::limits::INBOX_ENTRY_BYTES;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tally_backplane::Head;
use tally_fanout::{Backlog, ChannelRecord, Shared};
use tally_protocol::{Body, ChannelName, Snapshot, UnixMs, Unnumbered, UpstreamStatus};
use tokio::sync::mpsc;

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
pub(crate) struct Inbox {
    sender: mpsc::UnboundedSender<(u64, Arrival)>,
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

/// The end that a shard reads.
#[derive(Debug)]
pub(crate) struct InboxReader {
    receiver: mpsc::UnboundedReceiver<(u64, Arrival)>,
    bytes: Arc<AtomicU64>,
    batch: Vec<(u64, Arrival)>,
}

/// The inbox has no room, or its shard is gone: what was to be put is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

pub(crate) fn inbox(bytes_max: u64) -> (Inbox, InboxReader) {
    // bounded: in bytes, by the account that `put` checks.
    let (sender, receiver) = mpsc::unbounded_channel();
    let bytes = Arc::new(AtomicU64::new(0));
    (Inbox { sender, bytes: bytes.clone(), bytes_max }, InboxReader { receiver, bytes, batch: Vec::new() })
}

impl Inbox {
    /// Never waits. Link changes always fit: they are few.
    pub(crate) fn put(&self, arrival: Arrival) -> Result<(), Full> {
        let weight = arrival.weight();
        let waiting = self.bytes.fetch_add(weight, Ordering::Relaxed);
        let fits = waiting == 0 || waiting + weight <= self.bytes_max;
        if (fits || matches!(arrival, Arrival::Upstream { .. }))
            && self.sender.send((weight, arrival)).is_ok()
        {
            return Ok(());
        }
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
        Err(Full)
    }
}

impl InboxReader {
    /// Waits for at least one arrival and takes at most `max`, in order. Empty: nobody can put any more. Cancelling
    /// the wait loses nothing.
    pub(crate) async fn take(&mut self, max: usize) -> Vec<Arrival> {
        self.receiver.recv_many(&mut self.batch, max).await;
        let bytes: u64 = self.batch.iter().map(|(weight, _)| weight).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.batch.drain(..).map(|(_, arrival)| arrival).collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Arrival {
        Arrival::Snapshot { channel: ChannelName::new("a").unwrap(), snapshot: None, read: 0 }
    }

    #[tokio::test]
    async fn what_has_no_room_is_dropped_and_room_comes_back() {
        let (inbox, mut reader) = inbox(2 * INBOX_ENTRY_BYTES);
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Err(Full));
        let up = Arrival::Upstream { status: UpstreamStatus::Up, since: UnixMs::new(1) };
        assert_eq!(inbox.put(up), Ok(()));
        assert_eq!(reader.take(10).await.len(), 3);
        assert_eq!(reader.bytes(), 0);
        assert_eq!(inbox.put(snapshot()), Ok(()));
    }

    #[tokio::test]
    async fn one_that_is_larger_than_the_inbox_passes_alone() {
        let (inbox, mut reader) = inbox(1);
        assert_eq!(inbox.put(snapshot()), Ok(()));
        assert_eq!(inbox.put(snapshot()), Err(Full));
        assert_eq!(reader.take(10).await.len(), 1);
    }
}
