//! The way of a message from the link into a shard's inbox, for benches; no part of what the library offers.

use crate::inbox::{Arrival, InboxReader, inbox};
use crate::ingest::Ingest;
use crate::interest::Interest;
use crate::interest::reconcile::Commands;
use crate::limits::{INPUTS_PER_TURN, Limits};
use crate::metrics::Metrics;
use futures_util::FutureExt as _;
use std::fmt;
use std::sync::Arc;
use tally_backplane::Incoming;
use tally_protocol::ChannelName;

/// Ingest with one shard that listens to some channels.
pub struct IngestBench {
    ingest: Ingest,
    reader: InboxReader,
    arrivals: Vec<Arrival>,
}

impl IngestBench {
    #[must_use]
    pub fn new(channels: &[ChannelName]) -> Self {
        let (put, reader) = inbox(Limits::default().inbox_bytes_max);
        let interest = Arc::new(Interest::default());
        channels.iter().for_each(|channel| interest.add(0, channel));
        let (commands, _) = Commands::new();
        let metrics = Arc::new(Metrics::new());
        let ingest = Ingest { interest, inboxes: vec![put], commands, metrics, intake: Arc::default() };
        Self { ingest, reader, arrivals: Vec::new() }
    }

    /// One batch from the link to the shard's hands; answers how many arrived there.
    pub fn pass(&mut self, batch: &mut Vec<Incoming>) -> usize {
        self.ingest.handle_batch(batch);
        self.arrivals.clear();
        // Without a wait: everything is there.
        let _ = self.reader.take(INPUTS_PER_TURN, &mut self.arrivals).now_or_never();
        self.arrivals.len()
    }
}

impl fmt::Debug for IngestBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestBench").finish_non_exhaustive()
    }
}
