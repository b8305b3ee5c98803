//! The body of a POST: one line per event with its data verbatim, or one object of counts.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use tally_backplane::Content;
use tally_protocol::{Batch, Class, CountsOnly, Event, RawJson, Totals, UnixMs, Why};

pub(super) enum Encoded {
    Events(Bytes),
    Counts(Bytes),
}

impl Encoded {
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Events(body) | Self::Counts(body) => body,
        }
    }
}

pub(super) fn encode(content: &Content) -> Encoded {
    match content {
        Content::Events(batch) => Encoded::Events(encode_events(batch)),
        Content::Counts(counts) => Encoded::Counts(encode_counts(counts)),
    }
}

fn encode_events(batch: &Batch) -> Bytes {
    /// What a line has beside its kind and data, at most.
    const LINE_BYTES_MAX: usize = 96;
    let bytes =
        batch.events().iter().map(|event| LINE_BYTES_MAX + event.kind.as_str().len() + event.data.len());
    let mut out = BytesMut::with_capacity(bytes.sum());
    for event in batch.events() {
        put_event(&mut out, event);
    }
    out.freeze()
}

/// A kind needs no escapes: its alphabet has neither quote nor backslash.
fn put_event(out: &mut BytesMut, event: &Event) {
    out.put_slice(b"{\"kind\":\"");
    out.put_slice(event.kind.as_str().as_bytes());
    out.put_slice(match event.class {
        Class::Bulk => b"\",\"class\":\"bulk\",\"at\":",
        Class::State => b"\",\"class\":\"state\",\"at\":",
    });
    out.put_slice(event.at.to_string().as_bytes());
    out.put_slice(b",\"data\":");
    out.put_slice(event.data.as_bytes());
    out.put_slice(b"}\n");
}

fn encode_counts(counts: &CountsOnly) -> Bytes {
    #[derive(Serialize)]
    struct Body<'a> {
        counts: &'a Totals,
        why: Why,
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<State<'a>>,
    }
    #[derive(Serialize)]
    struct State<'a> {
        kind: &'a str,
        at: UnixMs,
        data: &'a RawJson,
    }
    let state =
        counts.state().map(|event| State { kind: event.kind.as_str(), at: event.at, data: &event.data });
    let body = Body { counts: counts.counts(), why: counts.why(), state };
    serde_json::to_vec(&body).expect("names, numbers and valid JSON always have a JSON form").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_protocol::{Kind, OnError, read_events};

    fn event(kind: &str, class: Class, data: &'static str) -> Event {
        let data = RawJson::new(&Bytes::from_static(data.as_bytes())).unwrap();
        Event { kind: Kind::new(kind).unwrap(), class, at: UnixMs::new(7), data }
    }

    #[test]
    fn events_are_read_back_as_they_were() {
        let events = vec![
            event("a", Class::Bulk, "{\"x\" : 1.0e2,\n \"kind\":\"b\"}"),
            event("b.c:d-e_f", Class::State, "null"),
            event("c", Class::Bulk, "[1,2]"),
        ];
        let body = encode_events(&Batch::new(events.clone()).unwrap());
        let read = read_events(&body, UnixMs::new(0), &[], OnError::Refuse).unwrap();
        assert_eq!(read.events, events);
    }

    #[test]
    fn counts_are_one_object() {
        let mut counts = Totals::new();
        counts.add(&Kind::new("a").unwrap(), 3);
        counts.add(&Kind::new("s").unwrap(), 1);
        let state = Some(event("s", Class::State, "{\"n\" : 1}"));
        let body = encode_counts(&CountsOnly::new(counts.clone(), Why::Upstream, state).unwrap());
        let expected =
            r#"{"counts":{"a":3,"s":1},"why":"upstream","state":{"kind":"s","at":7,"data":{"n" : 1}}}"#;
        assert_eq!(body, expected);
        let body = encode_counts(&CountsOnly::new(counts, Why::Upstream, None).unwrap());
        assert_eq!(body, r#"{"counts":{"a":3,"s":1},"why":"upstream"}"#);
    }
}
