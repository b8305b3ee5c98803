//! What is asked of the gateway, when, and in which frames.

use super::*;
use tally_protocol::{CLIENT_FRAME_BYTES_MAX, FRAME_CHANNELS_MAX, Rung, RungRequest, TickMs};

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
fn short_names_keep_the_number_of_channels_of_a_frame() {
    let names: Vec<_> = (0..1_200).map(|n| channel(&n.to_string())).collect();
    let mut bench = Bench::new();
    names.iter().try_for_each(|name| bench.session.subscribe(Subscription::new(name))).unwrap();
    bench.connect();
    bench.sent();
    names.iter().try_for_each(|name| bench.session.unsubscribe(name)).unwrap();
    assert_eq!(bench.sent().len(), names.len().div_ceil(FRAME_CHANNELS_MAX));
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
    assert_eq!(bench.told(), [""; 0]);
    assert!(bench.session.account(&a()).is_some(), "it is wanted after all");
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
    assert_eq!(bench.frame(&unsubscribed("revoked", 9)), ["violation order", "unsubscribed revoked"]);
    assert!(matches!(bench.sent()[..], [ClientFrame::Violation(_)]), "it ended all the same");

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

    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench.session.subscribe(Subscription::new(&channel(name))).unwrap();
    }
    bench.connect();
    bench.sent();
    assert_eq!(
        bench.frame(&REFUSED.replace("\"a\"", "null").replace("forbidden", "bad")),
        ["error bad_channel"]
    );
    let told = bench.frame(&REFUSED.replace("\"a\"", "null").replace("forbidden_channel", "bad_frame"));
    assert_eq!(
        told,
        ["error bad_frame", "unsubscribed bad_frame", "unsubscribed bad_frame"],
        "all of the request"
    );

    let mut bench = Bench::attached_at(10);
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    let gone = r#"{"type":"error","id":2,"channel":"a","code":"not_subscribed","message":"no"}"#;
    assert_eq!(bench.frame(gone), ["error not_subscribed", "unsubscribed asked"]);

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
    let wanted = RungRequest {
        channel: Some(a()),
        rung: Rung::Summary,
        max_rate: Some(7),
        tick_ms: Some(TickMs::Ms5000),
    };
    assert_eq!(bench.sent(), [ClientFrame::Rung(wanted)], "one frame for both wishes");
    bench.reconnect();
    let asked = bench.asked();
    assert_eq!(
        (asked[0].rung, asked[0].max_rate, asked[0].tick_ms),
        (Rung::Summary, Some(7), TickMs::Ms5000)
    );
}

#[test]
fn a_rung_for_the_connection_is_a_ceiling_that_later_connections_have_as_well() {
    let mut bench = Bench::attached_at(10);
    bench.session.set_rung(Some(&a()), Rung::Full, Some(5), None).unwrap();
    bench.session.set_rung(None, Rung::Counts, Some(7), None).unwrap();
    let for_all = RungRequest { channel: None, rung: Rung::Counts, max_rate: Some(7), tick_ms: None };
    let for_a = RungRequest { channel: Some(a()), rung: Rung::Full, ..for_all };
    assert_eq!(bench.sent(), [ClientFrame::Rung(for_all.clone()), ClientFrame::Rung(for_a)]);
    bench.reconnect();
    let sent = bench.sent();
    let [ClientFrame::Rung(rung), ClientFrame::Subscribe(subscribe)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(rung, &RungRequest { max_rate: None, ..for_all });
    assert_eq!((subscribe.channels[0].rung, subscribe.channels[0].max_rate), (Rung::Full, Some(7)));
}

#[test]
fn an_attach_on_its_way_is_booked_while_the_channel_is_left() {
    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    assert_eq!(bench.session.rung(&a()), None, "not attached");
    assert_eq!(bench.frame(&resumed(10)), ["subscribed Resumed"]);
    assert_eq!(bench.frame(&events(11, 11)), ["events 11-11"]);
    assert_eq!(bench.frame(&unsubscribed("asked", 11)), ["unsubscribed asked"]);
    assert_eq!(bench.session.violations(), 0);

    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    assert_eq!(bench.frame(&resumed(10)), ["subscribed Resumed"]);
    assert_eq!(bench.lose(), ["disconnected", "unsubscribed asked"], "attached or not, it is being left");

    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    assert_eq!(bench.frame(REFUSED), ["error forbidden_channel", "unsubscribed asked"]);

    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    let pending = r#"{"type":"unsubscribed","id":null,"channel":"a","code":"asked"}"#;
    assert_eq!(bench.frame(pending), ["unsubscribed asked"], "it ended before it was attached");

    let mut bench = Bench::attached_at(10);
    bench.reconnect();
    bench.sent();
    bench.session.unsubscribe(&a()).unwrap();
    bench.sent();
    assert_eq!(bench.frame(&events(11, 11)), ["violation order"], "still no frame before the attach");
    assert_eq!(bench.frame(&resumed(10)), [""; 0], "nothing more of it is read");
    assert_eq!(bench.frame(&unsubscribed("asked", 11)), ["unsubscribed asked"]);
}
