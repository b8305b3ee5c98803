//! What arrives from the broker, decoded once and put into the inbox of every shard with a listener; never waits.
//!
//! Who must drop leaves a gap, and the channel is read again. A record whose body disagrees with its header is told
//! as counts from the header.

use crate::inbox::{Arrival, Inbox};
use crate::interest::reads::Wants;
use crate::interest::reconcile::{Command, Commands};
use crate::interest::{Interest, ShardSet};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::sync::Arc;
use tally_backplane::{Incoming, Stream};
use tally_fanout::{ChannelRecord, Shared};
use tally_protocol::{ChannelName, Record, RecordError};

/// The one reader of the backplane's stream.
pub(crate) struct Ingest {
    pub(crate) interest: Arc<Interest>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) commands: Commands,
    pub(crate) metrics: Arc<Metrics>,
}

impl Ingest {
    /// Runs until the stream ends, that is until the node is gone.
    pub(crate) async fn run(self, mut stream: Stream) {
        while let Some(incoming) = stream.next().await {
            match incoming {
                Incoming::Message { channel, payload } => self.handle_message(&channel, &payload),
                Incoming::Gap { channel } => self.reread_all(&channel),
                Incoming::Up => self.commands.send(Command::Up),
                Incoming::Down { reason } => self.commands.send(Command::Down(reason)),
            }
            // A stream that always has more would otherwise keep its thread to itself.
            tokio::task::consume_budget().await;
        }
        self.commands.send(Command::Down("the link was closed".into()));
    }

    fn handle_message(&self, channel: &ChannelName, payload: &Bytes) {
        let Some(record) = self.decode(channel, payload) else { return };
        self.metrics.records.increment(1);
        self.metrics.record_events.increment(record.len());
        let shards = self.interest.note_record(channel, &record.epoch, record.to);
        if shards.is_empty() {
            return;
        }
        let shared = Arc::new(Shared::new(ChannelRecord { channel: channel.clone(), record }));
        let mut dropped = ShardSet::default();
        for shard in shards.iter() {
            if self.inboxes[shard].put(Arrival::Record(shared.clone())).is_err() {
                self.metrics.inbox_drops.increment(1);
                dropped = dropped.union(ShardSet::one(shard));
            }
        }
        self.reread(channel, dropped);
    }

    fn decode(&self, channel: &ChannelName, payload: &Bytes) -> Option<Record> {
        let metrics = &self.metrics;
        match Record::decode(payload) {
            Ok(record) => Some(record),
            Err(RecordError::Foreign) => {
                metrics.foreign.increment(1);
                tracing::debug!(%channel, bytes = payload.len(), "a message that is no record");
                None
            }
            Err(RecordError::Body { header, problem }) => {
                metrics.bad_body.increment(1);
                tracing::warn!(%channel, problem, "a record whose body is told as counts");
                Some(header.into_counts())
            }
            Err(error) => {
                let version = matches!(error, RecordError::Version(_));
                if version { &metrics.bad_version } else { &metrics.bad_header }.increment(1);
                tracing::warn!(%channel, %error, "a record that cannot be used");
                self.reread_all(channel);
                None
            }
        }
    }

    fn reread_all(&self, channel: &ChannelName) {
        self.reread(channel, self.interest.shards(channel));
    }

    fn reread(&self, channel: &ChannelName, shards: ShardSet) {
        if shards.is_empty() {
            return;
        }
        let fresh = self.interest.note_gap(channel, shards);
        if !fresh.is_empty() {
            self.commands.send(Command::Reread(channel.clone(), Wants::all(fresh)));
        }
    }
}
