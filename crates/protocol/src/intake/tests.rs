//! The rule for what is ours and what is wrapped, and the shapes a body may have.

use super::*;

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
    ] {
        let Err(IntakeError::BadLine(bad)) = read(body) else { panic!("{body}") };
        assert_eq!(bad.line, line, "{body}: {}", bad.message);
    }
    let body = Bytes::from_static(b"{\"a\":1}\nnope nope\n{\"kind\":\"ok\",\"at\":\"x\"}\n{\"a\":2}");
    let intake = read_events(&body, UnixMs::new(0), &[], OnError::Skip).unwrap();
    assert_eq!((intake.events.len(), intake.skipped_count), (2, 2));
    assert_eq!(intake.skipped.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn dropped_keys_leave_the_rest_verbatim() {
    let body = Bytes::from_static(b"{\"status\":\"starting\",\"env\":{\"SECRET\":\"x\"},\"n\" : 1.0}");
    let intake = read_events(&body, UnixMs::new(0), &["env".into()], OnError::Refuse).unwrap();
    assert_eq!(intake.events[0].data.as_str(), "{\"status\":\"starting\",\"n\":1.0}");
}
