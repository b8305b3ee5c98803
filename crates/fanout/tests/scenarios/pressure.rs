//! What a socket does not take.

use crate::stage::{Stage, after, seconds, snapshot, state, wish};
use tally_fanout::HubLimits;
use tally_protocol::{Rung, SubscribeChannel};

fn stage() -> (Stage, tally_fanout::ConnId) {
    Stage::with_client(HubLimits::default(), wish("a"))
}

#[test]
fn the_first_record_due_never_trips_a_limit() {
    let (mut stage, conn) =
        Stage::with_client(HubLimits { due_bytes_max: 1_000, ..HubLimits::default() }, wish("a"));
    stage.block(conn);
    stage.record("a", "e", 1, 1, 100_000);
    stage.pass(60_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
    stage.record("a", "e", 2, 1, 10);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full), "beside the first, nothing is due");
    stage.record("a", "e", 3, 1, 1_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary));
}

#[test]
fn what_is_too_old_trips_it() {
    let (mut stage, conn) = stage();
    stage.block(conn);
    stage.record("a", "e", 1, 1, 1);
    stage.pass(500);
    stage.record("a", "e", 2, 1, 1);
    stage.pass(999);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
    stage.pass(1);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary));
    stage.drain(conn);
    assert_eq!(stage.pull(conn), ["rung * summary backpressure"]);
    stage.pass(1_000);
    assert_eq!(stage.pull(conn), ["summary backpressure: a 2"]);
}

#[test]
fn a_replay_is_charged_to_no_limit() {
    let (mut stage, first) = stage();
    for at in 1..=100 {
        stage.record("a", "e", at, 1, 100_000);
    }
    stage.pull(first);
    let conn = stage.connect();
    stage.subscribe(conn, after("a", "e", 90));
    assert_eq!(stage.pull_one(conn).as_deref(), Some("resumed a e 90"));
    stage.block(conn);
    stage.pass(60_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
    // What comes after it is due as ever.
    stage.record("a", "e", 101, 1, 1);
    stage.record("a", "e", 102, 1, 1);
    stage.pass(2_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary));
}

#[test]
fn age_counts_from_when_it_became_due_to_this_connection() {
    let wish = SubscribeChannel { rung: Rung::Summary, ..wish("a") };
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish);
    stage.record("a", "e", 1, 1, 1);
    stage.record("a", "e", 2, 1, 1);
    stage.pass(4_000);
    stage.rung(conn, Some("a"), Rung::Full);
    stage.block(conn);
    stage.pass(999);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
    stage.pass(1);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary));
}

#[test]
fn what_was_served_is_not_due() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    for name in ["a", "b"] {
        stage.subscribe(conn, SubscribeChannel { rung: Rung::Counts, ..wish(name) });
        stage.snapshot(name, Some(snapshot("e", 0)), 0);
    }
    stage.pull(conn);
    stage.record("a", "e", 1, 1, 1);
    stage.record("b", "e", 1, 1, 1);
    stage.pass(250);
    assert_eq!(stage.pull_one(conn).as_deref(), Some("counts a e 1 asked"));
    assert_eq!(stage.pull_one(conn).as_deref(), Some("counts b e 1 asked"));
    stage.block(conn);
    stage.pass(60_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
}

#[test]
fn it_climbs_one_rung_at_a_time_and_waits_longer_after_a_failure() {
    let (mut stage, conn) = stage();
    let (mut at, mut calm) = (1, 2_000);
    stage.press(conn, at);
    for _ in 0..7 {
        stage.pull(conn);
        // The calm period began when it was pressed, and again when a long block ended.
        stage.pass(calm - 1);
        assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary), "calm for {calm} ms");
        stage.pass(1);
        assert_eq!(stage.hub.pressed(conn), Some(Rung::Counts), "calm for {calm} ms");
        stage.pass(calm);
        assert_eq!(stage.hub.pressed(conn), Some(Rung::Full));
        let lines = stage.pull(conn);
        assert!(lines.contains(&"rung * full backpressure".into()), "{lines:?}");
        at += 2;
        stage.press(conn, at);
        calm = (calm * 2).min(60_000);
    }
    stage.pass(2 * calm);
    stage.pull(conn);
    stage.pass(60_000);
    stage.press(conn, at + 2);
    stage.pass(4_000);
    assert_eq!(
        stage.hub.pressed(conn),
        Some(Rung::Full),
        "held full for the longest calm period: from 2 s again"
    );
}

#[test]
fn a_socket_that_drains_slowly_is_not_calm() {
    let (mut stage, conn) = stage();
    stage.press(conn, 1);
    stage.pull(conn);
    stage.pass(1_500);
    stage.block(conn);
    stage.pass(250);
    stage.drain(conn);
    stage.pass(1_999);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary));
    stage.block(conn);
    stage.pass(1);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Summary), "not while it is blocked");
    stage.drain(conn);
    stage.pass(2_000);
    assert_eq!(stage.hub.pressed(conn), Some(Rung::Counts));
}

#[test]
fn a_summary_serves_the_longest_waiting_first_within_its_bytes() {
    let mut stage = Stage::new(HubLimits { due_age_max: seconds(1), ..HubLimits::default() });
    let conn = stage.connect();
    for name in ["a", "b", "c", "d"] {
        stage.subscribe(conn, SubscribeChannel { rung: Rung::Summary, ..wish(name) });
        stage.snapshot(name, Some(snapshot("e", 0)), 0);
    }
    stage.pull(conn);
    stage.block(conn);
    for name in ["c", "a", "d"] {
        stage.record_with(name, "e", 1, 1, 30_000, Some(1));
        stage.pass(5_000);
    }
    stage.record_with("b", "e", 1, 1, 70_000, Some(1));
    stage.pass(5_000);
    stage.drain(conn);
    let expected = [
        "summary asked: c 1 state 1, a 1 state 1",
        "summary asked: d 1 state 1",
        "summary asked: b 1 state 1",
    ];
    assert_eq!(stage.pull(conn), expected);
}

#[test]
fn a_summary_of_many_channels_is_as_long_as_it_may_be_and_no_longer() {
    let mut stage = Stage::new(HubLimits::default());
    let conn = stage.connect();
    for i in 0..400 {
        let name = format!("{i:0>195}");
        stage.subscribe(conn, SubscribeChannel { rung: Rung::Summary, ..wish(&name) });
        stage.snapshot(&name, Some(snapshot("e", 0)), 0);
    }
    stage.pull(conn);
    for i in 0..400 {
        stage.kinds(&format!("{i:0>195}"), "e", 1, 0..30);
    }
    stage.pass(5_000);
    let now = stage.time();
    let mut sizes = vec![];
    while let Some(tally_fanout::Output::Summary(frame)) = stage.hub.poll_output(now, conn) {
        sizes.push(tally_protocol::ServerFrame::Summary(*frame).encode().len());
    }
    assert!(sizes.iter().all(|size| *size <= tally_protocol::SUMMARY_BYTES_MAX), "{sizes:?}");
    // Each channel is reckoned with numbers of sixteen digits, which it could have.
    assert!(sizes.len() <= 7 && sizes[0] > 24_000, "{sizes:?}");
}

#[test]
fn a_cursor_that_fell_out_of_the_log_jumps_to_the_head() {
    let limits = HubLimits { log_events_max: 2, ..HubLimits::default() };
    let (mut stage, conn) = Stage::with_client(limits, wish("a"));
    stage.record("a", "e", 1, 1, 1);
    stage.record("a", "e", 2, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-1", "events a e 2-2"], "as many as the limit are within it");
    for at in 3..=5 {
        stage.record("a", "e", at, 1, 1);
    }
    assert_eq!(stage.pull(conn), ["counts a e 5 backpressure"]);
    stage.record("a", "e", 6, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 6-6"]);
}

#[test]
fn what_ended_long_ago_is_not_the_reason_of_a_jump() {
    let limits = HubLimits { log_events_max: 2, ..HubLimits::default() };
    let (mut stage, conn) = Stage::with_client(limits, SubscribeChannel { max_rate: Some(10), ..wish("a") });
    stage.record("a", "e", 1, 21, 1);
    stage.pull(conn);
    stage.pass(250);
    stage.pull(conn);
    stage.pass(10_000);
    assert_eq!(stage.pull(conn), ["rung a full throttled"]);
    for at in 22..=25 {
        stage.record("a", "e", at, 1, 1);
    }
    assert_eq!(stage.pull(conn), ["counts a e 25 backpressure"]);
}

#[test]
fn a_gap_weighs_its_totals_and_its_state() {
    let limits = HubLimits { log_bytes_max: 4_096 + 4_096, ..HubLimits::default() };
    let (mut stage, _) = Stage::with_client(limits, wish("a"));
    stage.gap("a", "e", 1, 1, tally_protocol::Why::Unheard);
    stage.gap("a", "e", 2, 1, tally_protocol::Why::Unheard);
    assert_eq!(stage.hub.audit().channels[0].log_entries, 2);
    let newer = tally_protocol::Snapshot { state: Some(state(3)), ..snapshot("e", 3) };
    stage.snapshot("a", Some(newer), 0);
    assert_eq!(stage.hub.audit().channels[0].log_bytes, 4_096 + 7);
}

#[test]
fn the_coldest_channel_loses_all_but_its_newest_record() {
    let limits = HubLimits { hub_log_bytes_max: 6 * (602 + 160 + 64), ..HubLimits::default() };
    let mut stage = Stage::new(limits);
    let conn = stage.connect();
    for name in ["a", "b"] {
        stage.subscribe(conn, wish(name));
        stage.snapshot(name, Some(snapshot("e", 0)), 0);
    }
    for name in ["a", "b"] {
        for at in 1..=3 {
            stage.record(name, "e", at, 1, 600);
        }
    }
    let sizes = |stage: &Stage| -> Vec<usize> {
        stage.hub.audit().channels.iter().map(|one| one.log_entries).collect()
    };
    assert_eq!(sizes(&stage), [3, 3], "as much as the limit is within it");
    stage.record("b", "e", 4, 1, 600);
    assert_eq!(sizes(&stage), [1, 4]);
}
