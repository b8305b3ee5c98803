//! Coming back: the ledger goes on exactly, or is closed and a new one opened; nothing in between.

use super::*;

#[test]
fn resumed_continues_the_ledger() {
    let mut bench = Bench::attached_at(10);
    bench.frame(&events(11, 13));
    let kept = bench.ledger().clone();
    assert_eq!(bench.lose(), ["disconnected"]);
    assert_eq!(bench.ledger(), &kept, "it is there while disconnected");
    assert_eq!(bench.session.rung(&a()), None);
    bench.await_retry();
    bench.connect();
    let after = bench.asked()[0].after.clone().unwrap();
    assert_eq!((after.epoch.as_str(), after.seq.get()), ("e1", 13));
    assert_eq!(bench.frame(&resumed(13)), ["subscribed Resumed"]);
    assert_eq!(bench.ledger(), &kept);
    assert_eq!(bench.frame(&counts(20, r#"{"k":20}"#)), ["counts 20"]);
    assert_eq!(bench.ledger().attached_seq().get(), 10);
    assert!(bench.ledger().closes());
}

#[test]
fn a_resume_that_does_not_repeat_the_cursor_breaks_the_order() {
    for wrong in [resumed(9), resumed(11), resumed(10).replace("e1", "e2")] {
        let mut bench = Bench::attached_at(10);
        bench.reconnect();
        bench.sent();
        let updates = bench.updates(&wrong);
        let Update::Violation { closed: Some(closed), .. } = &updates[0] else { panic!("{updates:?}") };
        assert_eq!(closed.cursor().get(), 10);
    }
    let mut fresh = Bench::new();
    fresh.session.subscribe(Subscription::new(&a())).unwrap();
    fresh.connect();
    fresh.sent();
    assert_eq!(fresh.frame(&resumed(9)), ["violation order"], "nothing was there to resume");
}

#[test]
fn a_refused_after_closes_the_ledger_and_opens_another() {
    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    assert_eq!(bench.frame(&at(4)), ["subscribed Refused"]);
    assert_eq!(bench.frame(&reset(4)), ["reset 4 after 10"]);
    assert_eq!(bench.ledger().attached_seq().get(), 4);
    assert_eq!(
        bench.session.account(&a()).unwrap().closed().map(|one| one.cursor().get()).collect::<Vec<_>>(),
        [10]
    );
    assert_eq!(bench.frame(&events(5, 5)), ["events 5-5"]);
    assert_eq!(bench.frame(&reset(2)), ["reset 2 after 5"], "a later reset is one of its own");
}

#[test]
fn between_a_refused_after_and_its_reset_nothing_else_comes() {
    for wrong in [events(5, 5), reset(5), reset(4).replace("e1", "e2")] {
        let mut bench = Bench::attached_at(10);
        bench.reconnect();
        bench.sent();
        assert_eq!(bench.frame(&at(4)), ["subscribed Refused"]);
        assert_eq!(bench.frame(&wrong), ["violation order"], "{wrong}");
    }
}

#[test]
fn a_connection_lost_before_the_reset_resumes_from_the_new_attach() {
    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.frame(&at(4));
    bench.reconnect();
    assert_eq!(bench.asked()[0].after.as_ref().unwrap().seq.get(), 4);
    assert_eq!(bench.frame(&resumed(4)), ["subscribed Resumed"]);
    assert_eq!(bench.frame(&events(5, 5)), ["events 5-5"]);
}

#[test]
fn pending_keeps_the_cursor_until_the_attach() {
    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    assert_eq!(bench.frame(&pending()), ["subscribed Pending"]);
    assert_eq!(bench.ledger().cursor().get(), 10);
    bench.reconnect();
    assert_eq!(bench.asked()[0].after.as_ref().unwrap().seq.get(), 10);
    assert_eq!(bench.frame(&pending()), ["subscribed Pending"]);
    assert_eq!(bench.frame(&resumed(10)), ["subscribed Resumed"]);
    assert_eq!(bench.frame(&events(11, 11)), ["events 11-11"]);
}

#[test]
fn a_reset_to_nothing_is_a_ledger_too() {
    let mut bench = Bench::attached_at(10);
    assert_eq!(bench.frame(&reset(0)), ["reset 0 after 10"]);
    assert_eq!(bench.frame(&events_of("a", "e2", 1, 2, 2)), ["events 1-2"], "the first epoch needs no reset");
    assert!(bench.ledger().closes());
}

#[test]
fn a_channel_without_events_goes_back_as_far_as_it_can() {
    let mut bench = Bench::attached_at(0);
    bench.reconnect();
    let asked = bench.asked();
    assert_eq!((&asked[0].after, asked[0].last), (&None, Some(1_000)));
    assert_eq!(bench.frame(&at(3)), ["subscribed New"]);
    assert_eq!(bench.frame(&events(4, 4)), ["events 4-4"]);
}

#[test]
fn last_is_for_the_first_attach_only() {
    let mut bench = Bench::new();
    bench.session.subscribe(Subscription::new(&a()).last(5)).unwrap();
    bench.connect();
    assert_eq!(bench.asked()[0].last, Some(5));
    bench.reconnect();
    assert_eq!(bench.asked()[0].last, Some(5), "it was never attached");
    bench.frame(&at(7));
    bench.reconnect();
    let asked = bench.asked();
    assert_eq!((asked[0].last, asked[0].after.is_some()), (None, true));
}

#[test]
fn closed_ledgers_are_kept_up_to_their_bound() {
    let mut bench = Bench::attached_at(1);
    for n in 2..=40 {
        assert_eq!(bench.frame(&reset(n)).len(), 1);
    }
    let closed: Vec<_> =
        bench.session.account(&a()).unwrap().closed().map(|one| one.cursor().get()).collect();
    assert_eq!(closed, (24..=39).collect::<Vec<_>>());
}
