//! One function per decoder that reads from outside: any bytes may come, and what must hold then.
//!
//! Shared by the bounded property tests in `tests/decoders.rs` and the fuzz targets in `fuzz/`.

use bytes::Bytes;
use tally_protocol::*;

/// A message from the broker.
pub(crate) fn record(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let header = RecordHeader::decode(&bytes);
    match Record::decode(&bytes) {
        Ok(record) => {
            let header = header.expect("a record has a header");
            assert_eq!((&header.epoch, header.from, header.to), (&record.epoch, record.from, record.to));
            assert_eq!((&header.counts, header.sent_at), (&record.counts, record.sent_at));
            assert_eq!(record.counts.sum(), record.len());
            assert!(record.state().is_none_or(|state| state.seq >= record.from && state.seq <= record.to));
            frame_of(&record);
        }
        Err(RecordError::Body { header: told, .. }) => {
            assert_eq!(header.as_ref(), Ok(&*told));
            let told = told.into_counts();
            assert_eq!(told.counts.sum(), told.len());
        }
        Err(error) => assert_eq!(header, Err(error)),
    }
}

/// Listeners must be able to read what a record becomes.
fn frame_of(record: &Record) {
    let channel = ChannelName::new("job:42").expect("a valid name");
    let text = write_events_frame(&channel, record);
    let Body::Events(events) = &record.body else {
        assert_eq!(text, None);
        return;
    };
    assert_eq!(events.len() as u64, record.len());
    let text = String::from_utf8(text.expect("payloads have a frame")).expect("frames are UTF-8");
    let ServerFrame::Events(frame) = ServerFrame::decode(&text).expect("a frame that clients can read")
    else {
        panic!("an events frame");
    };
    assert_eq!((frame.from, frame.to, &frame.epoch), (record.from, record.to, &record.epoch));
    assert_eq!(frame.events.len(), events.len());
    for (told, event) in frame.events.iter().zip(events) {
        assert_eq!((&told.kind, &told.sent_as, told.class), (&event.kind, &event.sent_as, event.class));
        assert_eq!((told.at, &told.data), (event.at, &event.data));
    }
    assert_eq!(ServerFrame::Events(frame).encode(), text);
}

/// A text frame from a client.
pub(crate) fn client_frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientFrame::decode(text) {
        Ok(frame) => assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame)),
        Err(error) => {
            assert!(error.message.len() <= 403, "{}", error.message.len());
            assert!(error.id.is_none_or(|id| id < SEQ_END));
        }
    }
    names(text);
}

/// Names and epochs, as they stand in URLs, headers and frames.
pub(crate) fn names(text: &str) {
    let accepted = [
        ChannelName::new(text).map(|name| name.to_string()).ok(),
        ProducerId::new(text).map(|name| name.to_string()).ok(),
        Kind::new(text).map(|name| name.to_string()).ok(),
        Kind::from_producer(text).map(|name| name.to_string()).ok(),
        Epoch::new(text).map(|epoch| epoch.to_string()).ok(),
    ];
    for name in accepted.into_iter().flatten() {
        assert_eq!(name, text);
        assert!(name.len() <= CHANNEL_BYTES_MAX && !name.is_empty());
        assert_eq!(serde_json::to_string(&name).expect("text has a JSON form"), format!("\"{name}\""));
    }
}

/// Text frames from a server, one per line, booked in one ledger.
pub(crate) fn server_frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut ledger: Option<Ledger> = None;
    for line in text.lines() {
        let Ok(frame) = ServerFrame::decode(line) else { continue };
        let again = frame.encode();
        assert_eq!(ServerFrame::decode(&again).expect("what was written can be read"), frame);
        let before = ledger.clone();
        match book(&mut ledger, &frame) {
            Ok(()) => assert!(ledger.as_ref().is_none_or(Ledger::closes), "{ledger:?}"),
            Err(_) => assert_eq!(ledger, before),
        }
        let cursor = |ledger: &Option<Ledger>| ledger.as_ref().map(Ledger::cursor);
        let may_go_back = matches!(frame, ServerFrame::Subscribed(_) | ServerFrame::Reset(_));
        assert!(may_go_back || cursor(&ledger) >= cursor(&before));
    }
}

fn book(ledger: &mut Option<Ledger>, frame: &ServerFrame) -> Result<(), Violation> {
    if let ServerFrame::Subscribed(frame) = frame {
        *ledger = Ledger::attach(frame, ledger.clone())?.or(ledger.take());
        return Ok(());
    }
    let Some(ledger) = ledger else { return Ok(()) };
    match frame {
        ServerFrame::Events(frame) => ledger.handle_events(frame),
        ServerFrame::Counts(frame) => ledger.handle_counts(frame),
        ServerFrame::Summary(frame) => {
            frame.channels.iter().take(1).try_for_each(|one| ledger.handle_summary(frame.why, one))
        }
        ServerFrame::Reset(frame) => ledger.handle_reset(frame).map(drop),
        _ => Ok(()),
    }
}

/// A body from a program that publishes.
pub(crate) fn intake(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let drop = ["env".to_owned()];
    let read = |drop: &[String], on_error| read_events(&body, UnixMs::new(7), drop, on_error);
    let refusing = read(&[], OnError::Refuse);
    let skipping = read(&[], OnError::Skip);
    match (&refusing, &skipping) {
        (Ok(refusing), Ok(skipping)) => {
            assert_eq!(refusing.events, skipping.events);
            assert_eq!((refusing.skipped_count, skipping.skipped_count), (0, 0));
        }
        (Err(IntakeError::BadLine(bad)), Ok(skipping)) => {
            assert_eq!(skipping.skipped.first(), Some(bad));
            assert!(skipping.skipped.is_sorted_by_key(|bad| bad.line));
            let lines = 1 + data.iter().filter(|b| **b == b'\n').count();
            assert!(skipping.skipped.iter().all(|bad| (1..=lines).contains(&bad.line)));
        }
        (Err(_), Err(_)) => {}
        (refusing, skipping) => panic!("{refusing:?}, but when skipping {skipping:?}"),
    }
    for intake in [skipping, read(&drop, OnError::Skip)].into_iter().flatten() {
        check_events(&intake.events);
    }
    if let Ok(value) = RawJson::new(&body) {
        let event = read_value(value.clone(), UnixMs::new(7), &[]);
        let event = event.map(|event| event.data);
        assert!(event.is_err() || body.len() >= event.expect("just checked").len());
        let rest = drop_keys(&value, &drop);
        assert!(rest.len() <= value.len());
        assert_eq!(RawJson::new(rest.as_bytes()).expect("still JSON"), rest);
        assert_eq!(drop_keys(&rest, &drop), rest);
    }
}

/// What was taken in can be published, and comes out as it went in.
fn check_events(events: &[Event]) {
    let Ok(batch) = Batch::new(events.to_vec()) else { return };
    let epoch = Epoch::new("e").expect("a valid epoch");
    let mut from = Seq::ZERO.next();
    let mut rest = events;
    for draft in Draft::from_batch(&batch, UnixMs::new(8)) {
        let record = Record::decode(&draft.assemble(&epoch, from, &[])).expect("a record of valid events");
        let Body::Events(told) = &record.body else { panic!("payloads") };
        for (told, event) in told.iter().zip(rest) {
            assert_eq!((&told.kind, told.class, told.at), (&event.kind, event.class, event.at));
            assert_eq!(told.data, event.data);
        }
        rest = &rest[told.len()..];
        from = record.to.next();
    }
    assert!(rest.is_empty());
}
