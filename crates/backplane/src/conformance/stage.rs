//! What the cases are made of: publish calls in one line, and a node that decodes what arrives.

use super::{Fixture, PATIENCE};
use crate::{Backplane, Content, Incoming, ProducerBatch, Publish, PublishError, Refusal, Stream};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tally_protocol::{
    Batch, ChannelName, Class, CountsOnly, Epoch, Event, Kind, ProducerId, Published, RawJson, Record, Seq,
    Snapshot, Totals, UnixMs, Why,
};
use tokio::time::timeout;

pub(super) struct Node {
    pub(super) link: Arc<dyn Backplane>,
    stream: Stream,
}

impl Node {
    pub(super) async fn open(fixture: &impl Fixture) -> Self {
        let (link, stream) = fixture.node().await;
        Self { link, stream }
    }

    /// A node that is subscribed to the channel.
    pub(super) async fn listening(fixture: &impl Fixture, channel: &ChannelName) -> Self {
        let node = Self::open(fixture).await;
        node.subscribe(channel).await;
        node
    }

    pub(super) async fn subscribe(&self, channel: &ChannelName) {
        self.link.subscribe(vec![channel.clone()]).await.expect("the broker is there");
    }

    pub(super) async fn unsubscribe(&self, channel: &ChannelName) {
        self.link.unsubscribe(vec![channel.clone()]).await.expect("the broker is there");
    }

    /// Publishes what the broker must accept.
    pub(super) async fn publish(&self, publish: Publish) -> Published {
        self.link.publish(publish).await.expect("the broker accepts this batch")
    }

    /// Publishes what the broker must refuse.
    pub(super) async fn refused(&self, publish: Publish) -> Refusal {
        match self.link.publish(publish).await {
            Err(PublishError::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    pub(super) async fn snapshot(&self, channel: &ChannelName) -> Option<Snapshot> {
        self.link.snapshot(channel.clone()).await.expect("the broker is there")
    }

    /// The snapshot of a channel that must exist.
    pub(super) async fn existing(&self, channel: &ChannelName) -> Snapshot {
        self.snapshot(channel).await.expect("the channel exists")
    }

    /// The next message, as it came.
    pub(super) async fn message(&mut self) -> (ChannelName, Bytes) {
        let next = timeout(PATIENCE, self.stream.next()).await.expect("a message arrives in time");
        match next {
            Some(Incoming::Message { channel, payload }) => (channel, payload),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next message, which must be a record of this channel.
    pub(super) async fn record(&mut self, channel: &ChannelName) -> Record {
        let (from, payload) = self.message().await;
        assert_eq!(from, *channel);
        Record::decode(&payload).expect("what was published is a record")
    }

    /// Proves that nothing is on the way: the next message is that of another channel, published now.
    pub(super) async fn expect_silence(&mut self, fixture: &impl Fixture) {
        let barrier = fixture.channel("barrier");
        self.subscribe(&barrier).await;
        let published = self.publish(events(&barrier, &["barrier"])).await;
        let record = self.record(&barrier).await;
        assert_eq!((record.from, record.to), (published.from, published.to));
        self.unsubscribe(&barrier).await;
    }
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("cases name valid kinds")
}

pub(super) fn bulk(name: &str, data: &str) -> Event {
    event(name, Class::Bulk, data)
}

pub(super) fn state(name: &str, data: &str) -> Event {
    event(name, Class::State, data)
}

fn event(name: &str, class: Class, data: &str) -> Event {
    let data = RawJson::new(&Bytes::copy_from_slice(data.as_bytes())).expect("cases have valid JSON");
    Event { kind: kind(name), class, at: UnixMs::new(1_700_000_000_123), data }
}

/// A batch of one bulk event for each kind.
pub(super) fn events(channel: &ChannelName, kinds: &[&str]) -> Publish {
    batch(channel, kinds.iter().map(|name| bulk(name, "{}")).collect())
}

pub(super) fn batch(channel: &ChannelName, events: Vec<Event>) -> Publish {
    publish(channel, Content::Events(Batch::new(events).expect("cases keep a batch's limits")))
}

pub(super) fn counts(
    channel: &ChannelName,
    counts: &[(&str, u64)],
    why: Why,
    state: Option<Event>,
) -> Publish {
    let counts = CountsOnly::new(totals(counts), why, state).expect("cases keep the rules of counts");
    publish(channel, Content::Counts(counts))
}

pub(super) fn totals(counts: &[(&str, u64)]) -> Totals {
    let mut totals = Totals::new();
    for (name, n) in counts {
        totals.add(&kind(name), *n);
    }
    totals
}

/// Each call draws its own epoch, as publishers do.
fn publish(channel: &ChannelName, content: Content) -> Publish {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let epoch = format!("e{}.{}", std::process::id(), DRAWN.fetch_add(1, Ordering::Relaxed));
    let epoch = Epoch::new(&epoch).expect("two numbers fit into an epoch");
    Publish { channel: channel.clone(), content, batch: None, epoch }
}

/// The same call, made repeatable.
pub(super) fn by(producer: &str, number: u64, publish: Publish) -> Publish {
    let producer = ProducerId::new(producer).expect("cases name valid producers");
    Publish { batch: Some(ProducerBatch { producer, number }), ..publish }
}

pub(super) fn seq(n: u64) -> Seq {
    Seq::new(n).expect("cases stay below 2^53")
}

pub(super) fn span(published: &Published) -> (u64, u64) {
    (published.from.get(), published.to.get())
}

/// Spans that together are 1, 2, 3 … without hole or double; answers the last seq.
pub(super) fn assert_gapless(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    spans.into_iter().fold(0, |last, (from, to)| {
        assert_eq!(from, last + 1, "a span begins after the one before it");
        assert!(to >= from, "a span is not empty");
        to
    })
}
