//! What breaks continuity, and what does not.

use crate::stage::{Stage, after, snapshot, state, under, wish};
use tally_fanout::{ConnId, HubLimits};
use tally_protocol::{Rung, Snapshot, SubscribeChannel};

/// A client at full that has seen events 1 to 10.
fn stage() -> (Stage, ConnId) {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    stage.record("a", "e", 1, 5, 1);
    stage.record("a", "e", 6, 5, 1);
    stage.pull(conn);
    stage.requests();
    (stage, conn)
}

#[test]
fn a_hole_waits_for_a_snapshot_and_what_fills_it_is_taken() {
    let (mut stage, conn) = stage();
    stage.record("a", "e", 13, 1, 1);
    assert!(stage.pull(conn).is_empty());
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.record("a", "e", 15, 1, 1);
    stage.record("a", "e", 11, 2, 1);
    assert_eq!(stage.pull(conn), ["events a e 11-12", "events a e 13-13"]);
    stage.snapshot("a", Some(snapshot("e", 14)), 1);
    assert_eq!(stage.pull(conn), ["counts a e 14 upstream", "events a e 15-15"]);
    assert!(stage.requests().is_empty());
}

#[test]
fn a_snapshot_older_than_a_message_that_waits_brings_the_next_read() {
    let (mut stage, conn) = stage();
    stage.record("a", "e", 12, 1, 1);
    stage.requests();
    stage.snapshot("a", Some(snapshot("e", 10)), 0);
    assert!(stage.pull(conn).is_empty());
    assert!(stage.requests().is_empty(), "one is on its way");
    stage.snapshot("a", Some(snapshot("e", 10)), 1);
    assert!(stage.requests().is_empty(), "a surely newer one does not know the message: it is dropped");
    stage.record("a", "e", 11, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 11-11"]);
}

#[test]
fn a_message_of_another_epoch_is_read_for_once() {
    let (mut stage, conn) = stage();
    stage.record("a", "other", 3, 1, 1);
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.record("a", "e", 11, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 11-11"], "those that follow do not wait");
    stage.snapshot("a", Some(snapshot("e", 11)), 1);
    assert!(stage.requests().is_empty());
    assert_eq!(stage.hub.audit().channels[0].held_bytes, 0);
}

#[test]
fn one_that_straddles_the_position_is_dropped_and_read_for() {
    let (mut stage, conn) = stage();
    stage.record("a", "e", 9, 5, 1);
    assert!(stage.pull(conn).is_empty());
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.record("a", "e", 1, 10, 1);
    assert!(stage.requests().is_empty(), "an old one is nothing");
}

#[test]
fn more_kinds_than_a_channel_can_have_are_of_no_use() {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    stage.requests();
    stage.kinds("a", "e", 1, 0..64);
    stage.kinds("a", "e", 65, 0..65);
    assert_eq!(
        stage.pull(conn),
        ["counts a e 64 upstream", "counts a e 129 upstream"],
        "`_other` has a place as well"
    );
    stage.kinds("a", "e", 130, 65..66);
    assert!(stage.pull(conn).is_empty());
    assert_eq!(stage.hub.counters().misfits, 1);
    assert_eq!(stage.requests(), ["reread a 1"]);
}

#[test]
fn too_much_that_waits_is_dropped_and_read_again() {
    let limits = HubLimits { waiting_bytes_max: 1_000, ..HubLimits::default() };
    let (mut stage, conn) = Stage::with_client(limits, wish("a"));
    for at in 2..10 {
        stage.record("a", "e", at, 1, 300);
    }
    assert_eq!(stage.hub.counters().waiting_overflows, 7, "each next one drops the one that waits");
    let newest = stage.requests().len() as u64;
    stage.snapshot("a", Some(snapshot("e", 9)), newest);
    assert_eq!(stage.pull(conn), ["counts a e 9 upstream"]);
}

#[test]
fn an_older_snapshot_of_the_same_epoch_is_ignored() {
    let (mut stage, conn) = stage();
    stage.snapshot("a", Some(snapshot("e", 4)), 9);
    assert!(stage.pull(conn).is_empty());
    stage.record("a", "e", 11, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 11-11"]);
}

#[test]
fn only_a_surely_newer_snapshot_breaks_continuity() {
    for newer in [None, Some(snapshot("f", 3))] {
        let (mut stage, conn) = stage();
        stage.snapshot("a", newer.clone(), 0);
        assert!(stage.pull(conn).is_empty());
        assert_eq!(stage.requests(), ["reread a 1"]);
        stage.record("a", "e", 11, 1, 1);
        stage.snapshot("a", newer.clone(), 1);
        assert_eq!(stage.pull(conn), ["events a e 11-11"]);
        assert_eq!(stage.requests(), ["reread a 2"]);
        stage.snapshot("a", newer.clone(), 2);
        let expected = if newer.is_none() { "reset a - 0" } else { "reset a f 3" };
        assert_eq!(stage.pull(conn), [expected]);
    }
}

#[test]
fn totals_that_cannot_follow_are_another_channel() {
    let (mut stage, conn) = stage();
    let other = tally_protocol::Kind::new("other").unwrap();
    let newer = Snapshot { totals: [(&other, 12)].into_iter().collect(), ..snapshot("e", 12) };
    stage.snapshot("a", Some(newer.clone()), 0);
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.snapshot("a", Some(newer), 1);
    assert_eq!(stage.pull(conn), ["reset a e 12"]);
}

#[test]
fn the_first_epoch_needs_no_reset() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, wish("a"));
    stage.snapshot("a", None, 0);
    assert_eq!(stage.pull(conn), ["subscribed a - 0"]);
    stage.record("a", "e", 1, 1, 1);
    stage.record("a", "e", 2, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-1", "events a e 2-2"]);
}

#[test]
fn a_channel_that_begins_unseen_is_a_gap() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, wish("a"));
    stage.snapshot("a", None, 0);
    stage.pull(conn);
    stage.snapshot("a", Some(snapshot("e", 4)), 0);
    assert_eq!(stage.pull(conn), ["counts a e 4 upstream"]);
}

#[test]
fn under_prev_cursors_up_to_there_go_on_and_the_others_are_reset() {
    let (mut stage, conn) = stage();
    let behind = stage.connect();
    stage.subscribe(behind, after("a", "e", 5));
    assert_eq!(stage.pull_one(behind).as_deref(), Some("resumed a e 5"));
    let counts = stage.connect();
    stage.subscribe(counts, SubscribeChannel { rung: Rung::Counts, ..after("a", "e", 3) });
    stage.pull(counts);
    let newest = Snapshot { state: Some(state(7)), ..under("f", 7, "e", 5) };
    stage.snapshot("a", Some(newest), 0);
    assert_eq!(stage.pull(conn), ["reset a f 7 state 7"]);
    assert_eq!(stage.pull(behind), ["counts a f 7 upstream state 7"]);
    stage.pass(250);
    assert_eq!(stage.pull(counts), ["counts a f 7 asked state 7"]);
    stage.record("a", "e", 11, 1, 1);
    assert!(stage.requests().is_empty(), "late ones of the epoch before are nothing");
    stage.record("a", "f", 8, 1, 1);
    assert_eq!(stage.pull(conn), ["events a f 8-8"]);
}

#[test]
fn a_take_back_exactly_to_prev_tells_those_who_were_behind() {
    let (mut stage, conn) = stage();
    let counts = stage.connect();
    stage.subscribe(counts, SubscribeChannel { rung: Rung::Counts, ..after("a", "e", 3) });
    stage.pull(counts);
    stage.snapshot("a", Some(under("f", 5, "e", 5)), 0);
    stage.pass(250);
    assert_eq!(stage.pull(counts), ["counts a f 5 asked"]);
    assert_eq!(stage.pull(conn), ["reset a f 5"]);
}

#[test]
fn a_take_back_to_where_the_log_knows_nothing_is_one_jump() {
    for at in [3, 9] {
        let (mut stage, conn) = stage();
        let behind = stage.connect();
        stage.subscribe(behind, after("a", "e", 2));
        assert_eq!(stage.pull_one(behind).as_deref(), Some("resumed a e 2"));
        // Not at the end of a record: nothing in the log can be split there.
        stage.snapshot("a", Some(under("f", at, "e", 3)), 0);
        assert_eq!(stage.pull(behind), [format!("counts a f {at} upstream")]);
        assert_eq!(stage.pull(conn), [format!("reset a f {at}")]);
        stage.record("a", "f", at + 1, 1, 1);
        assert_eq!(stage.pull(behind), [format!("events a f {}-{}", at + 1, at + 1)]);
    }
}

#[test]
fn any_other_prev_is_a_reset() {
    for (of, at, prev, prev_seq) in [("g", 12, "f", 11), ("f", 3, "e", 5)] {
        let (mut stage, conn) = stage();
        let newest = stage.requests().len() as u64;
        stage.snapshot("a", Some(under(of, at, prev, prev_seq)), newest);
        stage.requests();
        stage.snapshot("a", Some(under(of, at, prev, prev_seq)), newest + 1);
        assert_eq!(stage.pull(conn), [format!("reset a {of} {at}")]);
    }
}

#[test]
fn a_failover_to_nothing_at_all_is_nothing_to_tell() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    stage.subscribe(conn, wish("a"));
    stage.snapshot("a", None, 0);
    stage.pull(conn);
    stage.snapshot("a", Some(under("f", 0, "e", 0)), 0);
    assert!(stage.pull(conn).is_empty());
    stage.record("a", "f", 1, 1, 1);
    assert_eq!(stage.pull(conn), ["events a f 1-1"]);
}

#[test]
fn a_replay_across_epochs_says_the_epoch_of_each_part() {
    let (mut stage, _) = stage();
    stage.snapshot("a", Some(under("f", 12, "e", 10)), 0);
    stage.record("a", "f", 13, 1, 1);
    let conn = stage.connect();
    stage.subscribe(conn, after("a", "e", 2));
    let expected = [
        "resumed a e 2",
        "counts a e 5 replay",
        "events a e 6-10",
        "counts a f 12 upstream",
        "events a f 13-13",
    ];
    assert_eq!(stage.pull(conn), expected);
    let late = stage.connect();
    stage.subscribe(late, SubscribeChannel { last: Some(1), ..wish("a") });
    assert_eq!(stage.pull(late), ["subscribed a f 12", "events a f 13-13"]);
}

#[test]
fn reads_of_a_later_life_are_not_answered_by_those_of_an_earlier_one() {
    let (mut stage, conn) = stage();
    stage.record("a", "e", 12, 1, 1);
    assert_eq!(stage.requests(), ["reread a 1"]);
    stage.hub.handle_disconnect(stage.time(), conn);
    stage.pass(10_000);
    let conn = stage.connect();
    stage.subscribe(conn, wish("a"));
    assert_eq!(stage.requests(), ["unwatch a", "watch a"]);
    stage.snapshot("a", Some(snapshot("e", 12)), 1);
    assert_eq!(stage.pull(conn), ["subscribed a e 12"]);
    stage.record("a", "e", 14, 1, 1);
    assert_eq!(stage.requests(), ["reread a 2"]);
}
