//! What each rung gets, when, and what it is told before.

use crate::stage::{Stage, snapshot, wish};
use tally_fanout::HubLimits;
use tally_protocol::{Rung, SubscribeChannel, TickMs, UnixMs, UpstreamStatus, Why};

fn at(rung: Rung) -> SubscribeChannel {
    SubscribeChannel { rung, ..wish("a") }
}

fn stage(wish: SubscribeChannel) -> (Stage, tally_fanout::ConnId) {
    Stage::with_client(HubLimits::default(), wish)
}

#[test]
fn counts_come_once_a_tick_on_the_grid_and_only_if_something_changed() {
    let (mut stage, conn) = stage(at(Rung::Counts));
    stage.pass(100);
    stage.record("a", "e", 1, 1, 1);
    stage.record("a", "e", 2, 1, 1);
    stage.pass(149);
    assert!(stage.pull(conn).is_empty());
    stage.pass(1);
    assert_eq!(stage.pull(conn), ["counts a e 2 asked"]);
    stage.pass(10_000);
    assert!(stage.pull(conn).is_empty());
    assert_eq!(stage.hub.poll_timeout(), None, "nothing ticks for nobody");
}

#[test]
fn an_asked_summary_comes_every_five_seconds() {
    let (mut stage, conn) = stage(at(Rung::Summary));
    for second in 1..5 {
        stage.record("a", "e", second, 1, 1);
        stage.pass(1_000);
        assert!(stage.pull(conn).is_empty());
    }
    stage.pass(1_000);
    assert_eq!(stage.pull(conn), ["summary asked: a 4"]);
}

#[test]
fn a_tail_is_the_newest_four_within_its_bytes_and_not_across_a_gap() {
    let (mut stage, conn) = stage(SubscribeChannel { tail: true, ..at(Rung::Counts) });
    stage.record("a", "e", 1, 3, 1);
    stage.record("a", "e", 4, 3, 1);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 6 asked tail [3 4 5 6]"]);
    stage.record("a", "e", 7, 1, 1);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 7 asked tail [7]"], "what it had is not sent again");
    stage.record("a", "e", 8, 3, 4_000);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 10 asked tail [9 10]"]);
    // With the quotes, each has 4,096 bytes: two fit exactly.
    stage.record("a", "e", 11, 3, 4_094);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 13 asked tail [12 13]"]);
    stage.record("a", "e", 14, 1, 1);
    stage.gap("a", "e", 15, 2, Why::Upstream);
    stage.record("a", "e", 17, 1, 1);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 17 asked tail [17]"]);
}

#[test]
fn a_gap_goes_out_in_place_at_full_and_has_the_rungs_why_elsewhere() {
    let (mut stage, conn) = stage(wish("a"));
    let other = stage.connect();
    stage.subscribe(other, at(Rung::Counts));
    stage.pull(other);
    stage.record("a", "e", 1, 1, 1);
    stage.gap("a", "e", 2, 5, Why::Unheard);
    stage.record("a", "e", 7, 1, 1);
    assert_eq!(stage.pull(conn), ["events a e 1-1", "counts a e 6 unheard", "events a e 7-7"]);
    stage.pass(250);
    assert_eq!(stage.pull(other), ["counts a e 7 asked"]);
}

#[test]
fn a_state_rides_in_the_frame_whose_span_holds_it() {
    let (mut stage, conn) = stage(at(Rung::Counts));
    stage.record_with("a", "e", 1, 3, 1, Some(2));
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 3 asked state 2"]);
    stage.record("a", "e", 4, 1, 1);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 4 asked"]);
    let late = stage.connect();
    stage.subscribe(late, wish("a"));
    assert_eq!(stage.pull(late), ["subscribed a e 4 state 2"]);
}

#[test]
fn a_rung_is_told_once_and_changes_in_between_merge() {
    let (mut stage, conn) = stage(wish("a"));
    stage.rung(conn, Some("a"), Rung::Counts);
    stage.rung(conn, Some("a"), Rung::Full);
    assert!(stage.pull(conn).is_empty());
    stage.rung(conn, Some("a"), Rung::Counts);
    stage.rung(conn, Some("a"), Rung::Summary);
    assert_eq!(stage.pull(conn), ["rung a summary asked"]);
    stage.rung(conn, None, Rung::Counts);
    stage.rung(conn, Some("a"), Rung::Full);
    assert_eq!(stage.pull(conn), ["rung * counts asked", "rung a full asked"]);
    stage.record("a", "e", 1, 1, 1);
    stage.pass(250);
    assert_eq!(stage.pull(conn), ["counts a e 1 asked"]);
    stage.rung(conn, None, Rung::Full);
    stage.record("a", "e", 2, 1, 1);
    assert_eq!(stage.pull(conn), ["rung * full asked", "events a e 2-2"]);
}

#[test]
fn a_climb_names_the_reason_that_ended() {
    let (mut stage, conn) = stage(SubscribeChannel { max_rate: Some(1), ..wish("a") });
    stage.record("a", "e", 1, 3, 1);
    assert_eq!(stage.pull(conn), ["rung a counts throttled"]);
    stage.rung(conn, Some("a"), Rung::Counts);
    stage.pass(10_000);
    assert_eq!(stage.pull(conn), ["counts a e 3 asked"]);
    stage.rung(conn, Some("a"), Rung::Full);
    assert_eq!(stage.pull(conn), ["rung a full asked"]);
}

#[test]
fn a_change_of_form_on_the_same_grid_loses_no_tick() {
    for (tick, rung) in [(TickMs::Ms1000, Rung::Full), (TickMs::Ms5000, Rung::Summary)] {
        let (mut stage, conn) = stage(SubscribeChannel { tick_ms: tick, ..at(Rung::Counts) });
        stage.record("a", "e", 1, 1, 1);
        stage.pass(5_000);
        // The point is made and due, and the form changes before it is pulled.
        if rung == Rung::Summary {
            stage.rung(conn, Some("a"), Rung::Summary);
        } else {
            stage.record("a", "e", 2, 1, 1);
            stage.press_at_counts(conn);
        }
        stage.pass(10_000);
        let lines = stage.pull(conn);
        assert!(
            lines.iter().any(|line| line.starts_with("summary") || line.starts_with("counts")),
            "{lines:?}"
        );
    }
}

impl Stage {
    /// A reduced listener is pressed by frames that wait: here by a second channel's.
    fn press_at_counts(&mut self, conn: tally_fanout::ConnId) {
        self.subscribe(conn, SubscribeChannel { rung: Rung::Counts, ..wish("b") });
        self.snapshot("b", Some(snapshot("e", 0)), 0);
        while self.pull_one(conn).is_some_and(|line| !line.starts_with("subscribed b")) {}
        self.block(conn);
        self.record("a", "e", 3, 1, 1);
        self.record("b", "e", 1, 1, 1);
        self.pass(4_000);
        self.drain(conn);
        assert_eq!(self.hub.pressed(conn), Some(Rung::Summary));
    }
}

#[test]
fn the_link_is_told_when_it_differs_from_what_was_told() {
    let (mut stage, conn) = stage(wish("a"));
    let now = stage.time();
    stage.hub.handle_upstream(now, UpstreamStatus::Down, UnixMs::new(1));
    stage.hub.handle_upstream(now, UpstreamStatus::Up, UnixMs::new(2));
    assert!(stage.pull(conn).is_empty(), "it flapped before it could be told");
    stage.hub.handle_upstream(now, UpstreamStatus::Down, UnixMs::new(3));
    assert_eq!(stage.pull(conn), ["upstream Down"]);
    let late = stage.connect();
    assert!(stage.pull(late).is_empty(), "`subscribed` says it");
}

#[test]
fn the_stats_say_how_much_there_is() {
    let (mut stage, conn) = stage(wish("a"));
    for (name, rung) in [("b", Rung::Counts), ("c", Rung::Summary), ("d", Rung::Summary)] {
        stage.subscribe(conn, SubscribeChannel { rung, ..wish(name) });
        stage.snapshot(name, Some(snapshot("e", 0)), 0);
    }
    stage.subscribe(conn, wish("x"));
    stage.subscribe(conn, wish("y"));
    stage.pull(conn);
    stage.record("a", "e", 1, 2, 10);
    let stats = stage.hub.stats();
    assert_eq!((stats.connections, stats.channels, stats.subscriptions, stats.pending), (1, 6, [2, 1, 1], 2));
    assert_eq!(stats.log_bytes, 2 * 12 + 160 + 2 * 64);
    stage.pull(conn);
    stage.record("b", "e", 1, 3, 1);
    stage.record("c", "e", 1, 4, 1);
    stage.gap("a", "e", 3, 5, Why::Unheard);
    stage.pass(5_000);
    stage.pull(conn);
    let counters = stage.hub.counters();
    assert_eq!(
        (counters.events_full, counters.events_counted(), counters.events_summarised()),
        (2, 3 + 5, 4)
    );
    assert_eq!((counters.gaps[Why::Unheard as usize], counters.gap_events[Why::Unheard as usize]), (1, 5));
    stage.rung(conn, Some("a"), Rung::Counts);
    stage.pull(conn);
    assert_eq!(stage.hub.counters().rung_changes[Rung::Counts as usize][Why::Asked as usize], 1);
}

#[test]
fn channels_take_turns_and_a_summary_among_them() {
    let (mut stage, conn) = stage(wish("a"));
    for name in ["b", "c"] {
        let rung = if name == "c" { Rung::Summary } else { Rung::Full };
        stage.subscribe(conn, SubscribeChannel { rung, ..wish(name) });
        stage.snapshot(name, Some(snapshot("e", 0)), 0);
    }
    stage.pull(conn);
    stage.record("c", "e", 1, 1, 1);
    stage.pass(5_000);
    for at in 1..=10 {
        stage.record("a", "e", at, 1, 1);
        stage.record("b", "e", at, 1, 1);
    }
    let lines = stage.pull(conn);
    let place = |what: &str| lines.iter().position(|line| line.starts_with(what)).unwrap();
    assert!(place("summary asked: c") <= 4, "{lines:?}");
    let (a, b): (Vec<_>, Vec<_>) =
        lines.iter().filter(|line| line.starts_with("events")).partition(|line| line.starts_with("events a"));
    assert_eq!((a.len(), b.len()), (10, 10));
    assert!(place("events b e 2") < place("events a e 4"), "{lines:?}");
}
