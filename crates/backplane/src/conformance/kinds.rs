//! Cases on the 65th kind: folded into `_other`, flagged, and folded for good.

use super::Fixture;
use super::stage::{Node, batch, bulk, counts, events, seq, state, totals};
use crate::Publish;
use std::collections::BTreeSet;
use std::sync::Arc;
use tally_protocol::{Body, CHANNEL_KINDS_MAX, ChannelName, Kind, Record, Why};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn names(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

/// One event of each kind.
fn one_each(channel: &ChannelName, names: &[String]) -> Publish {
    batch(channel, names.iter().map(|name| bulk(name, "{}")).collect())
}

/// A channel whose 64 places are taken, by `k0` to `k63`; its one record is taken from the stream.
async fn full_channel(fixture: &impl Fixture, name: &str) -> (Node, ChannelName) {
    let channel = fixture.channel(name);
    let mut node = Node::listening(fixture, &channel).await;
    node.publish(one_each(&channel, &names("k", CHANNEL_KINDS_MAX))).await;
    node.record(&channel).await;
    (node, channel)
}

/// For each event its kind as tallied, and as sent where that differs.
fn kinds_of(record: &Record) -> Vec<(&str, Option<&str>)> {
    let Body::Events(events) = &record.body else { panic!("expected events") };
    events.iter().map(|event| (event.kind.as_str(), event.sent_as.as_ref().map(Kind::as_str))).collect()
}

pub async fn the_65th_kind_from_two_producers_is_folded(fixture: &impl Fixture) {
    let channel = fixture.channel("65th");
    let mut node = Node::listening(fixture, &channel).await;
    let mut producers = JoinSet::new();
    let start = Arc::new(Barrier::new(2));
    for prefix in ["a", "b"] {
        let (link, channel, start) = (node.link.clone(), channel.clone(), start.clone());
        producers.spawn(async move {
            start.wait().await;
            for name in names(prefix, 40).iter().chain(&names(prefix, 40)) {
                link.publish(events(&channel, &[name])).await.expect("the broker accepts this batch");
            }
        });
    }
    producers.join_all().await;
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.seq, snapshot.totals.sum()), (seq(160), 160));
    assert_eq!(snapshot.totals.len(), CHANNEL_KINDS_MAX + 1, "64 kinds and _other");
    assert_eq!(snapshot.totals.get("_other"), 2 * (80 - 64));
    let mut folded = BTreeSet::new();
    for _ in 0..160 {
        let record = node.record(&channel).await;
        let (tallied, sent_as) = kinds_of(&record)[0];
        assert_eq!(record.counts.get(tallied), 1);
        assert_eq!(tallied == "_other", sent_as.is_some());
        match sent_as {
            Some(name) => _ = folded.insert(name.to_owned()),
            None => assert_eq!(snapshot.totals.get(tallied), 2, "{tallied} kept its place"),
        }
    }
    assert_eq!(folded.len(), 80 - 64);
    assert!(folded.iter().all(|name| snapshot.totals.get(name) == 0));
}

pub async fn a_folded_kind_stays_folded(fixture: &impl Fixture) {
    let (mut node, channel) = full_channel(fixture, "folded").await;
    for round in 1..=3 {
        node.publish(events(&channel, &["late", "k0", "later", "late", "k63"])).await;
        let record = node.record(&channel).await;
        let expected = [
            ("_other", Some("late")),
            ("k0", None),
            ("_other", Some("later")),
            ("_other", Some("late")),
            ("k63", None),
        ];
        assert_eq!(kinds_of(&record), expected);
        assert_eq!(record.counts, totals(&[("_other", 3), ("k0", 1), ("k63", 1)]));
        let snapshot = node.existing(&channel).await;
        assert_eq!(snapshot.totals.len(), CHANNEL_KINDS_MAX + 1);
        let got = ["_other", "k0", "k1", "k63"].map(|name| snapshot.totals.get(name));
        assert_eq!(got, [3 * round, 1 + round, 1, 1 + round]);
    }
}

pub async fn kinds_are_folded_within_one_batch(fixture: &impl Fixture) {
    let channel = fixture.channel("within");
    let mut node = Node::listening(fixture, &channel).await;
    // Two records: 300 kinds, then each of them again.
    let twice = [names("k", 300), names("k", 300)].concat();
    node.publish(one_each(&channel, &twice)).await;
    let mut sent = twice.iter();
    for _ in 0..3 {
        let record = node.record(&channel).await;
        for (tallied, sent_as) in kinds_of(&record) {
            let name = sent.next().expect("no more events than were sent");
            let keeps = name[1..].parse::<usize>().is_ok_and(|i| i < CHANNEL_KINDS_MAX);
            let expected = if keeps { (name.as_str(), None) } else { ("_other", Some(name.as_str())) };
            assert_eq!((tallied, sent_as), expected);
        }
    }
    let snapshot = node.existing(&channel).await;
    assert_eq!(snapshot.totals.len(), CHANNEL_KINDS_MAX + 1);
    assert_eq!((snapshot.totals.get("k63"), snapshot.totals.get("_other")), (2, 2 * (300 - 64)));
}

pub async fn a_folded_state_event_says_what_it_was_sent_as(fixture: &impl Fixture) {
    let (mut node, channel) = full_channel(fixture, "folded-state").await;
    node.publish(batch(&channel, vec![state("done", "7"), bulk("k0", "8")])).await;
    let kept = node.existing(&channel).await.state.expect("a state event was published");
    assert_eq!((kept.seq, kept.kind.as_str()), (seq(65), "_other"));
    assert_eq!((kept.sent_as.as_ref().map(Kind::as_str), kept.data.as_str()), (Some("done"), "7"));
    assert_eq!(node.record(&channel).await.state(), Some(kept), "the record and the snapshot agree");
}

pub async fn counts_of_too_many_kinds_are_folded(fixture: &impl Fixture) {
    let (mut node, channel) = full_channel(fixture, "folded-counts").await;
    let told = [("k1", 5), ("new", 2), ("newer", 3)];
    node.publish(counts(&channel, &told, Why::Upstream, Some(state("newer", "1")))).await;
    let record = node.record(&channel).await;
    assert_eq!(record.counts, totals(&[("_other", 5), ("k1", 5)]));
    let snapshot = node.existing(&channel).await;
    assert_eq!((snapshot.totals.get("_other"), snapshot.totals.get("k1")), (5, 6));
    assert_eq!((snapshot.seq, snapshot.totals.sum()), (seq(74), 74));
    let kept = snapshot.state.expect("a state event came with the counts");
    assert_eq!((kept.seq, kept.sent_as.as_ref().map(Kind::as_str)), (seq(74), Some("newer")));
    assert_eq!(record.state(), Some(kept));
}
