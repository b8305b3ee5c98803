//! Cases on producers and their batch numbers: the last one again, or the next; nothing else.

use super::Fixture;
use super::stage::{Node, batch, bulk, by, counts, events, span, state};
use crate::{PRODUCERS_MAX, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tally_protocol::{Heard, SEQ_END, Why};
use tokio::task::JoinSet;

pub async fn a_repeated_batch_is_published_once(fixture: &impl Fixture) {
    let channel = fixture.channel("repeated");
    let mut node = Node::open(fixture).await;
    let call = |number| by("p:1", number, events(&channel, &["a", "b"]));
    let first = node.publish(call(1)).await;
    assert_eq!((span(&first), first.heard), ((1, 2), Heard::No));
    node.subscribe(&channel).await;
    for _ in 0..3 {
        assert_eq!(node.publish(call(1)).await, first, "the first result, verbatim");
    }
    assert_eq!(node.existing(&channel).await.seq, first.to);
    let second = node.publish(call(2)).await;
    assert_eq!((span(&second), second.heard), ((3, 4), Heard::Yes));
    assert_eq!(node.publish(call(2)).await, second);
    assert_eq!(node.record(&channel).await.from, second.from, "no repetition was published");
    node.expect_silence(fixture).await;
}

pub async fn a_batch_repeated_at_the_same_moment_is_published_once(fixture: &impl Fixture) {
    const ATTEMPTS: u64 = 2;
    const BATCHES: u64 = 1_000;
    let channel = fixture.channel("at-once");
    let mut node = Node::listening(fixture, &channel).await;
    let arrived = Arc::new(AtomicU64::new(0));
    let mut attempts = JoinSet::new();
    for _ in 0..ATTEMPTS {
        let (link, channel, arrived) = (node.link.clone(), channel.clone(), arrived.clone());
        attempts.spawn(async move {
            for number in 1..=BATCHES {
                let call = by("p:1", number, events(&channel, &["a"]));
                // They meet before each batch; a waker would let one go well before the other.
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < number * ATTEMPTS {
                    tokio::task::yield_now().await;
                }
                let result = link.publish(call).await.expect("each attempt is answered");
                assert_eq!(span(&result), (number, number));
            }
        });
    }
    attempts.join_all().await;
    for number in 1..=BATCHES {
        assert_eq!(node.record(&channel).await.from.get(), number);
    }
    node.expect_silence(fixture).await;
}

pub async fn only_the_last_batch_can_be_repeated(fixture: &impl Fixture) {
    let channel = fixture.channel("last");
    let node = Node::open(fixture).await;
    for number in 1..=3 {
        node.publish(by("p:1", number, events(&channel, &["a"]))).await;
    }
    for given in [0, 1, 2, 5] {
        let refusal = node.refused(by("p:1", given, events(&channel, &["a"]))).await;
        assert_eq!(refusal, Refusal::BatchNumber { given, expected: 4, repeatable: Some(3) });
    }
    assert_eq!(span(&node.publish(by("p:1", 4, events(&channel, &["a"]))).await), (4, 4));
}

pub async fn a_refused_batch_leaves_its_number_to_the_next(fixture: &impl Fixture) {
    let channel = fixture.channel("refused");
    let mut node = Node::listening(fixture, &channel).await;
    let nearly = [("a", SEQ_END - 3)];
    node.publish(by("p:1", 1, counts(&channel, &nearly, Why::Upstream, None))).await;
    node.record(&channel).await;
    let three = by("p:1", 2, events(&channel, &["a", "b", "c"]));
    for _ in 0..2 {
        assert_eq!(
            node.refused(three.clone()).await,
            Refusal::ChannelFull,
            "and again refused when repeated"
        );
    }
    let next = by("p:1", 2, events(&channel, &["d"]));
    let published = node.publish(next.clone()).await;
    assert_eq!(span(&published), (SEQ_END - 2, SEQ_END - 2));
    assert_eq!(node.record(&channel).await.from, published.from, "nothing of the refused one was published");
    assert_eq!(node.publish(next).await, published);
    node.expect_silence(fixture).await;
}

pub async fn a_skipped_number_is_refused_with_what_is_expected(fixture: &impl Fixture) {
    let channel = fixture.channel("skipped");
    let mut node = Node::listening(fixture, &channel).await;
    for given in [0, 2] {
        let refusal = node.refused(by("p:1", given, events(&channel, &["a"]))).await;
        assert_eq!(refusal, Refusal::BatchNumber { given, expected: 1, repeatable: None });
    }
    assert_eq!(node.snapshot(&channel).await, None, "a refused batch starts no channel");
    node.publish(by("p:1", 1, events(&channel, &["a"]))).await;
    node.record(&channel).await;
    let before = node.existing(&channel).await;
    let refusal = node.refused(by("p:1", 3, events(&channel, &["new"]))).await;
    assert_eq!(refusal, Refusal::BatchNumber { given: 3, expected: 2, repeatable: Some(1) });
    assert_eq!(node.existing(&channel).await, before);
    node.expect_silence(fixture).await;
    assert_eq!(span(&node.publish(by("p:1", 2, events(&channel, &["a"]))).await), (2, 2));
}

pub async fn after_a_lost_record_only_number_1_is_accepted(fixture: &impl Fixture) {
    let channel = fixture.channel("lost");
    let mut node = Node::listening(fixture, &channel).await;
    for number in 1..=5 {
        node.publish(by("p:1", number, events(&channel, &["a"]))).await;
        node.record(&channel).await;
    }
    fixture.forget_producers(&channel).await;
    for given in [5, 6] {
        let refusal = node.refused(by("p:1", given, events(&channel, &["a"]))).await;
        assert_eq!(refusal, Refusal::BatchNumber { given, expected: 1, repeatable: None });
    }
    assert_eq!(node.existing(&channel).await.seq.get(), 5, "numbering did not suffer");
    node.expect_silence(fixture).await;
    assert_eq!(span(&node.publish(by("p:2", 1, events(&channel, &["a"]))).await), (6, 6));
}

pub async fn a_restarted_producer_begins_at_1(fixture: &impl Fixture) {
    let channel = fixture.channel("restarted");
    let node = Node::open(fixture).await;
    let mut last = node.publish(by("p:old", 1, events(&channel, &["a"]))).await;
    last = node.publish(by("p:old", last.to.get() + 1, events(&channel, &["a"]))).await;
    let restarted = node.publish(by("p:new", 1, events(&channel, &["a"]))).await;
    assert_eq!(span(&restarted), (3, 3));
    let late = node.publish(by("p:old", 2, events(&channel, &["a"]))).await;
    assert_eq!(late, last, "a late retry of the old one is still only a retry");
    assert_eq!(span(&node.publish(by("p:new", 2, events(&channel, &["a"]))).await), (4, 4));
}

pub async fn a_changed_retry_is_refused(fixture: &impl Fixture) {
    let channel = fixture.channel("changed");
    let mut node = Node::listening(fixture, &channel).await;
    let sent = ["a", "b", "a"];
    let first = node.publish(by("p:1", 1, events(&channel, &sent))).await;
    node.record(&channel).await;
    let before = node.existing(&channel).await;
    let changed = [&["a", "b"][..], &["a", "b", "c"], &["a", "b", "b"], &["a", "b", "a", "a"]];
    for kinds in changed {
        let refusal = node.refused(by("p:1", 1, events(&channel, kinds))).await;
        assert_eq!(refusal, Refusal::ChangedBatch(1), "{kinds:?}");
    }
    let changed = counts(&channel, &[("a", 1), ("b", 2)], Why::Upstream, None);
    assert_eq!(node.refused(by("p:1", 1, changed)).await, Refusal::ChangedBatch(1));
    assert_eq!(node.existing(&channel).await, before);
    assert_eq!(node.publish(by("p:1", 1, events(&channel, &sent))).await, first);
    node.expect_silence(fixture).await;
}

pub async fn a_retry_may_drop_payloads(fixture: &impl Fixture) {
    let channel = fixture.channel("dropped");
    let mut node = Node::listening(fixture, &channel).await;
    let mut sent = vec![bulk("a", "\"long\""); 600];
    sent[299] = state("b", "2");
    let first = node.publish(by("p:1", 1, batch(&channel, sent))).await;
    assert_eq!(span(&first), (1, 600));
    for _ in 0..3 {
        node.record(&channel).await;
    }
    let before = node.existing(&channel).await;
    for last_state in [None, Some(state("b", "2"))] {
        let dropped = counts(&channel, &[("a", 599), ("b", 1)], Why::Upstream, last_state);
        assert_eq!(node.publish(by("p:1", 1, dropped)).await, first);
    }
    assert_eq!(node.existing(&channel).await, before, "state keeps its seq");
    node.expect_silence(fixture).await;
}

pub async fn numbers_count_per_channel(fixture: &impl Fixture) {
    let (one, two) = (fixture.channel("one"), fixture.channel("two"));
    let node = Node::open(fixture).await;
    for number in 1..=3 {
        node.publish(by("p:1", number, events(&one, &["a"]))).await;
    }
    assert_eq!(span(&node.publish(by("p:1", 1, events(&two, &["a"]))).await), (1, 1));
    assert_eq!(span(&node.publish(by("p:1", 4, events(&one, &["a"]))).await), (4, 4));
}

pub async fn a_batch_without_a_producer_is_not_remembered(fixture: &impl Fixture) {
    let channel = fixture.channel("anonymous");
    let node = Node::open(fixture).await;
    for n in 1..=3 {
        assert_eq!(span(&node.publish(events(&channel, &["a"])).await), (n, n));
    }
}

pub async fn one_producer_too_many_is_refused(fixture: &impl Fixture) {
    let channel = fixture.channel("producers");
    let node = Node::open(fixture).await;
    for producer in 0..PRODUCERS_MAX {
        node.publish(by(&format!("p:{producer}"), 1, events(&channel, &["a"]))).await;
    }
    let before = node.existing(&channel).await;
    let refusal = node.refused(by("p:more", 1, events(&channel, &["new"]))).await;
    assert_eq!(refusal, Refusal::TooManyProducers(PRODUCERS_MAX));
    assert_eq!(node.existing(&channel).await, before);
    // Those that are remembered go on, and so do those that ask for no memory.
    let next = before.seq.get() + 1;
    assert_eq!(span(&node.publish(by("p:0", 1, events(&channel, &["a"]))).await), (1, 1));
    assert_eq!(span(&node.publish(by("p:0", 2, events(&channel, &["a"]))).await), (next, next));
    assert_eq!(span(&node.publish(events(&channel, &["a"])).await), (next + 1, next + 1));
}
