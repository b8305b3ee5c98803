//! Cases on subscriptions, messages, snapshots and audits.

use super::Fixture;
use super::stage::{Node, by, counts, events, seq, span, state, totals};
use crate::Head;
use tally_protocol::{Body, Heard, Kind, Totals, Why};
use tokio::task::JoinSet;

pub async fn a_snapshot_meets_live_messages_without_hole_or_double(fixture: &impl Fixture) {
    const PRODUCERS: u64 = 8;
    const BATCHES: u64 = 500;
    let channel = fixture.channel("live");
    let publisher = Node::open(fixture).await;
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let (link, channel) = (publisher.link.clone(), channel.clone());
        producers.spawn(async move {
            for number in 1..=BATCHES {
                let kind = format!("k{}", number % 5);
                let call = by(&format!("p{producer}"), number, events(&channel, &[&kind, "all"]));
                link.publish(call).await.expect("the broker accepts this batch");
                tokio::task::yield_now().await;
            }
        });
    }
    let last = seq(PRODUCERS * BATCHES * 2);
    // Attach again and again while they publish: each time the snapshot and what follows it must be everything.
    let mut attached = 0;
    while attached == 0 || !producers.is_empty() {
        while producers.try_join_next().is_some() {}
        let mut node = Node::listening(fixture, &channel).await;
        let snapshot = node.snapshot(&channel).await;
        let (mut cursor, mut account) =
            snapshot.map_or((seq(0), Totals::new()), |read| (read.seq, read.totals));
        assert_eq!(account.sum(), cursor.get());
        let until = if producers.is_empty() { last } else { last.min(cursor.plus(40)) };
        while cursor < until {
            let record = node.record(&channel).await;
            if record.to <= cursor {
                continue;
            }
            assert_eq!(record.from, cursor.next(), "no hole, and no record straddles the snapshot");
            account.add_all(&record.counts);
            cursor = record.to;
        }
        assert_eq!(account.sum(), cursor.get());
        if cursor == last {
            assert_eq!(account, node.existing(&channel).await.totals);
        }
        attached += 1;
    }
}

pub async fn counts_only_carries_why_and_state(fixture: &impl Fixture) {
    let channel = fixture.channel("counts");
    let mut node = Node::listening(fixture, &channel).await;
    node.publish(events(&channel, &["a"])).await;
    node.record(&channel).await;
    for (why, to) in [(Why::Unheard, 8), (Why::Upstream, 15)] {
        let told = [("a", 4), ("done", 3)];
        let data = format!("{{\"to\" : {to}}}");
        let result = node.publish(counts(&channel, &told, why, Some(state("done", &data)))).await;
        assert_eq!(span(&result), (to - 6, to));
        let record = node.record(&channel).await;
        assert_eq!((record.from, record.to, &record.counts), (result.from, result.to, &totals(&told)));
        let Body::Counts { why: got, state: Some(kept) } = record.body else { panic!("expected counts") };
        assert_eq!((got, kept.seq, kept.kind.as_str()), (why, seq(to), "done"));
        assert_eq!(kept.data.as_str(), data);
        assert_eq!(node.existing(&channel).await.state, Some(kept));
    }
    node.publish(counts(&channel, &[("a", 1)], Why::Unheard, None)).await;
    let record = node.record(&channel).await;
    assert_eq!(record.body, Body::Counts { why: Why::Unheard, state: None });
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.seq, snapshot.totals), (seq(16), totals(&[("a", 10), ("done", 6)])));
    assert_eq!(snapshot.state.map(|state| state.seq), Some(seq(15)), "the newest state stays");
}

pub async fn heard_follows_subscriptions(fixture: &impl Fixture) {
    let channel = fixture.channel("heard");
    let publisher = Node::open(fixture).await;
    let (one, two) = (Node::open(fixture).await, Node::open(fixture).await);
    // So many that some share whatever part of the broker the channel is in.
    let elsewhere = (0..500).map(|n| fixture.channel(&format!("elsewhere-{n}"))).collect();
    one.link.subscribe(elsewhere).await.expect("the broker is there");
    let heard = async || publisher.publish(events(&channel, &["a"])).await.heard;
    assert_eq!(heard().await, Heard::No);
    one.subscribe(&channel).await;
    assert_eq!(heard().await, Heard::Yes);
    two.subscribe(&channel).await;
    one.unsubscribe(&channel).await;
    assert_eq!(heard().await, Heard::Yes, "one node is left");
    two.unsubscribe(&channel).await;
    assert_eq!(heard().await, Heard::No);
    two.unsubscribe(&channel).await;
    assert_eq!(heard().await, Heard::No);
}

pub async fn an_unsubscribed_node_gets_nothing(fixture: &impl Fixture) {
    let (channel, kept) = (fixture.channel("gone"), fixture.channel("kept"));
    let mut node = Node::listening(fixture, &channel).await;
    node.subscribe(&kept).await;
    let mut never = Node::open(fixture).await;
    node.publish(events(&channel, &["a"])).await;
    node.record(&channel).await;
    node.unsubscribe(&channel).await;
    node.publish(events(&channel, &["a"])).await;
    node.publish(events(&kept, &["a"])).await;
    node.record(&kept).await;
    node.expect_silence(fixture).await;
    node.subscribe(&channel).await;
    node.publish(events(&channel, &["a"])).await;
    assert_eq!(node.record(&channel).await.from, seq(3));
    never.expect_silence(fixture).await;
}

pub async fn a_channel_subscribed_twice_arrives_once(fixture: &impl Fixture) {
    let channel = fixture.channel("twice");
    let mut node = Node::listening(fixture, &channel).await;
    node.link.subscribe(vec![channel.clone(), channel.clone()]).await.expect("the broker is there");
    node.publish(events(&channel, &["a"])).await;
    node.record(&channel).await;
    node.expect_silence(fixture).await;
    node.unsubscribe(&channel).await;
    let heard = node.publish(events(&channel, &["a"])).await.heard;
    assert_eq!(heard, Heard::No, "one unsubscribe ends it");
}

pub async fn a_channel_without_events_has_no_snapshot(fixture: &impl Fixture) {
    let channel = fixture.channel("nothing");
    let node = Node::listening(fixture, &channel).await;
    assert_eq!(node.snapshot(&channel).await, None);
    let published = node.publish(events(&channel, &["a"])).await;
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.epoch, snapshot.seq), (published.epoch, seq(1)));
    assert_eq!(
        snapshot.totals.iter().map(|(kind, n)| (kind.clone(), n)).collect::<Vec<_>>(),
        [(Kind::new("a").expect("a valid kind"), 1)]
    );
}

pub async fn an_audit_answers_in_the_order_asked(fixture: &impl Fixture) {
    let names = ["audit-0", "audit-1", "audit-2", "audit-3", "audit-4"];
    let channels = names.map(|name| fixture.channel(name));
    let node = Node::open(fixture).await;
    let mut heads = Vec::new();
    for (n, channel) in channels.iter().enumerate() {
        // The third has no events.
        let mut head = None;
        for _ in 0..(if n == 2 { 0 } else { n + 1 }) {
            let published = node.publish(events(channel, &["a"])).await;
            head = Some(Head { epoch: published.epoch, seq: published.to });
        }
        heads.push(head);
    }
    let order = [4, 2, 0, 3, 0, 1];
    let asked = order.map(|n| channels[n].clone()).to_vec();
    let expected: Vec<_> = order.iter().map(|n| heads[*n].clone()).collect();
    assert_eq!(node.link.audit(asked).await, Ok(expected));
    assert_eq!(node.link.audit(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(node.snapshot(&channels[2]).await, None, "an audit starts no channel");
}
