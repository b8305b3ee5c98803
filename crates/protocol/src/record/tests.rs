//! A record survives the way through a broker, and a broken one is named.

use super::*;
use crate::event::{Batch, Event};
use crate::publish::CountsOnly;

fn event(kind: &str, class: Class, data: &str) -> Event {
    Event {
        kind: Kind::new(kind).unwrap(),
        class,
        at: UnixMs::new(7),
        data: RawJson::new(&Bytes::copy_from_slice(data.as_bytes())).unwrap(),
    }
}

fn epoch() -> Epoch {
    Epoch::new("e1").unwrap()
}

#[test]
fn events_come_back_verbatim_with_folded_kinds_flagged() {
    let events = vec![
        event("ok", Class::Bulk, "{\"a\" : 1}"),
        event("rare", Class::State, "[1, 2]"),
        event("ok", Class::Bulk, "null"),
    ];
    let drafts = Draft::from_batch(&Batch::new(events).unwrap(), UnixMs::new(9));
    assert_eq!(drafts.len(), 1);
    let bytes = drafts[0].assemble(&epoch(), Seq::new(5).unwrap(), &[1]);
    let record = Record::decode(&bytes).unwrap();
    assert_eq!((record.from.get(), record.to.get(), record.len()), (5, 7, 3));
    assert_eq!((record.counts.get("ok"), record.counts.get("_other")), (2, 1));
    let state = record.state().unwrap();
    assert_eq!((state.seq.get(), state.kind.as_str()), (6, "_other"));
    assert_eq!(state.sent_as.unwrap().as_str(), "rare");
    let Body::Events(events) = record.body else { panic!("events") };
    assert_eq!(events[0].data.as_str(), "{\"a\" : 1}");
}

#[test]
fn a_batch_is_cut_before_256_events_and_before_64_kib() {
    let small = (0..600).map(|_| event("k", Class::Bulk, "1")).collect();
    let lens: Vec<_> =
        Draft::from_batch(&Batch::new(small).unwrap(), UnixMs::new(0)).iter().map(Draft::len).collect();
    assert_eq!(lens, [256, 256, 88]);
    let big = format!("\"{}\"", "x".repeat(40_000));
    let large = (0..3).map(|_| event("k", Class::Bulk, &big)).collect();
    assert_eq!(Draft::from_batch(&Batch::new(large).unwrap(), UnixMs::new(0)).len(), 3);
}

#[test]
fn counts_only_carries_its_newest_state_as_its_last_event() {
    let kind = Kind::new("done").unwrap();
    let counts: Totals = [(&kind, 3)].into_iter().collect();
    let state = event("done", Class::State, "{}");
    let counts = CountsOnly::new(counts, Why::Unheard, Some(state)).unwrap();
    let bytes = Draft::from_counts(&counts, UnixMs::new(0)).assemble(&epoch(), Seq::new(1).unwrap(), &[]);
    let record = Record::decode(&bytes).unwrap();
    assert_eq!(record.state().unwrap().seq.get(), 3);
    assert!(matches!(record.body, Body::Counts { why: Why::Unheard, .. }));
}

#[test]
fn a_broken_body_leaves_the_header() {
    let drafts = Draft::from_batch(&Batch::new(vec![event("a", Class::Bulk, "12")]).unwrap(), UnixMs::new(0));
    let bytes = drafts[0].assemble(&epoch(), Seq::new(1).unwrap(), &[]);
    let mut broken = bytes.to_vec();
    *broken.last_mut().unwrap() = b'x';
    let error = Record::decode(&broken.into()).unwrap_err();
    let RecordError::Body { header, .. } = error else { panic!("{error}") };
    assert_eq!(header.into_counts().counts.get("a"), 1);
    assert_eq!(Record::decode(&Bytes::from_static(b"{\"hello\":1}")), Err(RecordError::Foreign));
}
