//! The account of all subscriptions that are and were: it closes on every rung and through every end.
//!
//! [`Stage::pull`] checks that nothing is left over after each step; here the figures themselves are looked at.

use crate::stage::{Stage, after, seconds, snapshot, wish};
use tally_fanout::{Account, HubLimits};
use tally_protocol::{Rung, SubscribeChannel, Why};

fn account(stage: &mut Stage) -> Account {
    let now = stage.time();
    stage.hub.look(now).account
}

/// One client at each rung, each through a reduced form of every kind that a hub can be brought to by hand.
fn a_long_day() -> Stage {
    let (mut stage, full) =
        Stage::with_client(HubLimits::default(), SubscribeChannel { max_rate: Some(10), ..wish("a") });
    let counts = stage.connect();
    stage.subscribe(counts, SubscribeChannel { rung: Rung::Counts, ..wish("a") });
    let summary = stage.connect();
    stage.subscribe(summary, SubscribeChannel { rung: Rung::Summary, ..wish("a") });
    for conn in [full, counts, summary] {
        stage.pull(conn);
    }
    let mut seq = 0;
    let mut publish = |stage: &mut Stage, n: u64| {
        stage.record("a", "e", seq + 1, n, 1);
        seq += n;
        seq
    };
    publish(&mut stage, 5);
    stage.pull(full);
    // Throttled, and back.
    publish(&mut stage, 30);
    stage.pull(full);
    stage.pass(250);
    stage.pull(full);
    stage.pass(4_750);
    for conn in [full, counts, summary] {
        stage.pull(conn);
    }
    // Withheld by the producer.
    let at = publish(&mut stage, 1);
    stage.gap("a", "e", at + 1, 7, Why::Unheard);
    let at = at + 7;
    stage.pull(full);
    // Pressed.
    stage.press(full, at + 1);
    stage.pass(1_000);
    stage.pull(full);
    // A resume that is replayed in part.
    let late = stage.connect();
    stage.subscribe(late, after("a", "e", 2));
    stage.pull(late);
    // An end by unsubscribe, and one by the end of the connection, both with something due.
    stage.record("a", "e", at + 3, 4, 1);
    stage.unsubscribe(counts, "a");
    let now = stage.time();
    stage.hub.handle_disconnect(now, summary);
    stage.pull(counts);
    stage
}

#[test]
fn it_closes_on_every_rung_and_through_every_end() {
    let mut stage = a_long_day();
    let account = account(&mut stage);
    assert_eq!((account.subscriptions, account.residual()), (4, 0), "{account:?}");
    assert!(account.full > 0, "{account:?}");
    for why in [Why::Asked, Why::Throttled, Why::Unheard] {
        assert!(account.counted[why as usize] > 0, "{why}: {account:?}");
    }
    for why in [Why::Asked, Why::Backpressure] {
        assert!(account.summarised[why as usize] > 0, "{why}: {account:?}");
    }
}

#[test]
fn a_reset_begins_anew_and_keeps_what_was() {
    let (mut stage, conn) = Stage::with_client(HubLimits::default(), wish("a"));
    stage.record("a", "e", 1, 10, 1);
    stage.pull(conn);
    stage.snapshot("a", Some(snapshot("f", 3)), 1);
    assert_eq!(stage.pull(conn), ["reset a f 3"]);
    stage.record("a", "f", 4, 2, 1);
    stage.pull(conn);
    let now = stage.time();
    stage.hub.handle_disconnect(now, conn);
    stage.pass(seconds(60).as_millis() as u64);
    let account = account(&mut stage);
    assert_eq!((account.advanced, account.full, account.resets), (12, 12, 1), "{account:?}");
}

/// A column that forgets what it delivered shows, whichever it is.
#[test]
fn a_column_that_forgets_something_is_seen() {
    let mut stage = a_long_day();
    let whole = account(&mut stage);
    let full = Account { full: whole.full - 1, ..whole };
    assert_eq!(full.residual(), 1);
    for why in Why::ALL {
        let mut forgetful = whole;
        forgetful.counted[why as usize] = 0;
        assert_eq!(forgetful.residual().unsigned_abs(), whole.counted[why as usize], "{why}");
        let mut forgetful = whole;
        forgetful.summarised[why as usize] = 0;
        assert_eq!(forgetful.residual().unsigned_abs(), whole.summarised[why as usize], "{why}");
    }
}
