//! What is asked of the gateway, when, and in which frames.

use super::*;
use tally_protocol::{CLIENT_FRAME_BYTES_MAX, FRAME_CHANNELS_MAX, Rung, TickMs};

const REFUSED: &str = r#"{"type":"error","id":$id,"channel":"a","code":"forbidden_channel","message":"no"}"#;

#[test]
fn a_subscription_is_asked_for_as_it_was_given() {
    let mut bench = Bench::new();
    let subscription =
        Subscription::new(&a()).rung(Rung::Counts).max_rate(30).tick_ms(TickMs::Ms1000).tail().last(9);
    bench.session.subscribe(subscription).unwrap();
    assert_eq!(bench.sent(), [], "not before hello");
    bench.connect();
    let asked = bench.asked();
    let wanted = SubscribeChannel {
        rung: Rung::Counts,
        max_rate: Some(30),
        tick_ms: TickMs::Ms1000,
        tail: true,
        last: Some(9),
        ..SubscribeChannel::new(&a())
    };
    assert_eq!(asked, [wanted]);
    assert_eq!(bench.sent(), [], "once");
}

#[test]
fn bad_requests_are_refused_before_anything_is_sent() {
    let mut bench = Bench::attached_at(10);
    let b = channel("b");
    for (refused, message) in [
        (bench.session.subscribe(Subscription::new(&a())), "subscribed already"),
        (bench.session.subscribe(Subscription::new(&b).last(1_001)), "at most 1000"),
        (bench.session.subscribe(Subscription::new(&b).max_rate(0)), "ask for the rung counts"),
        (bench.session.unsubscribe(&b), "not subscribed"),
        (bench.session.set_rung(Some(&b), Rung::Full, None, None), "not subscribed"),
        (bench.session.set_rung(Some(&a()), Rung::Full, Some(0), None), "ask for the rung counts"),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(bench.sent(), []);
}

#[test]
fn many_channels_go_out_in_frames_that_the_gateway_takes() {
    let names: Vec<_> = (0..1_200).map(|n| channel(&format!("{n:-<200}"))).collect();
    let mut bench = Bench::new();
    names.iter().try_for_each(|name| bench.session.subscribe(Subscription::new(name))).unwrap();
    bench.connect();
    let texts: Vec<_> = std::iter::from_fn(|| bench.session.poll_transmit()).collect();
    assert!(texts.iter().all(|text| text.len() <= CLIENT_FRAME_BYTES_MAX));
    let mut asked = 0;
    for text in &texts {
        let ClientFrame::Subscribe(request) = ClientFrame::decode(text).unwrap() else { panic!("{text}") };
        assert!(request.channels.len() <= FRAME_CHANNELS_MAX);
        asked += request.channels.len();
    }
    assert_eq!(asked, names.len());
    for name in &names {
        bench.session.unsubscribe(name).unwrap();
    }
    let texts: Vec<_> = std::iter::from_fn(|| bench.session.poll_transmit()).collect();
    assert!(texts.len() < 10 && texts.iter().all(|text| text.len() <= CLIENT_FRAME_BYTES_MAX));
}

#[test]
fn channels_are_bounded() {
    let mut bench = Bench::new();
    for n in 0..crate::limits::CHANNELS_MAX {
        bench.session.subscribe(Subscription::new(&channel(&n.to_string()))).unwrap();
    }
    let error = bench.session.subscribe(Subscription::new(&a())).unwrap_err();
    assert!(error.to_string().contains("at most 16384 channels"), "{error}");
}

#[test]
fn leaving_books_what_is_on_its_way_and_hands_over_the_ledger() {
    let mut bench = Bench::attached_at(10);
    bench.session.unsubscribe(&a()).unwrap();
    assert!(matches!(bench.sent()[..], [ClientFrame::Unsubscribe(_)]));
    assert_eq!(bench.frame(&events(11, 12)), ["events 11-12"]);
    let updates = bench.updates(&unsubscribed("asked", 12));
    let Update::Unsubscribed { ledger: Some(ledger), frame: Some(_), .. } = &updates[0] else {
        panic!("{updates:?}")
    };
    assert_eq!(ledger.cursor().get(), 12);
    assert!(bench.session.account(&a()).is_none());
}

#[test]
fn leaving_without_a_connection_is_told_too() {
    let mut bench = Bench::attached_at(10);
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    assert_eq!(bench.lose(), ["disconnected", "unsubscribed asked"], "unanswered");

    let mut bench = Bench::attached_at(10);
    bench.lose();
    for _ in 0..1_000 {
        bench.session.unsubscribe(&a()).unwrap();
        assert!(bench.session.account(&a()).is_none());
        bench.session.subscribe(Subscription::new(&a())).unwrap();
    }
    bench.session.unsubscribe(&a()).unwrap();
    assert_eq!(bench.told(), ["unsubscribed asked"], "one for the channel, not one for each time");
    bench.await_retry();
    bench.connect();
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_channel_left_and_wanted_again_waits_for_the_end_of_the_first() {
    let mut bench = Bench::attached_at(10);
    bench.session.unsubscribe(&a()).unwrap();
    bench.session.subscribe(Subscription::new(&a()).rung(Rung::Counts).last(3)).unwrap();
    assert!(matches!(bench.sent()[..], [ClientFrame::Unsubscribe(_)]));
    assert_eq!(bench.frame(&unsubscribed("asked", 10)), ["unsubscribed asked"]);
    let asked = bench.asked();
    assert_eq!((asked[0].rung, asked[0].last, &asked[0].after), (Rung::Counts, Some(3), &None));
    assert_eq!(bench.frame(&at(10)), ["subscribed New"]);
}

#[test]
fn the_gateway_can_end_or_refuse_a_subscription() {
    let mut bench = Bench::attached_at(10);
    assert_eq!(bench.frame(&unsubscribed("revoked", 10)), ["unsubscribed revoked"]);
    bench.reconnect();
    assert_eq!(bench.sent(), [], "it is forgotten");

    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    let updates = bench.updates(REFUSED);
    assert_eq!(
        updates.iter().map(digest).collect::<Vec<_>>(),
        ["error forbidden_channel", "unsubscribed forbidden_channel"]
    );
    let Update::Unsubscribed { ledger: Some(ledger), .. } = &updates[1] else { panic!("{updates:?}") };
    assert_eq!(ledger.cursor().get(), 10, "what was seen before is not lost");

    let mut bench = Bench::attached_at(10);
    assert_eq!(bench.frame(REFUSED), ["error forbidden_channel"], "an answered request is not refused again");
    assert!(bench.session.account(&a()).is_some());
}

#[test]
fn the_rung_is_the_lower_of_the_channels_and_the_ceiling() {
    let mut bench = Bench::attached_at(10);
    let told = |channel: &str, rung: &str| {
        format!(r#"{{"type":"rung","channel":{channel},"rung":"{rung}","why":"backpressure"}}"#)
    };
    for (channel, rung, wanted) in [
        ("\"a\"", "counts", Rung::Counts),
        ("null", "summary", Rung::Summary),
        ("\"a\"", "full", Rung::Summary),
        ("null", "counts", Rung::Counts),
        ("null", "full", Rung::Full),
        ("null", "summary", Rung::Summary),
    ] {
        assert_eq!(bench.frame(&told(channel, rung)), [format!("rung {rung}")]);
        assert_eq!(bench.session.rung(&a()), Some(wanted));
    }
    bench.reconnect();
    assert_eq!(bench.session.rung(&a()), None, "not attached");
    bench.sent();
    bench.frame(&resumed(10));
    assert_eq!(bench.session.rung(&a()), Some(Rung::Full), "the ceiling was the old connection's");
}

#[test]
fn a_changed_rung_is_asked_for_now_and_kept_for_later() {
    let mut bench = Bench::attached_at(10);
    bench.session.set_rung(Some(&a()), Rung::Counts, None, Some(TickMs::Ms5000)).unwrap();
    bench.session.set_rung(Some(&a()), Rung::Summary, Some(7), None).unwrap();
    let sent = bench.sent();
    let [ClientFrame::Rung(request)] = &sent[..] else { panic!("only the newest wish: {sent:?}") };
    assert_eq!((&request.channel, request.rung, request.max_rate), (&Some(a()), Rung::Summary, Some(7)));
    bench.reconnect();
    let asked = bench.asked();
    assert_eq!(
        (asked[0].rung, asked[0].max_rate, asked[0].tick_ms),
        (Rung::Summary, Some(7), TickMs::Ms5000)
    );
}

#[test]
fn a_rung_for_the_connection_is_asked_for_before_the_subscriptions() {
    let mut bench = Bench::attached_at(10);
    bench.session.set_rung(Some(&a()), Rung::Full, None, None).unwrap();
    bench.session.set_rung(None, Rung::Counts, None, None).unwrap();
    let sent = bench.sent();
    let [ClientFrame::Rung(request)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((&request.channel, request.rung), (&None, Rung::Counts));
    bench.reconnect();
    let sent = bench.sent();
    let [ClientFrame::Rung(rung), ClientFrame::Subscribe(subscribe)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((&rung.channel, rung.rung), (&None, Rung::Counts));
    assert_eq!(subscribe.channels[0].rung, Rung::Counts);
}
