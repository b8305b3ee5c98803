//! The token buckets of a subscription and of a connection.

use crate::stage::{Stage, seconds, wish};
use tally_fanout::HubLimits;
use tally_protocol::{Rung, SubscribeChannel};

fn limits() -> HubLimits {
    HubLimits::default()
}

fn at_rate(rate: u64) -> SubscribeChannel {
    SubscribeChannel { max_rate: Some(rate), ..wish("a") }
}

#[test]
fn what_the_bucket_cannot_pay_is_counted_and_the_rung_told_before_it() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.record("a", "e", 1, 20, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-20"]);
    stage.record("a", "e", 21, 1, 1);
    assert_eq!(stage.pull(conn), ["rung a counts throttled"]);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 21 throttled"]);
    stage.pass(1_749);
    assert!(stage.pull(conn).is_empty(), "two seconds at least");
    stage.pass(1);
    assert_eq!(stage.pull(conn), ["rung a full throttled"]);
    stage.record("a", "e", 22, 20, 1);
    assert_eq!(stage.pull(conn), ["events a e 22-41"]);
}

#[test]
fn a_record_above_the_burst_is_always_counted() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.pass(60_000);
    stage.record("a", "e", 1, 21, 1);
    assert_eq!(stage.pull(conn), ["rung a counts throttled"]);
}

#[test]
fn it_stays_throttled_while_more_comes_than_its_rate() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.record("a", "e", 1, 21, 1);
    stage.pull(conn);
    for second in 0..10 {
        stage.pass(1_000);
        stage.record("a", "e", 22 + 15 * second, 15, 1);
        assert!(!stage.pull(conn).iter().any(|line| line.starts_with("rung")), "second {second}");
    }
    // At half its rate, the bucket fills in twice the time.
    for second in 0..3 {
        stage.pass(1_000);
        stage.record("a", "e", 172 + 5 * second, 5, 1);
        assert!(!stage.pull(conn).iter().any(|line| line.starts_with("rung")), "second {second}");
    }
    stage.pass(3_000);
    assert!(stage.pull(conn).contains(&"rung a full throttled".into()));
}

#[test]
fn of_a_short_connection_the_busiest_goes_first() {
    let limits = HubLimits { connection_max_rate: 10, ..limits() };
    let (mut stage, conn) = Stage::with_client(limits, wish("a"));
    stage.subscribe(conn, wish("b"));
    stage.snapshot("b", Some(crate::stage::snapshot("e", 0)), 0);
    stage.pull(conn);
    stage.record("a", "e", 1, 19, 1);
    stage.record("b", "e", 1, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-19", "events b e 1-1"]);
    stage.record("b", "e", 2, 1, 1);
    assert_eq!(stage.pull(conn), ["events b e 2-2", "rung a counts throttled"]);
    stage.pass(1_000);
    // The bucket of the connection, not its own, is what it waits for.
    stage.record("a", "e", 20, 1, 1);
    stage.pass(60_000);
    assert_eq!(stage.pull(conn), ["rung a full throttled", "events a e 20-20"]);
}

#[test]
fn it_stays_throttled_while_the_connection_has_no_room_for_it() {
    let limits = HubLimits { connection_max_rate: 100, ..limits() };
    let (mut stage, conn) = Stage::with_client(limits, wish("a"));
    stage.subscribe(conn, SubscribeChannel { max_rate: Some(60), ..wish("b") });
    stage.snapshot("b", Some(crate::stage::snapshot("e", 0)), 0);
    stage.pull(conn);
    stage.record("b", "e", 1, 121, 1);
    stage.pull(conn);
    let (mut a, mut b) = (1, 122);
    let mut second = |stage: &mut Stage, events: u64| {
        stage.record("a", "e", a, 80, 1);
        stage.record("b", "e", b, events, 1);
        (a, b) = (a + 80, b + events);
        stage.pass(1_000);
        stage.pull(conn)
    };
    for at in 0..20 {
        // Its own bucket is full after twelve seconds.
        assert!(!second(&mut stage, 50).contains(&"rung b full throttled".into()), "second {at}");
    }
    let lines: Vec<_> = (0..5).flat_map(|_| second(&mut stage, 5)).collect();
    assert!(lines.contains(&"rung b full throttled".into()), "{lines:?}");
}

#[test]
fn a_gap_costs_as_much_as_one_event() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(1));
    stage.gap("a", "e", 1, 1_000, tally_protocol::Why::Unheard);
    stage.gap("a", "e", 1_001, 1_000, tally_protocol::Why::Unheard);
    stage.gap("a", "e", 2_001, 1_000, tally_protocol::Why::Unheard);
    let expected = ["counts a e 1000 unheard", "counts a e 2000 unheard", "rung a counts throttled"];
    assert_eq!(stage.pull(conn), expected);
}

#[test]
fn changing_the_rate_to_and_fro_gains_nothing() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.record("a", "e", 1, 20, 1);
    stage.pull(conn);
    for rate in [1_000, 10, 1_000] {
        stage.max_rate(conn, "a", rate);
    }
    stage.record("a", "e", 21, 1, 1);
    assert_eq!(stage.pull(conn), ["rung a counts throttled"]);
    stage.max_rate(conn, "a", 100);
    stage.pass(1_999);
    assert_eq!(stage.pull(conn), ["counts a e 21 throttled"]);
    stage.pass(1);
    assert_eq!(stage.pull(conn), ["rung a full throttled"]);
}

#[test]
fn a_full_bucket_stays_full_at_another_rate() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.max_rate(conn, "a", 100);
    stage.record("a", "e", 1, 200, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-200"]);
    stage.pass(10_000);
    stage.max_rate(conn, "a", 10);
    stage.record("a", "e", 201, 21, 1);
    assert_eq!(stage.pull(conn), ["rung a counts throttled"]);
}

#[test]
fn waiting_at_counts_by_choice_does_not_evade_the_rate() {
    let (mut stage, conn) = Stage::with_client(limits(), at_rate(10));
    stage.rung(conn, Some("a"), Rung::Counts);
    stage.pull(conn);
    stage.record("a", "e", 1, 20, 1);
    stage.record("a", "e", 21, 20, 1);
    stage.rung(conn, Some("a"), Rung::Full);
    // It asked for counts and again for full before a tick: the log is there, and is charged.
    assert_eq!(stage.pull(conn), ["rung a full asked", "events a e 1-20", "rung a counts throttled"]);
}

#[test]
fn catching_up_after_the_throttle_is_charged_to_nothing() {
    let wish = SubscribeChannel { tick_ms: tally_protocol::TickMs::Ms5000, ..at_rate(10) };
    let (mut stage, conn) = Stage::with_client(HubLimits { grace: seconds(1), ..limits() }, wish);
    stage.record("a", "e", 1, 21, 1);
    stage.pull(conn);
    stage.pass(2_000);
    assert_eq!(stage.pull(conn), ["rung a full throttled", "events a e 1-21"]);
    stage.record("a", "e", 22, 20, 1);
    assert_eq!(stage.pull(conn), ["events a e 22-41"]);
}
