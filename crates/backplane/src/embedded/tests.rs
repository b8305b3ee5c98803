//! What only the embedded broker has: its limits, slow nodes, and what nodes leave behind.

use super::*;
use crate::limits::{CHANNEL_COST, CHANNEL_EXPIRY, KIND_COST, PRODUCER_COST, PRODUCER_MEMORY, STATE_COST};
use crate::{Content, Incoming, ProducerBatch};
use bytes::Bytes;
use std::time::Duration;
use tally_protocol::{
    Batch, Class, Epoch, Event, Heard, Kind, ProducerId, RawJson, Record, RecordHeader, Seq, UnixMs,
};
use tokio::time::{advance, timeout};

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

fn event(kind: &str, class: Class, data: &Bytes) -> Event {
    let data = RawJson::new(data).unwrap();
    Event { kind: Kind::new(kind).unwrap(), class, at: UnixMs::new(1), data }
}

fn publish(name: &str, event: Event) -> Publish {
    let content = Content::Events(Batch::new(vec![event]).unwrap());
    Publish { channel: channel(name), content, batch: None, epoch: Epoch::new("e").unwrap() }
}

fn bulk(name: &str, kind: &str) -> Publish {
    publish(name, event(kind, Class::Bulk, &Bytes::from_static(b"1")))
}

fn by(producer: &str, number: u64, publish: Publish) -> Publish {
    let producer = ProducerId::new(producer).unwrap();
    Publish { batch: Some(ProducerBatch { producer, number }), ..publish }
}

#[tokio::test]
async fn a_dropped_stream_ends_its_subscriptions_and_the_node_still_publishes() {
    let broker = Embedded::default();
    let (node, stream) = broker.node();
    node.subscribe(vec![channel("a"), channel("b")]).await.unwrap();
    assert_eq!(broker.sizes().subscriptions, 2);
    drop(stream);
    assert_eq!(broker.sizes().subscriptions, 0);
    assert_eq!(node.publish(bulk("a", "k")).await.unwrap().heard, Heard::No);
    assert!(node.subscribe(vec![channel("a")]).await.is_err());
    assert_eq!(broker.sizes().subscriptions, 0);
}

#[tokio::test]
async fn a_dropped_node_ends_its_stream_after_what_waits() {
    let broker = Embedded::default();
    let (node, mut stream) = broker.node();
    let (other, _stream) = broker.node();
    node.subscribe(vec![channel("a")]).await.unwrap();
    other.publish(bulk("a", "k")).await.unwrap();
    drop(node);
    assert_eq!(broker.sizes().subscriptions, 0);
    assert_eq!(other.publish(bulk("a", "k")).await.unwrap().heard, Heard::No);
    assert!(matches!(stream.next().await, Some(Incoming::Message { .. })));
    assert_eq!(stream.next().await, None);
}

/// Four producers, a queue of four messages, and a reader that reads again after each gap: it must arrive at the head.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_node_gets_gaps_and_no_other_node_notices() {
    const EACH: u64 = 2_000;
    const BEFORE: u64 = 10;
    let limits = Limits { queue_messages_max: 4, ..Limits::default() };
    let broker = Embedded::new(limits);
    let (slow, mut slow_stream) = broker.node();
    slow.subscribe(vec![channel("a")]).await.unwrap();
    // More than the queue holds, before anybody reads: there is at least one gap.
    (0..BEFORE).for_each(|_| _ = broker.publish(bulk("a", "k")).unwrap());
    let mut producers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let broker = broker.clone();
        producers.spawn(async move {
            for _ in 0..EACH {
                broker.publish(bulk("a", "k")).unwrap();
            }
        });
    }
    let reading = tokio::spawn(async move {
        let (mut cursor, mut gaps) = (Seq::ZERO, 0);
        while cursor.get() < BEFORE + 4 * EACH {
            match slow_stream.next().await.unwrap() {
                Incoming::Message { payload, .. } => {
                    let header = RecordHeader::decode(&payload).unwrap();
                    if header.to > cursor {
                        assert_eq!(header.from, cursor.next(), "a hole without a gap");
                        cursor = header.to;
                    }
                }
                Incoming::Gap { .. } => {
                    gaps += 1;
                    cursor = slow.snapshot(channel("a")).await.unwrap().unwrap().seq;
                }
                other => panic!("{other:?}"),
            }
        }
        gaps
    });
    producers.join_all().await;
    let gaps = timeout(Duration::from_secs(20), reading).await.expect("the reader arrives at the head");
    assert!(gaps.unwrap() > 0);
}

#[tokio::test]
async fn a_node_that_never_reads_costs_its_queue_and_no_more() {
    let limits = Limits { queue_bytes_max: 100_000, ..Limits::default() };
    let broker = Embedded::new(limits);
    let ((stalled, mut stalled_stream), (node, mut stream)) = (broker.node(), broker.node());
    for node in [&stalled, &node] {
        node.subscribe(vec![channel("a"), channel("b")]).await.unwrap();
    }
    for n in 1..=5_000 {
        broker.publish(bulk("a", "k")).unwrap();
        let Some(Incoming::Message { payload, .. }) = stream.next().await else { panic!("a message") };
        assert_eq!(Record::decode(&payload).unwrap().to.get(), n);
    }
    broker.publish(bulk("b", "k")).unwrap();
    let (mut messages, mut gaps) = (0, Vec::new());
    drop(stalled);
    while let Some(incoming) = stalled_stream.next().await {
        match incoming {
            Incoming::Message { .. } => messages += 1,
            Incoming::Gap { channel } => gaps.push(channel),
            other => panic!("{other:?}"),
        }
    }
    assert!(messages > 500 && messages < 2_000, "{messages}");
    assert_eq!(gaps, [channel("a"), channel("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_too_many_is_refused_until_one_expires() {
    let broker = Embedded::new(Limits { channels_max: 300, ..Limits::default() });
    for n in 0..300 {
        broker.publish(bulk(&format!("c{n}"), "k")).unwrap();
        advance(Duration::from_secs(1)).await;
    }
    let before = broker.sizes();
    assert_eq!(before.channels, 300);
    assert_eq!(broker.publish(bulk("more", "k")), Err(Refusal::TooManyChannels(300)));
    assert_eq!(broker.sizes(), before, "a refusal charges nothing");
    assert_eq!(broker.publish(bulk("c7", "k")).unwrap().to.get(), 2, "those that exist go on");
    advance(CHANNEL_EXPIRY - Duration::from_secs(299)).await;
    assert_eq!(broker.publish(bulk("more", "k")).unwrap().to.get(), 1, "c0 has expired");
    assert_eq!(broker.sizes().channels, 299 + 1 - 1);
}

#[tokio::test]
async fn what_would_add_to_a_full_broker_is_refused() {
    let bytes_max = CHANNEL_COST + KIND_COST + STATE_COST + 4 + PRODUCER_COST;
    let broker = Embedded::new(Limits { bytes_max, ..Limits::default() });
    broker.publish(by("p", 1, publish("a", event("k", Class::State, &Bytes::from_static(b"1234"))))).unwrap();
    assert_eq!(broker.sizes().bytes, bytes_max);
    let full = Err(Refusal::BrokerFull(bytes_max));
    assert_eq!(broker.publish(bulk("a", "new")), full);
    assert_eq!(broker.publish(by("q", 1, bulk("a", "k"))), full);
    assert_eq!(broker.publish(bulk("b", "k")), full);
    assert_eq!(broker.sizes(), Sizes { channels: 1, subscriptions: 0, bytes: bytes_max });
    assert_eq!(broker.publish(by("p", 2, bulk("a", "k"))).unwrap().to.get(), 2, "counting on adds nothing");
}

#[tokio::test(start_paused = true)]
async fn every_charge_is_exact_and_released() {
    let broker = Embedded::default();
    let counted = || (0..SHARDS).map(|shard| broker.lock(shard).counted_bytes()).sum::<usize>();
    for n in 0..2_000_u32 {
        let (name, kind) = (format!("c{}", n % 7), format!("k{}", n % 89));
        let data = Bytes::from(format!("\"{}\"", "x".repeat(n as usize % 300)));
        let class = if n % 3 == 0 { Class::State } else { Class::Bulk };
        // In each channel two producers in turn, so that records move from one generation to the next.
        let (producer, number) = (format!("p{}", n / 7 % 2), u64::from(n / 7 / 2 + 1));
        broker.publish(by(&producer, number, publish(&name, event(&kind, class, &data)))).unwrap();
        assert_eq!(broker.sizes().bytes, counted());
        if n % 50 == 0 {
            advance(Duration::from_secs(13)).await;
        }
    }
    let filled = broker.sizes();
    assert_eq!(filled.channels, 7);
    // Producers' records go first, although nobody touches these channels again.
    advance(2 * PRODUCER_MEMORY).await;
    (0..200).for_each(|_| broker.sweep(Instant::now()));
    let rested = broker.sizes();
    assert!(rested.bytes < filled.bytes && rested.channels == 7, "{rested:?} after {filled:?}");
    assert_eq!(rested.bytes, counted());
    advance(CHANNEL_EXPIRY).await;
    (0..200).for_each(|_| broker.sweep(Instant::now()));
    assert_eq!(broker.sizes(), Sizes { channels: 0, subscriptions: 0, bytes: 0 });
}

#[tokio::test]
async fn a_kept_state_does_not_keep_the_request_alive() {
    let broker = Embedded::default();
    let request = Bytes::from(format!("{}7", " ".repeat(100_000)));
    broker.publish(publish("a", event("k", Class::State, &request))).unwrap();
    let (node, _stream) = broker.node();
    let kept = node.snapshot(channel("a")).await.unwrap().unwrap().state.unwrap();
    assert_eq!(kept.data.as_str(), "7");
    assert!(!request.as_ptr_range().contains(&kept.data.as_bytes().as_ptr()));
}
