//! What operators see of a hub: few, chosen by size, whatever there is in all.

use crate::stage::{Stage, channel, snapshot, wish};
use tally_fanout::HubLimits;
use tally_protocol::{Rung, SubscribeChannel, Why};

#[test]
fn rates_are_those_between_two_looks() {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    let now = stage.time();
    stage.hub.look(now);
    stage.record("a", "e", 1, 6, 100);
    stage.gap("a", "e", 7, 4, Why::Unheard);
    while stage.pull_one(conn).is_some() {}
    stage.pass(2_000);
    let now = stage.time();
    stage.hub.look(now);
    let view = stage.hub.channel_view(&channel("a")).unwrap();
    assert_eq!((view.seq.get(), view.listeners), (10, [0, 0, 1]));
    let flow = view.flow;
    assert_eq!((flow.events, flow.full_events, flow.counted_events), (5, 3, 2));
    assert_eq!(flow.in_bytes, 6 * 102 / 2, "data only");
    assert!(flow.out_bytes > flow.in_bytes);
    stage.pass(1_000);
    let now = stage.time();
    stage.hub.look(now);
    assert_eq!(stage.hub.channel_view(&channel("a")).unwrap().flow, tally_fanout::Flow::default());
}

#[test]
fn top_channels_are_those_of_each_criterion_and_no_more() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    for n in 0..300 {
        stage.subscribe(conn, wish(&format!("c{n}")));
        stage.snapshot(&format!("c{n}"), Some(snapshot("e", 0)), 0);
    }
    let other = stage.connect();
    stage.subscribe(other, wish("c77"));
    stage.subscribe(other, SubscribeChannel { rung: Rung::Counts, ..wish("c5") });
    for conn in [conn, other] {
        stage.pull(conn);
    }
    stage.record("c9", "e", 1, 50, 1);
    stage.record("c8", "e", 1, 1, 90_000);
    stage.record("c5", "e", 1, 2, 1);
    stage.record("c77", "e", 1, 1, 1);
    stage.pass(1_000);
    for conn in [conn, other] {
        while stage.pull_one(conn).is_some() {}
    }
    let now = stage.time();
    stage.hub.look(now);
    let top: Vec<_> = stage.hub.top_channels(1).iter().map(ToString::to_string).collect();
    for wanted in ["c9", "c8", "c5"] {
        assert!(top.contains(&wanted.to_owned()), "{wanted}: {top:?}");
    }
    assert!(top.len() <= 4, "{top:?}");
    assert!(stage.hub.top_channels(13).len() <= 52);
    let found: Vec<_> = stage.hub.find_channels("c7", 5).iter().map(ToString::to_string).collect();
    assert_eq!((found.len(), found[0].as_str()), (5, "c77"));
}

#[test]
fn the_slowest_connection_comes_first_with_its_rungs() {
    let (mut stage, slow) = Stage::with_client(HubLimits::default(), wish("a"));
    let calm = stage.connect();
    stage.subscribe(calm, wish("a"));
    stage.pull(calm);
    let now = stage.time();
    stage.hub.look(now);
    stage.block(slow);
    stage.record("a", "e", 1, 1, 1);
    stage.record("a", "e", 2, 1, 1);
    stage.pass(700);
    let now = stage.time();
    let slowest = stage.hub.slowest_connections(now, 1);
    assert_eq!((slowest.len(), slowest[0].id), (1, slow));
    assert_eq!(slowest[0].due_since.map(|since| now.since(since).as_millis()), Some(700));
    assert!(slowest[0].due_bytes > 0);
    stage.pass(300);
    let now = stage.time();
    let look = stage.hub.look(now);
    assert_eq!(look.connections, [1, 0, 1]);
    let view = stage.hub.connection_view(slow).unwrap();
    assert_eq!((view.standing.rung, view.standing.why), (Rung::Summary, Some(Why::Backpressure)));
    assert_eq!(stage.hub.past_standings(slow).len(), 1);
    let subscriptions = stage.hub.subscriptions_of(slow, 100);
    assert_eq!((subscriptions.len(), subscriptions[0].behind), (1, 2));
    // What is kept of its past is bounded.
    for round in 0..100 {
        stage.rung(calm, None, if round % 2 == 0 { Rung::Counts } else { Rung::Full });
        let now = stage.time();
        stage.hub.look(now);
    }
    assert_eq!(stage.hub.past_standings(calm).len(), 31);
}
