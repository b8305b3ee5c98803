//! What one event costs: with listeners at full, and with any number of listeners that are not.
#![expect(clippy::unwrap_used, reason = "names and positions here are constants")]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use tally_fanout::{ChannelRecord, ConnId, Hub, HubLimits, Shared, Time};
use tally_protocol::{
    Body, ChannelName, Class, ClientFrame, Epoch, Kind, RawJson, Record, RecordEvent, Rung, Seq, Snapshot,
    SubscribeChannel, SubscribeRequest, Totals, UnixMs,
};

const FULL: usize = 100;
/// Events per second, so that nobody is throttled by its own or its connection's rate.
const RATE: u64 = 10_000;

struct Bench {
    hub: Hub,
    full: Vec<ConnId>,
    now: u64,
    seq: u64,
}

impl Bench {
    /// `reduced` listeners, half of them at counts and half at summary, beside those at full; one channel each.
    fn new(reduced: usize) -> Self {
        let mut bench = Self { hub: Hub::new(HubLimits::default()), full: vec![], now: 1, seq: 0 };
        for _ in 0..FULL {
            let conn = bench.listener(Rung::Full);
            bench.full.push(conn);
        }
        for i in 0..reduced {
            bench.listener(if i % 2 == 0 { Rung::Counts } else { Rung::Summary });
        }
        let snapshot =
            Snapshot { epoch: epoch(), prev: None, seq: Seq::ZERO, totals: Totals::new(), state: None };
        bench.hub.handle_snapshot(bench.time(), &channel(), Some(snapshot), 0);
        bench.pull();
        bench
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn listener(&mut self, rung: Rung) -> ConnId {
        let conn = self.hub.handle_connect(self.time());
        let wish = SubscribeChannel { rung, max_rate: Some(RATE), ..SubscribeChannel::new(&channel()) };
        let request = SubscribeRequest { id: 1, channels: vec![wish] };
        self.hub.handle_frame(self.time(), conn, ClientFrame::Subscribe(request));
        conn
    }

    fn pull(&mut self) {
        while let Some(conn) = self.hub.poll_ready() {
            while let Some(output) = self.hub.poll_output(self.time(), conn) {
                black_box(output);
            }
        }
    }

    fn next_record(&mut self) -> Arc<Shared<ChannelRecord>> {
        self.seq += 1;
        // Between two ticks: their cost is measured apart.
        self.now += 100;
        record(self.seq)
    }

    /// One event, and everything that is due because of it.
    fn event(&mut self, record: &Arc<Shared<ChannelRecord>>) {
        self.hub.handle_record(self.time(), record);
        self.pull();
    }

    /// One tick of all grids, with everything that is due because of it.
    fn tick(&mut self) {
        self.now = (self.now / 5_000_000 + 1) * 5_000_000;
        self.hub.handle_timeout(self.time());
        self.pull();
    }
}

fn channel() -> ChannelName {
    ChannelName::new("job:42").unwrap()
}

fn epoch() -> Epoch {
    Epoch::new("e").unwrap()
}

fn record(at: u64) -> Arc<Shared<ChannelRecord>> {
    let kind = Kind::new("stdout").unwrap();
    let data = RawJson::new(&Bytes::from(format!("\"{}\"", "x".repeat(200)))).unwrap();
    let (seq, at) = (Seq::new(at).unwrap(), UnixMs::new(0));
    let event = RecordEvent { kind: kind.clone(), sent_as: None, class: Class::Bulk, at, data };
    let counts = [(&kind, 1)].into_iter().collect();
    let record =
        Record { epoch: epoch(), from: seq, to: seq, sent_at: at, counts, body: Body::Events(vec![event]) };
    Arc::new(Shared::new(ChannelRecord { channel: channel(), record }))
}

fn events(c: &mut Criterion) {
    for reduced in [0, 1_000, 100_000] {
        let mut bench = Bench::new(reduced);
        c.bench_function(&format!("one event, 100 at full, {reduced} reduced"), |b| {
            b.iter(|| {
                let record = bench.next_record();
                bench.event(&record);
            });
        });
        c.bench_function(&format!("one tick, {reduced} reduced"), |b| {
            b.iter(|| {
                let record = bench.next_record();
                bench.event(&record);
                bench.tick();
            });
        });
    }
}

criterion_group!(benches, events);
criterion_main!(benches);
