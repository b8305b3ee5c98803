//! Cases on seq, totals, epoch and state: one atomic step per publish call.

use super::Fixture;
use super::stage::{Node, assert_gapless, batch, bulk, by, counts, events, seq, span, state, totals};
use crate::{Backplane, Refusal};
use std::collections::BTreeSet;
use std::sync::Arc;
use tally_protocol::{Body, ChannelName, Class, Published, SEQ_END, Totals, UnixMs, Why};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const PRODUCERS: u64 = 8;

/// Eight producers that start at once, each with its numbered batches of one to five events; answers all results.
async fn eight_producers(link: &Arc<dyn Backplane>, channel: &ChannelName, batches: u64) -> Vec<Published> {
    let mut producers = JoinSet::new();
    let start = Arc::new(Barrier::new(8));
    for producer in 0..PRODUCERS {
        let (link, channel, start) = (link.clone(), channel.clone(), start.clone());
        producers.spawn(async move {
            start.wait().await;
            let mut results = Vec::new();
            for number in 1..=batches {
                let len = 1 + (producer + number) % 5;
                let kinds: Vec<_> = (0..len).map(|i| format!("k{}", (producer * i) % 7)).collect();
                let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
                let call = by(&format!("p{producer}"), number, events(&channel, &kinds));
                results.push(link.publish(call).await.expect("the broker accepts this batch"));
            }
            results
        });
    }
    producers.join_all().await.into_iter().flatten().collect()
}

pub async fn numbering_is_gapless_under_eight_producers(fixture: &impl Fixture) {
    let channel = fixture.channel("gapless");
    let mut node = Node::listening(fixture, &channel).await;
    let results = eight_producers(&node.link, &channel, 1_000).await;
    let last = assert_gapless(results.iter().map(span).collect());
    assert_eq!(results.iter().map(|result| &result.epoch).collect::<BTreeSet<_>>().len(), 1);
    let mut cursor = 0;
    while cursor < last {
        let record = node.record(&channel).await;
        assert_eq!(record.from.get(), cursor + 1, "records arrive in the order of their numbers");
        assert_eq!(record.epoch, results[0].epoch);
        cursor = record.to.get();
    }
    assert_eq!(node.existing(&channel).await.seq.get(), last);
    node.expect_silence(fixture).await;
}

pub async fn totals_always_add_up(fixture: &impl Fixture) {
    let channel = fixture.channel("totals");
    let mut node = Node::listening(fixture, &channel).await;
    let link = node.link.clone();
    let publishing = tokio::spawn({
        let (link, channel) = (link.clone(), channel.clone());
        async move { eight_producers(&link, &channel, 300).await }
    });
    let mut seqs = Vec::new();
    while !publishing.is_finished() {
        if let Some(snapshot) = node.snapshot(&channel).await {
            assert_eq!(snapshot.totals.sum(), snapshot.seq.get());
            seqs.push(snapshot.seq);
        }
        tokio::task::yield_now().await;
    }
    assert!(seqs.is_sorted(), "seq never goes back");
    let results = publishing.await.expect("the producers finish");
    let last = assert_gapless(results.iter().map(span).collect());
    let mut told = Totals::new();
    while told.sum() < last {
        told.add_all(&node.record(&channel).await.counts);
    }
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.seq.get(), snapshot.totals), (last, told));
}

pub async fn a_batch_is_several_records_numbered_in_one_step(fixture: &impl Fixture) {
    const LEN: u64 = 600;
    let channel = fixture.channel("records");
    let mut node = Node::listening(fixture, &channel).await;
    let mut producers = JoinSet::new();
    let start = Arc::new(Barrier::new(4));
    for _ in 0..4 {
        let (link, channel, start) = (node.link.clone(), channel.clone(), start.clone());
        producers.spawn(async move {
            start.wait().await;
            for _ in 0..10 {
                let call = batch(&channel, vec![bulk("k", "0"); 600]);
                let published = link.publish(call).await.expect("the broker accepts this batch");
                assert_eq!(published.to.since(published.from) + 1, LEN);
                assert_eq!(published.from.get() % LEN, 1, "batches do not interleave");
                let read = link.snapshot(channel.clone()).await.expect("the broker is there");
                let seq = read.expect("the channel exists").seq;
                assert_eq!(seq.get() % LEN, 0, "no reader sees part of a batch");
            }
        });
    }
    producers.join_all().await;
    let mut cursor = 0;
    while cursor < 40 * LEN {
        let record = node.record(&channel).await;
        assert_eq!(record.from.get(), cursor + 1);
        cursor = record.to.get();
        let expected = if cursor.is_multiple_of(LEN) { LEN - 512 } else { 256 };
        assert_eq!(record.len(), expected);
    }
}

pub async fn every_node_gets_the_same_records_in_order(fixture: &impl Fixture) {
    let channel = fixture.channel("same");
    let mut one = Node::listening(fixture, &channel).await;
    let mut two = Node::listening(fixture, &channel).await;
    let results = eight_producers(&one.link, &channel, 300).await;
    for _ in 0..results.len() {
        assert_eq!(one.message().await, two.message().await);
    }
    one.expect_silence(fixture).await;
    two.expect_silence(fixture).await;
}

pub async fn a_channel_keeps_the_epoch_it_was_started_with(fixture: &impl Fixture) {
    let channel = fixture.channel("epoch");
    let mut node = Node::listening(fixture, &channel).await;
    let first = events(&channel, &["a"]);
    let epoch = first.epoch.clone();
    assert_eq!(node.publish(first).await.epoch, epoch);
    assert_eq!(node.publish(events(&channel, &["a"])).await.epoch, epoch);
    for _ in 0..2 {
        assert_eq!(node.record(&channel).await.epoch, epoch);
    }
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.epoch, snapshot.prev), (epoch, None));
}

pub async fn data_is_kept_verbatim(fixture: &impl Fixture) {
    let channel = fixture.channel("verbatim");
    let mut node = Node::listening(fixture, &channel).await;
    let data = [
        "{\"b\" : 1,\t\"a\":[ ] , \"b\":2}",
        "1.0e2",
        "12345678901234567890.10",
        "\"\\u00e9 é \\/ \u{1F600}\"",
        "null",
    ];
    let mut sent: Vec<_> = data.iter().map(|data| bulk("k", data)).collect();
    sent[1].class = Class::State;
    sent[2].at = UnixMs::new(0);
    node.publish(batch(&channel, sent.clone())).await;
    let Body::Events(got) = node.record(&channel).await.body else { panic!("expected events") };
    for (sent, got) in sent.iter().zip(&got) {
        assert_eq!((&got.kind, &got.data, got.at, got.class), (&sent.kind, &sent.data, sent.at, sent.class));
        assert_eq!(got.sent_as, None);
    }
    assert_eq!(got.len(), sent.len());
    assert_eq!(node.existing(&channel).await.state.expect("one was state").data.as_str(), "1.0e2");
}

pub async fn the_newest_state_is_kept(fixture: &impl Fixture) {
    let channel = fixture.channel("state");
    let node = Node::open(fixture).await;
    node.publish(events(&channel, &["a"])).await;
    assert_eq!(node.existing(&channel).await.state, None);
    // Several records; the newest state is neither in the first nor in the last of them.
    let mut sent = vec![bulk("b", "0"); 600];
    sent[10] = state("old", "1");
    sent[300] = state("new", "{\"x\" : 2}");
    node.publish(batch(&channel, sent)).await;
    let newest = node.existing(&channel).await.state.expect("a state event was published");
    assert_eq!((newest.seq, newest.kind.as_str()), (seq(302), "new"));
    assert_eq!((newest.data.as_str(), newest.sent_as), ("{\"x\" : 2}", None));
    node.publish(events(&channel, &["b"])).await;
    assert_eq!(node.existing(&channel).await.state.map(|state| state.seq), Some(seq(302)));
}

pub async fn a_batch_that_reaches_the_end_of_seq_changes_nothing(fixture: &impl Fixture) {
    let channel = fixture.channel("end");
    let mut node = Node::listening(fixture, &channel).await;
    let nearly = [("a", SEQ_END - 3)];
    node.publish(counts(&channel, &nearly, Why::Upstream, None)).await;
    node.record(&channel).await;
    let before = node.existing(&channel).await;
    let too_many = batch(&channel, vec![bulk("a", "1"), bulk("new", "1"), state("new", "1")]);
    assert_eq!(node.refused(too_many).await, Refusal::ChannelFull);
    let too_many = counts(&channel, &[("new", SEQ_END - 1)], Why::Upstream, None);
    assert_eq!(node.refused(too_many).await, Refusal::ChannelFull);
    assert_eq!(node.existing(&channel).await, before);
    node.expect_silence(fixture).await;
    let last = node.publish(events(&channel, &["a", "b"])).await;
    assert_eq!(span(&last), (SEQ_END - 2, SEQ_END - 1));
    let expected = totals(&[("a", SEQ_END - 2), ("b", 1)]);
    assert_eq!(node.existing(&channel).await.totals, expected);
    assert_eq!(node.refused(events(&channel, &["a"])).await, Refusal::ChannelFull);
}
