//! Cases on what the broker forgets, and when: they move its clock.

use super::TimedFixture;
use super::stage::{Node, by, events, span, totals};
use crate::{CHANNEL_EXPIRY, PRODUCER_MEMORY, PRODUCERS_MAX, Refusal};
use std::time::Duration;
use tally_protocol::ChannelName;

const SECOND: Duration = Duration::from_secs(1);

async fn audit_is_some(node: &Node, channel: &ChannelName) -> bool {
    let heads = node.link.audit(vec![channel.clone()]).await.expect("the broker is there");
    heads[0].is_some()
}

pub async fn a_quiet_channel_is_gone_after_a_day(fixture: &impl TimedFixture) {
    let channel = fixture.channel("quiet");
    let mut node = Node::listening(fixture, &channel).await;
    let first = node.publish(by("p:1", 1, events(&channel, &["a", "b"]))).await;
    node.record(&channel).await;
    fixture.elapse(CHANNEL_EXPIRY - SECOND).await;
    assert_eq!(node.existing(&channel).await.epoch, first.epoch);
    fixture.elapse(2 * SECOND).await;
    assert_eq!(node.snapshot(&channel).await, None);
    assert!(!audit_is_some(&node, &channel).await, "an audit does not bring it back");
    let again = node.publish(events(&channel, &["c"])).await;
    assert_eq!(span(&again), (1, 1));
    assert_ne!(again.epoch, first.epoch);
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.epoch, snapshot.totals), (again.epoch.clone(), totals(&[("c", 1)])));
    assert_eq!((snapshot.prev, snapshot.state), (None, None));
    assert_eq!(node.record(&channel).await.epoch, again.epoch, "subscriptions do not expire");
}

pub async fn a_publish_renews_a_channel(fixture: &impl TimedFixture) {
    let channel = fixture.channel("renewed");
    let node = Node::open(fixture).await;
    let first = node.publish(events(&channel, &["a"])).await;
    for n in 2..5 {
        fixture.elapse(CHANNEL_EXPIRY - SECOND).await;
        let next = node.publish(events(&channel, &["a"])).await;
        assert_eq!((span(&next), &next.epoch), ((n, n), &first.epoch));
    }
}

pub async fn an_audit_renews_a_channel(fixture: &impl TimedFixture) {
    let channel = fixture.channel("audited");
    let node = Node::open(fixture).await;
    node.publish(events(&channel, &["a"])).await;
    for _ in 0..3 {
        fixture.elapse(CHANNEL_EXPIRY - SECOND).await;
        assert!(audit_is_some(&node, &channel).await);
    }
    fixture.elapse(CHANNEL_EXPIRY + SECOND).await;
    assert!(!audit_is_some(&node, &channel).await);
}

pub async fn a_read_does_not_renew_a_channel(fixture: &impl TimedFixture) {
    let channel = fixture.channel("read");
    let node = Node::open(fixture).await;
    node.publish(by("p:1", 1, events(&channel, &["a"]))).await;
    for _ in 0..2 {
        fixture.elapse(CHANNEL_EXPIRY / 3).await;
        assert!(node.snapshot(&channel).await.is_some());
    }
    fixture.elapse(CHANNEL_EXPIRY / 3 + SECOND).await;
    assert_eq!(node.snapshot(&channel).await, None);
}

pub async fn a_producer_is_remembered_for_120_s(fixture: &impl TimedFixture) {
    // Memory may expire in generations: so ask at several moments within one.
    for after in [0, 1, 59, 119, 121, 200, 239] {
        let channel = fixture.channel(&format!("remembered-{after}"));
        let node = Node::open(fixture).await;
        node.publish(by("p:early", 1, events(&channel, &["a"]))).await;
        fixture.elapse(after * SECOND).await;
        let first = node.publish(by("p:1", 1, events(&channel, &["a"]))).await;
        for _ in 0..2 {
            fixture.elapse(PRODUCER_MEMORY / 2 - SECOND).await;
            let again = node.publish(by("p:1", 1, events(&channel, &["a"]))).await;
            assert_eq!(again, first, "{after} s after another producer");
        }
        fixture.elapse(PRODUCER_MEMORY + 2 * SECOND).await;
        let refusal = node.refused(by("p:1", 2, events(&channel, &["a"]))).await;
        assert_eq!(refusal, Refusal::BatchNumber { given: 2, expected: 1, repeatable: None });
        assert_eq!(node.existing(&channel).await.seq, first.to, "the channel itself is still there");
    }
}

pub async fn an_accepted_batch_renews_what_is_remembered(fixture: &impl TimedFixture) {
    let channel = fixture.channel("renewing");
    let node = Node::open(fixture).await;
    for number in 1..=6 {
        let call = by("p:1", number, events(&channel, &["a"]));
        assert_eq!(span(&node.publish(call).await), (number, number));
        fixture.elapse(PRODUCER_MEMORY - SECOND).await;
    }
}

pub async fn forgotten_producers_make_room(fixture: &impl TimedFixture) {
    let channel = fixture.channel("room");
    let node = Node::open(fixture).await;
    // In two halves, so that they are not all forgotten at once.
    for producer in 0..PRODUCERS_MAX {
        if producer == PRODUCERS_MAX / 2 {
            fixture.elapse(PRODUCER_MEMORY - SECOND).await;
        }
        node.publish(by(&format!("p:{producer}"), 1, events(&channel, &["a"]))).await;
    }
    let one_more = by("p:more", 1, events(&channel, &["a"]));
    assert_eq!(node.refused(one_more.clone()).await, Refusal::TooManyProducers(PRODUCERS_MAX));
    fixture.elapse(2 * PRODUCER_MEMORY).await;
    node.publish(one_more).await;
}
