//! The golden vectors, both ways: what is decoded is what they say, and what is encoded is theirs byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tally_protocol::*;

/// The cases of one file, each with its name.
fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct File<T> {
        #[expect(dead_code, reason = "for people")]
        about: Vec<String>,
        cases: Vec<T>,
    }
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let file: File<T> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!file.cases.is_empty());
    file.cases
}

fn raw(text: &str) -> RawJson {
    RawJson::new(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

#[test]
fn server_frames() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        text: String,
        canonical: Option<String>,
        #[serde(default)]
        refused: bool,
    }
    for case in cases::<Case>("server_frames") {
        let decoded = ServerFrame::decode(&case.text);
        assert_eq!(decoded.is_err(), case.refused, "{}: {decoded:?}", case.name);
        let Ok(frame) = decoded else { continue };
        let canonical = case.canonical.as_ref().unwrap_or(&case.text);
        assert_eq!(&frame.encode(), canonical, "{}", case.name);
        assert_eq!(ServerFrame::decode(canonical).unwrap(), frame, "{}", case.name);
        assert_eq!(
            matches!(frame, ServerFrame::Unknown(_)),
            case.name.starts_with("unknown"),
            "{}",
            case.name
        );
    }
}

#[test]
fn client_frames() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        text: String,
        canonical: Option<String>,
        refused: Option<String>,
        id: Option<u64>,
    }
    for case in cases::<Case>("client_frames") {
        match (ClientFrame::decode(&case.text), case.refused) {
            (Ok(frame), None) => {
                let canonical = case.canonical.as_ref().unwrap_or(&case.text);
                assert_eq!(&frame.encode(), canonical, "{}", case.name);
                assert_eq!(&ClientFrame::decode(canonical).unwrap(), &frame, "{}", case.name);
            }
            (Err(error), Some(code)) => {
                assert_eq!((error.code.as_str(), error.id), (&*code, case.id), "{}: {error}", case.name);
            }
            (decoded, refused) => panic!("{}: {decoded:?}, wanted {refused:?}", case.name),
        }
    }
}

#[derive(Deserialize)]
struct GivenEvent {
    kind: Kind,
    class: Class,
    at: UnixMs,
    data: String,
}

impl GivenEvent {
    fn to_event(&self) -> Event {
        Event { kind: self.kind.clone(), class: self.class, at: self.at, data: raw(&self.data) }
    }
}

/// What a producer sent, and where the broker put it.
#[derive(Deserialize)]
struct Given {
    epoch: Epoch,
    from: Seq,
    folded: Vec<u16>,
    sent_at: UnixMs,
    events: Option<Vec<GivenEvent>>,
    counts: Option<Totals>,
    why: Option<Why>,
    state: Option<GivenEvent>,
}

impl Given {
    fn encode(&self) -> Bytes {
        let draft = match (&self.events, &self.counts) {
            (Some(events), None) => {
                let batch = Batch::new(events.iter().map(GivenEvent::to_event).collect()).unwrap();
                let [draft] = &Draft::from_batch(&batch, self.sent_at)[..] else { panic!("one record") };
                draft.clone()
            }
            (None, Some(counts)) => {
                let state = self.state.as_ref().map(GivenEvent::to_event);
                let counts = CountsOnly::new(counts.clone(), self.why.unwrap(), state).unwrap();
                Draft::from_counts(&counts, self.sent_at)
            }
            _ => panic!("either events or counts"),
        };
        draft.assemble(&self.epoch, self.from, &self.folded)
    }
}

fn header_value(header: &RecordHeader) -> Value {
    json!({
        "epoch": header.epoch, "from": header.from, "to": header.to, "sent_at": header.sent_at,
        "counts": header.counts, "why": header.why,
    })
}

fn record_value(record: &Record) -> Value {
    let event = |seq: Seq, kind: &Kind, sent_as: &Option<Kind>, class: Class, at: UnixMs, data: &RawJson| {
        json!({
            "seq": seq, "kind": kind, "sent_as": sent_as, "class": class, "at": at, "data": data.as_str(),
        })
    };
    let mut value = json!({
        "epoch": record.epoch, "from": record.from, "to": record.to, "sent_at": record.sent_at,
        "counts": record.counts, "why": null,
    });
    match &record.body {
        Body::Events(events) => {
            let events = events.iter().enumerate().map(|(i, one)| {
                let seq = record.from.plus(i as u64);
                event(seq, &one.kind, &one.sent_as, one.class, one.at, &one.data)
            });
            value["events"] = events.collect();
        }
        Body::Counts { why, state } => {
            value["why"] = json!(why);
            let state = state.as_ref().map(|state| {
                event(state.seq, &state.kind, &state.sent_as, Class::State, state.at, &state.data)
            });
            value["state"] = json!(state);
        }
    }
    value
}

fn from_hex(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>().into()
}

#[test]
fn records() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        hex: String,
        given: Option<Given>,
        record: Option<Value>,
        refused: Option<String>,
        header: Option<Value>,
    }
    for case in cases::<Case>("records") {
        let name = &case.name;
        let bytes = from_hex(&case.hex);
        if let Some(given) = &case.given {
            assert_eq!(given.encode(), bytes, "{name}");
        }
        match (Record::decode(&bytes), case.refused.as_deref()) {
            (Ok(record), None) => {
                assert_eq!(Some(record_value(&record)), case.record, "{name}");
                let header = RecordHeader::decode(&bytes).unwrap();
                assert_eq!((header.epoch, header.from, header.to), (record.epoch, record.from, record.to));
                assert_eq!((header.counts, header.sent_at), (record.counts, record.sent_at), "{name}");
            }
            (Err(RecordError::Body { header, .. }), Some("body")) => {
                assert_eq!(Some(header_value(&header)), case.header, "{name}");
                assert_eq!(RecordHeader::decode(&bytes).as_ref(), Ok(&*header), "{name}");
                let told = header.clone().into_counts();
                assert_eq!(
                    (told.counts.sum(), told.len()),
                    (header.counts.sum(), told.counts.sum()),
                    "{name}"
                );
            }
            (Err(error), Some(refused)) => {
                let kind = match error {
                    RecordError::Foreign => "foreign",
                    RecordError::Version(_) => "version",
                    RecordError::Header(_) => "header",
                    RecordError::Body { .. } => "body",
                };
                assert_eq!(kind, refused, "{name}: {error}");
                assert_eq!(RecordHeader::decode(&bytes).unwrap_err(), error, "{name}");
            }
            (decoded, refused) => panic!("{name}: {decoded:?}, wanted {refused:?}"),
        }
    }
}

#[test]
fn names() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        r#type: String,
        text: String,
        accepted: bool,
    }
    for case in cases::<Case>("names") {
        let text = &case.text;
        let accepted = match &*case.r#type {
            "channel" => ChannelName::new(text).is_ok_and(|name| name.as_str() == text),
            "kind" => Kind::new(text).is_ok_and(|kind| kind.as_str() == text),
            "producer_kind" => Kind::from_producer(text).is_ok_and(|kind| kind.as_str() == text),
            "producer" => ProducerId::new(text).is_ok_and(|producer| producer.as_str() == text),
            "epoch" => Epoch::new(text).is_ok_and(|epoch| epoch.as_str() == text),
            other => panic!("{other}"),
        };
        assert_eq!(accepted, case.accepted, "{}", case.name);
    }
}

#[test]
fn intake() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        body: Option<String>,
        body_hex: Option<String>,
        now: UnixMs,
        drop: Vec<String>,
        on_error: String,
        events: Option<Vec<Value>>,
        #[serde(default)]
        skipped: Vec<usize>,
        refused: Option<String>,
        line: Option<usize>,
    }
    for case in cases::<Case>("intake") {
        let name = &case.name;
        let body = case.body.map(Bytes::from).or_else(|| case.body_hex.as_deref().map(from_hex)).unwrap();
        let on_error = if case.on_error == "skip" { OnError::Skip } else { OnError::Refuse };
        match (read_events(&body, case.now, &case.drop, on_error), case.refused.as_deref()) {
            (Ok(intake), None) => {
                let events: Vec<Value> = intake
                    .events
                    .iter()
                    .map(|one| {
                        json!({"kind": one.kind, "class": one.class, "at": one.at, "data": one.data.as_str()})
                    })
                    .collect();
                assert_eq!(Some(events), case.events, "{name}");
                let skipped: Vec<_> = intake.skipped.iter().map(|bad| bad.line).collect();
                assert_eq!((&skipped, intake.skipped_count), (&case.skipped, skipped.len()), "{name}");
            }
            (Err(IntakeError::BadLine(bad)), Some("bad_line")) => {
                assert_eq!(Some(bad.line), case.line, "{name}: {}", bad.message);
            }
            (Err(IntakeError::Empty), Some("empty")) => {}
            (read, refused) => panic!("{name}: {read:?}, wanted {refused:?}"),
        }
    }
}

#[test]
fn ledgers() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        channel: ChannelName,
        frames: Vec<String>,
        ledger: Value,
        closed: Vec<Value>,
        violation: Option<String>,
    }
    for case in cases::<Case>("ledger") {
        let name = &case.name;
        let mut account = Account::default();
        for (i, text) in case.frames.iter().enumerate() {
            let result = account.book(&case.channel, ServerFrame::decode(text).unwrap());
            let is_last = i + 1 == case.frames.len();
            match (result, &case.violation) {
                (Err(violation), Some(law)) if is_last => {
                    assert_eq!(violation.law.as_str(), law, "{name}: {violation}");
                    assert_eq!(violation.law.as_str().parse(), Ok(violation.law));
                }
                (Ok(()), violation) if !(is_last && violation.is_some()) => {}
                (result, violation) => panic!("{name}, frame {i}: {result:?}, wanted {violation:?}"),
            }
        }
        assert_eq!(account.ledger.as_ref().map_or(Value::Null, ledger_value), case.ledger, "{name}");
        assert_eq!(account.closed.iter().map(ledger_value).collect::<Vec<_>>(), case.closed, "{name}");
    }
}

/// What a client keeps of one channel.
#[derive(Default)]
struct Account {
    ledger: Option<Ledger>,
    closed: Vec<Ledger>,
}

impl Account {
    fn book(&mut self, channel: &ChannelName, frame: ServerFrame) -> Result<(), Violation> {
        match frame {
            ServerFrame::Subscribed(frame) => {
                let kept = self.ledger.clone();
                let attached = Ledger::attach(&frame, kept)?;
                if matches!(frame.attach, Attach::At(_)) {
                    self.closed.extend(self.ledger.take());
                }
                self.ledger = attached.or(self.ledger.take());
                Ok(())
            }
            ServerFrame::Events(frame) => self.ledger.as_mut().unwrap().handle_events(&frame),
            ServerFrame::Counts(frame) => self.ledger.as_mut().unwrap().handle_counts(&frame),
            ServerFrame::Summary(frame) => {
                let one = frame.channels.iter().find(|one| one.channel == *channel).unwrap();
                self.ledger.as_mut().unwrap().handle_summary(frame.why, one)
            }
            ServerFrame::Reset(frame) => {
                self.closed.push(self.ledger.as_mut().unwrap().handle_reset(&frame)?);
                Ok(())
            }
            other => panic!("{other:?} is of no ledger"),
        }
    }
}

fn ledger_value(ledger: &Ledger) -> Value {
    assert!(ledger.closes(), "{ledger:?}");
    json!({
        "epoch": ledger.epoch(),
        "attached_seq": ledger.attached_seq(),
        "attached_totals": ledger.attached_totals(),
        "cursor": ledger.cursor(),
        "totals": ledger.totals(),
        "full": ledger.full(),
        "counted": ledger.counted(),
        "summarised": ledger.summarised(),
        "state_seq": ledger.state().map(|state| state.seq),
    })
}

#[test]
fn close_codes() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        number: u16,
        comes_back: bool,
    }
    let cases = cases::<Case>("close_codes");
    for case in &cases {
        assert_eq!(CloseCode::comes_back(case.number), case.comes_back, "{}", case.name);
        let known = CLOSE_CODES.into_iter().find(|code| code.number() == case.number);
        let name = known.map_or_else(|| format!("not Tally's: {}", case.number), |code| code.as_str().into());
        assert_eq!(name, case.name);
    }
    assert!(CLOSE_CODES.iter().all(|code| cases.iter().any(|case| case.number == code.number())));
}
