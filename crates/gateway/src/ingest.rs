//! What arrives from the broker, decoded once and put into the inbox of every shard with a listener; never waits.
//!
//! Who must drop leaves a gap, and the channel is read again. A record whose body disagrees with its header is told
//! as counts from the header. What is no record goes on as it came, without a number, if it is JSON.

mod thread;

pub(crate) use thread::IngestThread;

use crate::frames;
use crate::inbox::{Arrival, Inbox};
use crate::interest::reads::Wants;
use crate::interest::reconcile::{Command, Commands};
use crate::interest::{Interest, ShardSet};
use crate::limits::INGEST_BATCH_MAX;
use crate::metrics::Metrics;
use crate::statistics::Intake;
use bytes::Bytes;
use std::sync::Arc;
use tally_backplane::{Incoming, Stream};
use tally_fanout::Shared;
use tally_protocol::{ChannelName, EVENT_BYTES_MAX, RawJson, Record, RecordError, Unnumbered};
use tokio::task::yield_now;

/// The one reader of the backplane's stream.
pub(crate) struct Ingest {
    pub(crate) interest: Arc<Interest>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) commands: Commands,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) intake: Arc<Intake>,
}

impl Ingest {
    /// Runs until the stream ends, that is until the node is gone.
    pub(crate) async fn run(self, mut stream: Stream) {
        let mut batch = Vec::with_capacity(INGEST_BATCH_MAX);
        while stream.next_batch(INGEST_BATCH_MAX, &mut batch).await {
            self.handle_batch(&mut batch);
            // A stream that always has more would otherwise keep its thread to itself.
            yield_now().await;
        }
        self.commands.send(Command::Down("the link was closed".into()));
    }

    /// Takes everything in, and only then wakes the shards: each once, however many records it gets.
    pub(crate) fn handle_batch(&self, batch: &mut Vec<Incoming>) {
        let mut woken = ShardSet::default();
        for incoming in batch.drain(..) {
            match incoming {
                Incoming::Message { channel, payload } => {
                    woken = woken.union(self.handle_message(&channel, &payload));
                }
                Incoming::Gap { channel } => {
                    self.metrics.upstream_gaps.increment(1);
                    self.reread_all(&channel);
                }
                Incoming::Up => self.commands.send(Command::Up),
                Incoming::Down { reason } => self.commands.send(Command::Down(reason)),
            }
        }
        for shard in woken.iter() {
            self.inboxes[shard].wake();
        }
    }

    /// The answer is who got something.
    fn handle_message(&self, channel: &ChannelName, payload: &Bytes) -> ShardSet {
        let record = match self.decode(channel, payload) {
            Ok(record) => record,
            Err(shards) => return shards,
        };
        // Tally's own would blur what others publish.
        if !channel.is_own() {
            self.metrics.records.increment(1);
            self.metrics.record_events.increment(record.len());
            self.intake.note(record.len(), payload.len());
        }
        let shards = self.interest.note_record(channel, &record.epoch, record.to);
        if shards.is_empty() {
            return shards;
        }
        let shared = Arc::new(frames::shared(channel.clone(), record));
        let mut dropped = ShardSet::default();
        for shard in shards.iter() {
            if self.inboxes[shard].put_quietly(Arrival::Record(shared.clone())).is_err() {
                self.metrics.inbox_drops.increment(1);
                dropped = dropped.union(ShardSet::one(shard));
            }
        }
        self.reread(channel, dropped);
        shards
    }

    /// The record, or who got what is none.
    fn decode(&self, channel: &ChannelName, payload: &Bytes) -> Result<Record, ShardSet> {
        let metrics = &self.metrics;
        match Record::decode(payload) {
            Ok(record) => Ok(record),
            Err(RecordError::Foreign) => Err(self.handle_foreign(channel, payload)),
            Err(RecordError::Body { header, problem }) => {
                metrics.bad_body.increment(1);
                tracing::warn!(%channel, problem, "a record whose body is told as counts");
                Ok(header.into_counts())
            }
            Err(error) => {
                let version = matches!(error, RecordError::Version(_));
                if version { &metrics.bad_version } else { &metrics.bad_header }.increment(1);
                tracing::warn!(%channel, %error, "a record that cannot be used");
                self.reread_all(channel);
                Err(ShardSet::default())
            }
        }
    }

    /// What a foreign program published: one JSON value, no larger than an event may be. What is not is dropped, and
    /// listeners are told by its number, which no frame has.
    fn handle_foreign(&self, channel: &ChannelName, payload: &Bytes) -> ShardSet {
        let (shards, number) = self.interest.note_unnumbered(channel);
        if shards.is_empty() {
            return shards;
        }
        let [passed, not_json, too_large, no_room] = &self.metrics.unnumbered;
        if payload.len() > EVENT_BYTES_MAX {
            too_large.increment(1);
            tracing::debug!(%channel, bytes = payload.len(), "a foreign message that is too large");
            return ShardSet::default();
        }
        let event = match RawJson::new(payload) {
            Ok(event) => event,
            Err(error) => {
                not_json.increment(1);
                tracing::debug!(%channel, %error, "a foreign message that cannot be passed on");
                return ShardSet::default();
            }
        };
        passed.increment(1);
        let frame = Unnumbered { channel: channel.clone(), events: vec![event], dropped: 0 };
        let frame = Arc::new(Shared::new(frame));
        for shard in shards.iter() {
            if self.inboxes[shard].put_quietly(Arrival::Unnumbered { number, frame: frame.clone() }).is_err()
            {
                no_room.increment(1);
            }
        }
        shards
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::inbox;

    #[tokio::test]
    async fn foreign_messages_go_on_if_they_are_json_and_are_numbered_either_way() {
        let channel = ChannelName::new("job:7").unwrap();
        let (put, mut reader) = inbox(1024 * 1024);
        let (commands, _) = Commands::new();
        let interest = Arc::new(Interest::default());
        let metrics = Arc::new(Metrics::new());
        let ingest = Ingest {
            interest: interest.clone(),
            inboxes: vec![put],
            commands,
            metrics,
            intake: Arc::default(),
        };
        ingest.handle_message(&channel, &Bytes::from_static(b"\"nobody listens\""));
        interest.add(0, &channel);
        let large = format!("\"{}\"", "x".repeat(EVENT_BYTES_MAX));
        for text in [" {\"hello\" :1}\n", "hello", "{", "[17]", "1 2", large.as_str(), "null"] {
            ingest.handle_message(&channel, &Bytes::copy_from_slice(text.as_bytes()));
        }
        let mut arrivals = Vec::new();
        reader.take(10, &mut arrivals).await;
        let got: Vec<_> = arrivals
            .iter()
            .map(|arrival| match arrival {
                Arrival::Unnumbered { number, frame } => (*number, frame.value().events[0].as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(got, [(1, "{\"hello\" :1}"), (4, "[17]"), (7, "null")]);
        let text = ingest.metrics.handle().render();
        for (outcome, n) in [("passed", 3), ("not_json", 3), ("too_large", 1), ("no_room", 0)] {
            let line = format!("tally_unnumbered_messages_total{{outcome=\"{outcome}\"}} {n}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}
