//! Where a subscription starts.

use crate::stage::{Stage, after, snapshot, under, wish};
use tally_fanout::{ConnId, HubLimits};
use tally_protocol::{Rung, SubscribeChannel, UnixMs, UpstreamStatus, Why};

/// Ten records of ten events, a gap of 10, and two more.
fn stage() -> Stage {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    for ten in 0..10 {
        stage.record("a", "e", ten * 10 + 1, 10, 1);
    }
    stage.gap("a", "e", 101, 10, Why::Upstream);
    stage.record("a", "e", 111, 10, 1);
    stage.record("a", "e", 121, 10, 1);
    stage.pull(conn);
    stage.requests();
    stage
}

fn lines(stage: &mut Stage, wish: SubscribeChannel) -> (ConnId, Vec<String>) {
    let conn = stage.connect();
    stage.subscribe(conn, wish);
    let lines = stage.pull(conn);
    (conn, lines)
}

#[test]
fn last_attaches_before_the_record_that_holds_the_nth_newest_event() {
    for (last, at) in [(1, 120), (10, 120), (11, 110), (20, 110), (1_000, 110)] {
        let (_, lines) = lines(&mut stage(), SubscribeChannel { last: Some(last), ..wish("a") });
        assert_eq!(lines[0], format!("subscribed a e {at}"), "last {last}");
        assert_eq!(lines.last().unwrap(), "events a e 121-130");
    }
}

#[test]
fn last_goes_back_to_the_beginning_of_the_log() {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    stage.record("a", "e", 1, 2, 1);
    stage.record("a", "e", 3, 2, 1);
    stage.pull(conn);
    let (_, lines) = lines(&mut stage, SubscribeChannel { last: Some(4), ..wish("a") });
    assert_eq!(lines, ["subscribed a e 0", "events a e 1-2", "events a e 3-4"]);
}

#[test]
fn a_resume_replays_what_the_log_has_with_gaps_in_place() {
    let (_, got) = lines(&mut stage(), after("a", "e", 80));
    let expected = [
        "resumed a e 80",
        "events a e 81-90",
        "events a e 91-100",
        "counts a e 110 upstream",
        "events a e 111-120",
        "events a e 121-130",
    ];
    assert_eq!(got, expected);
    let (_, got) = lines(&mut stage(), after("a", "e", 105));
    assert_eq!(got[..2], ["resumed a e 105", "counts a e 110 upstream"]);
    let (_, got) = lines(&mut stage(), after("a", "e", 95));
    assert_eq!(got[..3], ["resumed a e 95", "counts a e 100 replay", "counts a e 110 upstream"]);
    let (_, got) = lines(&mut stage(), after("a", "e", 130));
    assert_eq!(got, ["resumed a e 130"]);
}

#[test]
fn a_replay_is_the_newest_thousand_events_after_one_counts_frame() {
    for from in [0, 1, 37] {
        let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
        for record in 0..30 {
            stage.record_with("a", "e", record * 100 + 1, 100, 1, Some(record * 100 + 5));
        }
        stage.pull(conn);
        let (_, got) = lines(&mut stage, after("a", "e", from));
        assert_eq!(got[1], "counts a e 2000 replay state 1905");
        assert_eq!(got[2], "events a e 2001-2100");
        assert_eq!(got.len(), 12);
    }
}

#[test]
fn what_lies_before_a_hubs_first_snapshot_is_a_replay() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, after("a", "e", 5));
    stage.snapshot("a", Some(snapshot("e", 12)), 0);
    assert_eq!(stage.pull(conn), ["resumed a e 5", "counts a e 12 replay"]);
    assert_eq!(stage.hub.counters().gaps, [0; 6]);
}

#[test]
fn a_replay_that_a_lower_rung_cuts_short_leaves_no_hole() {
    let mut stage = stage();
    let conn = stage.connect();
    stage.subscribe(conn, SubscribeChannel { rung: Rung::Counts, ..after("a", "e", 95) });
    assert_eq!(stage.pull(conn), ["resumed a e 95"]);
    stage.rung(conn, Some("a"), Rung::Full);
    assert_eq!(stage.pull(conn), ["rung a full asked", "counts a e 130 asked"]);
}

#[test]
fn a_cursor_ahead_of_the_hub_waits_and_one_ahead_of_the_broker_is_reset() {
    let mut stage = stage();
    let (conn, got) = lines(&mut stage, after("a", "e", 140));
    assert!(got.is_empty());
    let (other, _) = lines(&mut stage, after("a", "e", 150));
    assert_eq!(stage.requests(), ["reread a 1"], "one read serves both");
    stage.snapshot("a", Some(snapshot("e", 130)), 0);
    assert!(stage.pull(conn).is_empty(), "that one was on its way before");
    stage.snapshot("a", Some(snapshot("e", 145)), 1);
    assert_eq!(stage.pull(conn)[0], "resumed a e 140");
    assert_eq!(stage.pull(other), ["subscribed a e 145", "reset a e 145"]);
}

#[test]
fn a_client_that_comes_while_the_first_snapshot_is_on_its_way_is_not_refused_by_it() {
    let mut stage = Stage::new(HubLimits::default());
    let first = stage.connect();
    stage.subscribe(first, wish("a"));
    assert_eq!(stage.requests(), ["watch a"]);
    let late = stage.connect();
    stage.subscribe(late, after("a", "e", 10));
    stage.snapshot("a", Some(snapshot("e", 5)), 0);
    assert!(stage.pull(late).is_empty());
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.snapshot("a", Some(snapshot("e", 12)), 1);
    assert_eq!(stage.pull(late), ["resumed a e 10", "counts a e 12 upstream"]);
}

#[test]
fn a_cursor_under_prev_goes_on_and_any_other_is_refused() {
    for (of, at, resumed) in [("e", 5, true), ("e", 6, false), ("d", 1, false), ("f", 8, true)] {
        let mut stage = Stage::new(HubLimits::default());
        let conn = stage.connect();
        stage.subscribe(conn, after("a", of, at));
        stage.snapshot("a", Some(under("f", 8, "e", 5)), 0);
        stage.pull(conn);
        stage.requests();
        stage.snapshot("a", Some(under("f", 8, "e", 5)), 1);
        let got = stage.pull(conn);
        assert_eq!(got.iter().any(|line| line.starts_with("reset")), !resumed, "{of} {at}: {got:?}");
    }
}

#[test]
fn pending_is_told_once_and_only_while_the_broker_is_away() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, after("a", "e", 7));
    assert!(stage.pull(conn).is_empty());
    for status in [UpstreamStatus::Down, UpstreamStatus::Up] {
        let now = stage.time();
        stage.hub.handle_upstream(now, status, UnixMs::new(1));
        let got = stage.pull(conn);
        assert_eq!(got.contains(&"pending a".into()), status == UpstreamStatus::Down, "{got:?}");
    }
    // Unclear, so that a newer snapshot is awaited: it is pending still, and was told so.
    stage.snapshot("a", Some(snapshot("e", 5)), 0);
    let now = stage.time();
    stage.hub.handle_upstream(now, UpstreamStatus::Down, UnixMs::new(2));
    assert_eq!(stage.pull(conn), ["upstream Down"]);
}

#[test]
fn unsubscribed_says_where_the_cursor_was() {
    let mut stage = stage();
    let (conn, _) = lines(&mut stage, SubscribeChannel { rung: Rung::Counts, ..wish("a") });
    stage.record("a", "e", 131, 5, 1);
    stage.unsubscribe(conn, "a");
    stage.unsubscribe(conn, "a");
    assert_eq!(stage.pull(conn), ["unsubscribed a 130 130", "error not_subscribed"]);
    stage.subscribe(conn, wish("b"));
    stage.unsubscribe(conn, "b");
    assert_eq!(stage.pull(conn), ["unsubscribed b - -"]);
}

#[test]
fn a_channel_outlives_its_last_listener_by_the_grace_period() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, wish("a"));
    stage.unsubscribe(conn, "a");
    stage.pass(9_999);
    stage.subscribe(conn, wish("a"));
    stage.pass(60_000);
    assert_eq!(stage.requests(), ["watch a"]);
    stage.hub.handle_disconnect(stage.time(), conn);
    stage.pass(10_000);
    assert_eq!(stage.requests(), ["unwatch a"]);
    assert_eq!(stage.hub.audit().timers, 0);
}
