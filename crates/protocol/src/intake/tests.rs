//! The rule for what is ours and what is wrapped, and the shapes a body may have.

use super::*;
use crate::event::Class;

fn read(body: &str) -> Result<Intake, IntakeError> {
    read_events(&Bytes::copy_from_slice(body.as_bytes()), UnixMs::new(5), &[], OnError::Refuse)
}

fn one(body: &str) -> Event {
    let mut events = read(body).unwrap().events;
    assert_eq!(events.len(), 1, "{body}");
    events.remove(0)
}

#[test]
fn ours_only_with_kind_and_no_other_key() {
    let ours = one(r#"{"kind":"ok","class":"state","at":12,"data":{"a" : 1}}"#);
    assert_eq!((ours.kind.as_str(), ours.class, ours.at.get()), ("ok", Class::State, 12));
    assert_eq!(ours.data.as_str(), r#"{"a" : 1}"#);
    assert_eq!(one(r#"{"kind":"ok"}"#).data.as_str(), "null");

    let wrapped = one(r#"{"kind":"ok","extra":1}"#);
    assert_eq!((wrapped.kind.as_str(), wrapped.data.as_str()), ("ok", r#"{"kind":"ok","extra":1}"#));
}

#[test]
fn wrapped_kinds_come_from_the_first_valid_field() {
    for (body, kind, class) in [
        (r#"{"event":"runner_on_ok","type":"x"}"#, "runner_on_ok", Class::Bulk),
        (r#"{"event":"not valid","type":"x"}"#, "x", Class::Bulk),
        (r#"{"event":7,"status":"running"}"#, "running", Class::State),
        (r#"{"status":"_own"}"#, "message", Class::Bulk),
        ("[1]\n2", "message", Class::Bulk),
        ("\"text\"", "message", Class::Bulk),
    ] {
        let events = read(body).unwrap().events;
        assert_eq!((events[0].kind.as_str(), events[0].class), (kind, class), "{body}");
    }
}

#[test]
fn bodies_have_four_shapes() {
    assert_eq!(read("[1,{\"a\":2},[3]]").unwrap().events.len(), 3);
    assert_eq!(read("{\"a\":1}{\"a\":2} {\"a\":3}").unwrap().events.len(), 3);
    assert_eq!(read("{\"a\":1}\n\n{\"a\":2}\r\n").unwrap().events.len(), 2);
    assert_eq!(read("{\n\"a\":1\n}\n{\n\"a\":2}").unwrap().events.len(), 2);
    assert!(matches!(read(" \n"), Err(IntakeError::Empty)));
    assert!(matches!(read("[]"), Err(IntakeError::Empty)));
}

#[test]
fn a_bad_line_is_named_or_skipped() {
    for (body, line) in [
        ("{\"a\":1}\nnope\n{\"a\":2}", 2),
        ("{\"kind\":\"_x\"}", 1),
        ("1\n2\n{\"kind\":\"ok\",\"class\":\"urgent\"}", 3),
        ("[1,\n{\"kind\":\"ok\",\"at\":-1}]", 2),
        ("{\"kind\":7}", 1),
        ("{\"a\":", 1),
        ("{\"a\":1}\r\n{\"a\":1}\r\nnope\r\n", 3),
        ("{\n\"a\": 1\n}\n{\n\"a\": oops\n}", 5),
        // A value without an end: its own line, not the one after it or the last.
        ("1\n{\"a\":\n", 2),
        ("1\n{\"a\":1,\n{\"b\":2}\n", 2),
        ("[\n{\"a\":1},\n{\"b\":2},\n", 1),
        ("\u{c}1", 1),
    ] {
        let Err(IntakeError::BadLine(bad)) = read(body) else { panic!("{body}") };
        assert_eq!(bad.line, line, "{body}: {}", bad.message);
    }
    let body = Bytes::from_static(b"{\"a\":1}\nnope nope\n{\"kind\":\"ok\",\"at\":\"x\"}\n{\"a\":2}");
    let intake = read_events(&body, UnixMs::new(0), &[], OnError::Skip).unwrap();
    assert_eq!((intake.events.len(), intake.skipped_count), (2, 2));
    assert_eq!(intake.skipped.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
}

fn skip(body: &str) -> Intake {
    read_events(&Bytes::copy_from_slice(body.as_bytes()), UnixMs::new(0), &[], OnError::Skip).unwrap()
}

#[test]
fn what_is_skipped_is_left_out_whole_and_nothing_else() {
    for (body, events, lines) in [
        // A line that goes wrong at its end is not half published.
        ("{\"a\":1},\n{\"a\":2}\n", 1, &[1][..]),
        ("{\"a\":1} {\"a\":2} }\n3", 1, &[1]),
        // A line that was cut off does not take the next one with it.
        ("{\"a\":1,\n{\"a\":2}\n{\"a\":3}\n", 2, &[1]),
        ("{\"a\":1}\n{\"a\":", 1, &[2]),
        // JSON that is no event is left out alone.
        ("1 {\"kind\":7} 2", 2, &[1]),
        ("[1,\n{\"kind\":7},\n2]", 2, &[2]),
        // An array that is no JSON is nothing: its elements are not taken for lines.
        ("[\n{\"a\":1},\noops,\n{\"a\":2}\n]", 0, &[3]),
        ("\u{feff}{\"a\":1}\n{\"a\":2}", 2, &[]),
    ] {
        let intake = skip(body);
        let named: Vec<_> = intake.skipped.iter().map(|bad| bad.line).collect();
        assert_eq!((intake.events.len(), &named[..]), (events, lines), "{body}: {:?}", intake.skipped);
        assert_eq!(intake.skipped_count, lines.len(), "{body}");
    }
}

#[test]
fn a_message_says_where_in_words_that_agree_with_the_line() {
    let bad = &skip("1\n2 nope\n{\n\"a\" 1}\n").skipped;
    assert_eq!(bad[0].message, "not JSON: expected ident at column 4");
    assert_eq!(bad[1].line, 4);
    assert_eq!(bad[1].message, "not JSON: expected `:` at column 5, in the value that begins on line 3");
    let bad = &skip("[1,{\"kind\":7}]").skipped;
    assert!(
        bad[0].message.starts_with("element 2 of the array: kind must be a string"),
        "{}",
        bad[0].message
    );
}

#[test]
fn hostile_bodies_take_time_in_proportion() {
    const BYTES: usize = 8 * 1024 * 1024;
    let of = |text: &str| text.repeat(BYTES / text.len());
    let bodies = [
        of("x\n"),
        of("1\n"),
        " ".repeat(BYTES / 2) + &of("1 ")[..BYTES / 2],
        format!("[{}1]", of("1,")),
        format!("[{}1]", of("{\"kind\":1},\n")),
        of("[\n"),
        of("{\n"),
        of("{\"a\":\n"),
        of("{\"a\":1,\n{\"b\":2}\n"),
        of("\"") + "\n",
        format!("{{{}\"a\":1}}", of("\"a\":1,")),
        "[".repeat(BYTES),
        "\n".repeat(BYTES),
    ];
    for body in bodies {
        let body = Bytes::from(body);
        for on_error in [OnError::Refuse, OnError::Skip] {
            let result = read_events(&body, UnixMs::new(0), &["env".into()], on_error);
            assert!(result.is_err() || result.unwrap().skipped.len() <= 100);
        }
    }
}

#[test]
fn the_most_that_fits_and_one_more() {
    let most = "1\n".repeat(BATCH_EVENTS_MAX);
    assert_eq!(read(&most).unwrap().events.len(), BATCH_EVENTS_MAX);
    assert!(matches!(read(&(most.clone() + "1")), Err(IntakeError::TooMany)));
    let body = Bytes::from(most + "nope");
    assert!(matches!(read_events(&body, UnixMs::new(0), &[], OnError::Skip), Err(IntakeError::TooMany)));
    assert!(read(&format!("{}1{}", "[".repeat(102), "]".repeat(102))).is_err());
}

#[test]
fn keys_that_are_no_text_still_count_as_keys() {
    // A lone surrogate is JSON, but no string of ours.
    let body = Bytes::from_static(b"{\"kind\":\"ok\",\"\\ud800\":1,\"env\":2,\"\\u0061\":\"\\ud800\"}");
    let intake = read_events(&body, UnixMs::new(0), &["env".into()], OnError::Refuse).unwrap();
    assert_eq!(intake.events[0].kind.as_str(), "ok");
    assert_eq!(intake.events[0].data.as_str(), r#"{"kind":"ok","\ud800":1,"\u0061":"\ud800"}"#);
    // Escaped keys are the same keys.
    let hidden = Bytes::from_static(b"{\"\\u0065nv\":2}");
    let intake = read_events(&hidden, UnixMs::new(0), &["env".into()], OnError::Refuse).unwrap();
    assert_eq!(intake.events[0].data.as_str(), "{}");
}

#[test]
fn dropped_keys_leave_the_rest_verbatim() {
    let body = Bytes::from_static(b"{\"status\":\"starting\",\"env\":{\"SECRET\":\"x\"},\"n\" : 1.0}");
    let intake = read_events(&body, UnixMs::new(0), &["env".into()], OnError::Refuse).unwrap();
    assert_eq!(intake.events[0].data.as_str(), "{\"status\":\"starting\",\"n\":1.0}");
}
