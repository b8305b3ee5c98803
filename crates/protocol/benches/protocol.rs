//! What a record costs on its way: taken apart, written as a frame, read again and booked by a client.
#![expect(clippy::unwrap_used, reason = "names and positions here are constants")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tally_protocol::{
    Batch, ChannelName, Class, Draft, Epoch, Event, Kind, Ledger, Position, RawJson, Record, RecordHeader,
    Seq, ServerFrame, Totals, UnixMs, write_events_frame_after,
};

/// Bytes of one event's data.
const DATA_BYTES: usize = 2_000;

fn channel() -> ChannelName {
    ChannelName::new("job:42").unwrap()
}

fn epoch() -> Epoch {
    Epoch::new("k3Jd0sLq1ZpR8v2Y").unwrap()
}

/// A record of `n` events such as a job prints, as it comes from the broker.
fn message(n: usize) -> Bytes {
    let text = "the quick brown fox jumps over the lazy dog \\n".repeat(DATA_BYTES / 46);
    let data = format!("{{\"host\":\"node-17\",\"changed\":true,\"rc\":0,\"stdout\":\"{text}\"}}");
    let data = RawJson::new(&Bytes::from(data)).unwrap();
    let (kind, at) = (Kind::new("runner_on_ok").unwrap(), UnixMs::new(1_760_000_000_000));
    let events = vec![Event { kind, class: Class::Bulk, at, data }; n];
    let draft = Draft::from_batch(&Batch::new(events).unwrap(), at).remove(0);
    draft.assemble(&epoch(), Seq::new(1).unwrap(), &[])
}

fn records(c: &mut Criterion) {
    for n in [1, 16] {
        let message = message(n);
        c.bench_function(&format!("record: header of {n} x 2 kB"), |b| {
            b.iter(|| RecordHeader::decode(black_box(&message)).unwrap());
        });
        c.bench_function(&format!("record: decode {n} x 2 kB"), |b| {
            b.iter(|| Record::decode(black_box(&message)).unwrap());
        });
        let (channel, record) = (channel(), Record::decode(&message).unwrap());
        c.bench_function(&format!("events: write {n} x 2 kB"), |b| {
            b.iter(|| write_events_frame_after(10, &channel, black_box(&record)).unwrap());
        });
    }
}

fn clients(c: &mut Criterion) {
    let record = Record::decode(&message(1)).unwrap();
    let text = String::from_utf8(write_events_frame_after(0, &channel(), &record).unwrap()).unwrap();
    c.bench_function("client: decode a frame of 1 x 2 kB", |b| {
        b.iter(|| ServerFrame::decode(black_box(&text)).unwrap());
    });
    let ServerFrame::Events(frame) = ServerFrame::decode(&text).unwrap() else {
        unreachable!("an events frame")
    };
    let start = Position { epoch: Some(epoch()), seq: Seq::ZERO, totals: Totals::new(), state: None };
    let ledger = Ledger::open(&channel(), &start).unwrap();
    c.bench_function("ledger: book a frame of 1", |b| {
        let book = |ledger: &mut Ledger| ledger.handle_events(black_box(&frame)).unwrap();
        b.iter_batched_ref(|| ledger.clone(), book, BatchSize::SmallInput);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = records, clients
}
criterion_main!(benches);
