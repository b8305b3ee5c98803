//! Laws 1 and 2 on every frame: what is booked, what is a violation, and how the channel comes back.

use super::*;
use tally_protocol::Law;

#[test]
fn every_form_is_booked_and_the_ledger_closes() {
    let mut bench = Bench::attached_at(10);
    assert_eq!(bench.frame(&events(11, 13)), ["events 11-13"]);
    assert_eq!(bench.frame(&counts(20, r#"{"k":18,"other":2}"#)), ["counts 20"]);
    let summary = r#"{"type":"summary","why":"backpressure","channels":[
        {"channel":"a","epoch":"e1","seq":25,"totals":{"k":20,"other":5}}]}"#;
    assert_eq!(bench.frame(summary), ["summary"]);
    let ledger = bench.ledger();
    assert!(ledger.closes());
    assert_eq!((ledger.cursor().get(), ledger.full().sum()), (25, 3));
    let counted: u64 = ledger.counted().values().map(Totals::sum).sum();
    let summarised: u64 = ledger.summarised().values().map(Totals::sum).sum();
    assert_eq!((counted, summarised), (7, 5));
}

#[test]
fn an_epoch_that_changes_without_reset_is_adopted() {
    let mut bench = Bench::attached_at(3);
    assert_eq!(bench.frame(&events_of("a", "e2", 4, 4, 1)), ["events 4-4"]);
    assert_eq!(bench.ledger().epoch().unwrap().as_str(), "e2");
    bench.reconnect();
    assert_eq!(bench.asked()[0].after.as_ref().unwrap().epoch.as_str(), "e2");
}

/// What breaks a law on a channel attached at seq 10, and which law.
#[test]
fn a_frame_that_breaks_a_law_is_told_reported_counted_and_not_booked() {
    let cases = [
        ("repeated", events(10, 10), Law::Order),
        ("hole", events(12, 12), Law::Order),
        ("fewer events than seqs", events_of("a", "e1", 11, 13, 2), Law::Conservation),
        ("more events than seqs", events_of("a", "e1", 11, 11, 2), Law::Conservation),
        ("no events", events_of("a", "e1", 11, 10, 0), Law::Conservation),
        ("totals that do not add up", counts(12, r#"{"k":13}"#), Law::Conservation),
        ("a kind that became fewer", counts(12, r#"{"k":9,"l":3}"#), Law::Conservation),
        ("counts at the cursor", counts(10, r#"{"k":10}"#), Law::Order),
        ("counts before the cursor", counts(9, r#"{"k":9}"#), Law::Order),
        ("a second attach", at(10), Law::Order),
        ("a reset whose totals do not add up", reset(5).replace("{\"k\":5}", "{\"k\":4}"), Law::Conservation),
        ("an end elsewhere", unsubscribed("revoked", 9), Law::Order),
        (
            "an end with other totals",
            unsubscribed("revoked", 10).replace("\"k\"", "\"l\""),
            Law::Conservation,
        ),
    ];
    for (name, frame, law) in cases {
        let mut bench = Bench::attached_at(10);
        let updates = bench.updates(&frame);
        let Update::Violation { violation, closed: Some(closed), text } = &updates[0] else {
            panic!("{name}: {updates:?}")
        };
        assert_eq!(violation.law, law, "{name}");
        assert_eq!(text.as_str(), frame.replace("$id", &bench.subscribe_id.to_string()), "{name}");
        assert!(closed.closes() && closed.cursor().get() == 10, "{name}: the ledger ends as it stood");
        assert_eq!(bench.session.violations(), 1, "{name}");
        let sent = bench.sent();
        let ClientFrame::Violation(report) = &sent[0] else { panic!("{name}: {sent:?}") };
        assert_eq!((report.law.as_str(), &report.channel), (law.as_str(), &a()), "{name}");
    }
}

/// Frames of a channel outside its subscription, from each state without an attach.
#[test]
fn no_frame_comes_before_the_attach_or_after_the_end() {
    let summary = r#"{"type":"summary","why":"asked","channels":[
        {"channel":"a","epoch":"e1","seq":25,"totals":{"k":25}}]}"#;
    let frames = [
        events(1, 1),
        counts(1, r#"{"k":1}"#),
        summary.into(),
        reset(1),
        r#"{"type":"rung","channel":"a","rung":"counts","why":"throttled"}"#.into(),
        r#"{"type":"unnumbered","channel":"a","events":[1],"dropped":0}"#.into(),
    ];
    for frame in frames {
        let mut strange = Bench::new();
        strange.connect();
        assert_eq!(strange.frame(&frame), ["violation order"], "never subscribed: {frame}");

        let mut asked = Bench::new();
        asked.session.subscribe(Subscription::new(&a())).unwrap();
        asked.connect();
        asked.sent();
        assert_eq!(asked.frame(&frame), ["violation order"], "not answered: {frame}");
        assert_eq!(asked.frame(&at(10)), [""; 0], "the attach of a broken channel is not read");

        let mut waiting = Bench::new();
        waiting.session.subscribe(Subscription::new(&a())).unwrap();
        waiting.connect();
        waiting.sent();
        assert_eq!(waiting.frame(&pending()), ["subscribed Pending"]);
        assert_eq!(waiting.frame(&frame), ["violation order"], "pending: {frame}");

        let mut left = Bench::attached_at(10);
        left.session.unsubscribe(&a()).unwrap();
        left.sent();
        assert_eq!(left.frame(&unsubscribed("asked", 10)), ["unsubscribed asked"]);
        assert_eq!(left.frame(&frame), ["violation order"], "after the end: {frame}");
        assert!(matches!(left.sent()[..], [ClientFrame::Violation(_)]), "reported, nothing to leave");
    }
}

#[test]
fn a_broken_channel_is_left_and_subscribed_afresh() {
    let mut bench = Bench::new();
    bench.session.subscribe(Subscription::new(&a()).last(5)).unwrap();
    bench.connect();
    bench.sent();
    assert_eq!(bench.frame(&at(10)), ["subscribed New"]);
    assert_eq!(bench.frame(&events(12, 12)), ["violation order"]);
    assert!(matches!(bench.sent()[..], [ClientFrame::Violation(_), ClientFrame::Unsubscribe(_)]));
    assert_eq!(bench.frame(&events(11, 11)), [""; 0], "nothing of it is read while it is left");
    assert!(bench.session.account(&a()).unwrap().ledger().is_none());
    assert_eq!(bench.session.rung(&a()), None);
    assert_eq!(bench.frame(&unsubscribed("asked", 12)), [""; 0], "the application stays subscribed");
    let asked = bench.asked();
    assert_eq!((asked.len(), &asked[0].after, asked[0].last), (1, &None, None));
    assert_eq!(bench.frame(&at(12)), ["subscribed New"]);
    assert_eq!(bench.frame(&events(13, 13)), ["events 13-13"]);
    let account = bench.session.account(&a()).unwrap();
    assert_eq!((account.violations(), account.closed().len()), (1, 1));
}

#[test]
fn a_channel_that_breaks_again_and_again_comes_back_with_pauses() {
    let policy = Reconnect::default().base(SECOND).cap(60 * SECOND).stable_after(10 * SECOND);
    let mut bench = Bench::with(policy);
    bench.session.subscribe(Subscription::new(&a())).unwrap();
    bench.connect();
    bench.sent();
    for round in 0..20 {
        assert_eq!(bench.frame(&at(10)), ["subscribed New"], "round {round}");
        assert_eq!(bench.frame(&events(12, 12)), ["violation order"]);
        assert_eq!(bench.sent().len(), 2);
        assert_eq!(bench.frame(&unsubscribed("asked", 12)), [""; 0]);
        let at_once = !bench.asked().is_empty();
        assert_eq!(at_once, round == 0, "only the first return is immediate");
        if !at_once {
            let due_at = bench.session.poll_deadline().unwrap();
            let pause = due_at - bench.now;
            assert!(
                pause <= (1 << (round - 1).min(6)) * SECOND && pause <= 60 * SECOND,
                "{round}: {pause:?}"
            );
            while bench.asked().is_empty() {
                assert_eq!(bench.frame(r#"{"type":"heartbeat","at":1}"#), ["heartbeat"]);
                let step = bench.session.poll_deadline().unwrap() - bench.now;
                bench.wait(step.min(10 * SECOND));
            }
        }
    }
    assert_eq!(bench.frame(&at(10)), ["subscribed New"]);
    bench.now += 10 * SECOND;
    assert_eq!(bench.frame(&events(12, 12)), ["violation order"]);
    bench.sent();
    bench.frame(&unsubscribed("asked", 12));
    assert_eq!(bench.asked().len(), 1, "a calm period starts anew");
    assert_eq!(bench.session.account(&a()).unwrap().closed().len(), crate::limits::CLOSED_LEDGERS_MAX);
}

#[test]
fn each_channel_of_a_summary_stands_for_itself() {
    let mut bench = Bench::new();
    bench.session.subscribe(Subscription::new(&a())).unwrap();
    bench.session.subscribe(Subscription::new(&channel("b"))).unwrap();
    bench.connect();
    bench.sent();
    bench.frame(&at(10));
    bench.frame(&at(10).replace("\"a\"", "\"b\""));
    let part = |channel: &str, seq: u64, k: u64| {
        format!(r#"{{"channel":"{channel}","epoch":"e1","seq":{seq},"totals":{{"k":{k}}}}}"#)
    };
    let summary =
        |parts: &[String]| format!(r#"{{"type":"summary","why":"asked","channels":[{}]}}"#, parts.join(","));
    let told = bench.frame(&summary(&[part("a", 12, 11), part("b", 12, 12)]));
    assert_eq!(told, ["violation conservation", "summary"]);
    let told = bench.frame(&summary(&[part("b", 13, 12)]));
    assert_eq!(told, ["violation conservation"], "nothing of it was booked");
}

#[test]
fn reports_are_bounded_and_the_count_is_not() {
    let mut bench = Bench::new();
    bench.connect();
    for _ in 0..100 {
        assert_eq!(bench.frame(&events(1, 1)), ["violation order"]);
    }
    assert_eq!(bench.session.violations(), 100);
    bench.reconnect();
    assert_eq!(bench.sent().len(), crate::limits::REPORTS_MAX, "the next connection takes them as well");
}

#[test]
fn an_attach_answers_the_last_request() {
    let mut bench = Bench::new();
    bench.session.subscribe(Subscription::new(&a())).unwrap();
    bench.connect();
    bench.sent();
    assert_eq!(bench.frame(&at(3).replace("$id", "77")), ["violation order"]);
    assert_eq!(bench.frame(&at(3).replace("\"a\"", "\"b\"")), ["violation order"], "nobody asked for b");
}
