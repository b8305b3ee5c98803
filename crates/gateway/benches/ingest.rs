//! What a message costs from the link to a shard's hands: decoded, looked up, put into the inbox and taken out.
#![expect(clippy::unwrap_used, reason = "names and positions here are constants")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use tally_backplane::Incoming;
use tally_gateway::bench::IngestBench;
use tally_protocol::{Batch, ChannelName, Class, Draft, Epoch, Event, Kind, RawJson, Seq, UnixMs};

/// Messages of one batch.
const MESSAGES: usize = 128;

fn message(channel: &ChannelName) -> Incoming {
    let data = RawJson::new(&Bytes::from(format!("{{\"stdout\":\"{}\"}}", "x".repeat(2_000)))).unwrap();
    let (kind, at) = (Kind::new("runner_on_ok").unwrap(), UnixMs::new(1_760_000_000_000));
    let event = Event { kind, class: Class::Bulk, at, data };
    let draft = Draft::from_batch(&Batch::new(vec![event]).unwrap(), at).remove(0);
    let payload = draft.assemble(&Epoch::new("k3Jd0sLq1ZpR8v2Y").unwrap(), Seq::new(1).unwrap(), &[]);
    Incoming::Message { channel: channel.clone(), payload }
}

fn ingest(c: &mut Criterion) {
    let channels: Vec<_> = (0..1_000).map(|n| ChannelName::new(&format!("job:{n}")).unwrap()).collect();
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for (name, spread) in [("one channel", 1), ("1,000 channels", 1_000)] {
        let mut bench = IngestBench::new(&channels[..spread]);
        let batch: Vec<_> =
            channels[..spread].iter().cycle().take(MESSAGES * 8).step_by(8).map(message).collect();
        group.bench_function(format!("128 messages of 2 kB, {name}"), |b| {
            let pass = |batch: &mut Vec<_>| assert_eq!(bench.pass(batch), MESSAGES);
            b.iter_batched_ref(|| batch.clone(), pass, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = ingest
}
criterion_main!(benches);
