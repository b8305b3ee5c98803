//! The life of connections: greeting, silence, goodbye, codes that end it, attempts.

use super::*;
use crate::limits::HELLO_MAX;

fn goodbye(code: &str, min: u64, max: u64) -> String {
    format!(r#"{{"type":"goodbye","code":"{code}","reason":"because","retry_after_ms":[{min},{max}]}}"#)
}

fn closed(code: u16) -> Disconnect {
    Disconnect::Closed { code, reason: "closing".into() }
}

fn last_pause(bench: &mut Bench) -> Option<Duration> {
    let updates = bench.take();
    let Some(Update::Disconnected { retry_in, .. }) = updates.last() else { panic!("{updates:?}") };
    *retry_in
}

#[test]
fn the_first_frame_is_hello_of_our_protocol() {
    let cases = [
        (HELLO.to_owned(), "connected"),
        (HELLO.replace("tally.v1", "tally.v9"), "disconnected"),
        (r#"{"type":"heartbeat","at":1}"#.into(), "disconnected"),
        ("{".into(), "disconnected"),
    ];
    for (frame, told) in cases {
        let mut bench = Bench::new();
        bench.session.handle_open(bench.now);
        assert_eq!(bench.frame(r#"{"type":"brand_new"}"#), [""; 0], "unknown types are ignored");
        assert_eq!(bench.frame(&frame), [told], "{frame}");
    }
}

#[test]
fn an_unreadable_frame_ends_the_connection_and_says_what_is_wrong() {
    let cases = [
        ("{", "EOF"),
        ("[]", ""),
        (r#"{"type":"events","channel":"a"}"#, "missing field"),
        (r#"{"type":"events","channel":"a b","epoch":"e","from":1,"to":1,"events":[]}"#, "may only contain"),
        (
            r#"{"type":"counts","channel":"a","epoch":"e","seq":-1,"totals":{},"why":"asked"}"#,
            "invalid value",
        ),
    ];
    for (frame, problem) in cases {
        let mut bench = Bench::attached_at(10);
        let updates = bench.updates(frame);
        let Update::Disconnected { cause: Disconnect::BadFrame { error, start }, retry_in: Some(_) } =
            &updates[0]
        else {
            panic!("{frame}: {updates:?}")
        };
        assert!(error.contains(problem), "{frame}: {error}");
        assert_eq!(start, frame);
        assert!(!bench.session.is_open());
        assert_eq!(bench.ledger().cursor().get(), 10, "the ledger is kept for the resume");
    }
}

#[test]
fn silence_of_two_heartbeats_is_the_end() {
    let mut bench = Bench::attached_at(10);
    bench.wait(29 * SECOND);
    assert_eq!(bench.frame(r#"{"type":"heartbeat","at":1}"#), ["heartbeat"]);
    bench.wait(29 * SECOND);
    bench.session.handle_alive(bench.now);
    bench.wait(30 * SECOND - MS);
    assert_eq!(bench.told(), [""; 0]);
    assert_eq!(bench.session.poll_deadline(), Some(bench.now + MS));
    bench.wait(MS);
    assert_eq!(bench.told(), ["disconnected"]);
}

#[test]
fn the_absence_of_the_application_is_no_silence() {
    let mut bench = Bench::attached_at(10);
    bench.now += 300 * SECOND;
    bench.session.handle_absence(300 * SECOND);
    bench.wait(29 * SECOND);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait(SECOND);
    assert_eq!(bench.told(), ["disconnected"]);
}

#[test]
fn a_heartbeat_of_zero_does_not_end_every_connection() {
    let mut bench = Bench::new();
    bench.session.handle_open(bench.now);
    bench.frame(&HELLO.replace("15000", "0"));
    bench.wait(199 * MS);
    assert_eq!(bench.told(), [""; 0]);
}

#[test]
fn hello_must_come() {
    let mut bench = Bench::new();
    bench.session.handle_open(bench.now);
    bench.wait(HELLO_MAX - MS);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait(MS);
    assert_eq!(bench.told(), ["disconnected"]);
}

#[test]
fn goodbye_gives_the_window_for_one_return() {
    for seed in 0..50 {
        let mut bench = Bench::new();
        bench.session.rng.seed(seed);
        bench.connect();
        assert_eq!(bench.frame(&goodbye("drain", 2_000, 5_000)), ["goodbye"]);
        bench.session.handle_disconnect(closed(4000), bench.now);
        let pause = last_pause(&mut bench).unwrap();
        assert!((2 * SECOND..=5 * SECOND).contains(&pause), "{pause:?}");
        assert_eq!(bench.session.poll_connect(bench.now), Connect::At(bench.now + pause));
        bench.await_retry();
        bench.session.handle_disconnect(Disconnect::NoAnswer, bench.now);
        assert!(last_pause(&mut bench).unwrap() <= 500 * MS, "then the jitter");
    }
}

#[test]
fn codes_say_whether_to_come_back() {
    let cases = [
        (closed(1000), true),
        (closed(1006), true),
        (closed(4000), true),
        (closed(4399), true),
        (closed(4400), false),
        (closed(4999), false),
        (Disconnect::Refused { status: 401, retry_after: None, body: String::new() }, false),
        (Disconnect::Refused { status: 403, retry_after: None, body: String::new() }, false),
        (Disconnect::Refused { status: 503, retry_after: None, body: String::new() }, true),
        (Disconnect::Silent(SECOND), true),
    ];
    for (cause, comes_back) in cases {
        let mut bench = Bench::attached_at(10);
        bench.session.handle_disconnect(cause.clone(), bench.now);
        assert_eq!(last_pause(&mut bench).is_some(), comes_back, "{cause}");
        if !comes_back {
            assert_eq!(bench.session.poll_connect(bench.now), Connect::Never);
            assert_eq!(bench.ledger().cursor().get(), 10, "the ledgers can still be read");
            assert!(bench.session.subscribe(Subscription::new(&channel("b"))).is_err());
        }
    }
}

#[test]
fn a_goodbye_counts_even_if_its_close_frame_is_lost() {
    let lost = || Disconnect::Lost("gone".into());
    let cases = [
        ("forbidden", lost(), Some(4403)),
        ("drain", lost(), Some(4000)),
        ("brand_new", lost(), None),
        ("forbidden", closed(1005), Some(4403)),
        ("brand_new", closed(4455), Some(4455)),
    ];
    for (token, cause, code) in cases {
        let mut bench = Bench::attached_at(10);
        bench.frame(&goodbye(token, 10, 20));
        bench.session.handle_disconnect(cause.clone(), bench.now);
        let updates = bench.take();
        let Some(Update::Disconnected { cause: told, retry_in }) = updates.first() else { panic!() };
        assert_eq!(told.code(), code, "{token} {cause}");
        assert_eq!(retry_in.is_some(), code.is_none_or(|code| code < 4400), "{token} {cause}");
    }
}

#[test]
fn retry_after_of_a_refusal_is_a_window() {
    let mut bench = Bench::new();
    let refused = Disconnect::Refused { status: 503, retry_after: Some(7 * SECOND), body: String::new() };
    bench.session.handle_disconnect(refused, bench.now);
    let pause = last_pause(&mut bench).unwrap();
    assert!((7 * SECOND..=14 * SECOND).contains(&pause), "{pause:?}");
}

#[test]
fn attempts_grow_and_a_stable_connection_starts_them_anew() {
    let policy = Reconnect::default().base(SECOND).cap(1_000 * SECOND).attempts_max(5);
    let mut bench = Bench::with(policy);
    for attempt in 0..5 {
        bench.session.handle_disconnect(Disconnect::NoAnswer, bench.now);
        assert!(last_pause(&mut bench).unwrap() <= (1 << attempt) * SECOND, "attempt {attempt}");
        bench.await_retry();
    }
    let mut unstable = bench;
    unstable.connect();
    unstable.now += 9 * SECOND;
    assert_eq!(unstable.lose(), ["ended"], "a short connection does not count");

    let mut stable = Bench::with(Reconnect::default().attempts_max(1));
    for _ in 0..5 {
        stable.connect();
        stable.now += 10 * SECOND;
        assert_eq!(stable.lose(), ["disconnected"]);
        stable.await_retry();
    }
}

#[test]
fn frames_of_no_channel_are_told_as_they_are() {
    let mut bench = Bench::attached_at(10);
    let cases = [
        (r#"{"type":"upstream","status":"down","since":1,"channels":null}"#, "upstream down"),
        (r#"{"type":"upstream","status":"up","since":1,"channels":["a"]}"#, "upstream up"),
        (r#"{"type":"heartbeat","at":1,"more":2}"#, "heartbeat"),
        (r#"{"type":"unnumbered","channel":"a","events":[1,{}],"dropped":3}"#, "unnumbered"),
    ];
    for (frame, told) in cases {
        let updates = bench.updates(frame);
        assert_eq!(updates.iter().map(digest).collect::<Vec<_>>(), [told]);
        assert_eq!(updates[0].text().unwrap().as_str(), frame);
    }
    assert_eq!(bench.frame(r#"{"type":"brand_new","channel":"zzz"}"#), [""; 0]);
}
