//! Seeded plans against the real embedded broker behind a network that loses, delays and refuses: what the receipts
//! say must be what was published.

use super::*;
use crate::receipt::Outcome;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use tally_backplane::{
    Away, BoxFuture, Embedded, EmbeddedNode, Head, Incoming, Limits, Publish, PublishError as CallError,
    Refusal, Stream,
};
use tally_protocol::{Body, Class, Event, Kind, Published, RawJson, Record, Snapshot, UnixMs};
use tokio::time::sleep;

const SEEDS: u64 = 200;

/// What may happen to a call, in percent; the rest go well.
#[derive(Debug, Clone, Copy)]
struct Weather {
    unavailable: u32,
    refused: u32,
    lost_request: u32,
    lost_reply: u32,
    delayed: u32,
    /// Of those without an answer: how many hang, and do not even fail.
    hangs: u32,
    /// Nothing gets through in this part of the plan.
    outage: Option<(u32, u32)>,
    /// The broker forgets the producers now and then. Only where nothing that was published is sent again: without
    /// its memory no broker can tell a first batch from its retry, which is why it keeps that for 120 s.
    forgets: bool,
}

impl Weather {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut some = |max: u32| if random.bool() { random.u32(0..=max) } else { 0 };
        let mut weather = Self {
            unavailable: some(30),
            refused: some(10),
            lost_request: some(20),
            lost_reply: some(20),
            delayed: some(10),
            hangs: some(100),
            outage: None,
            forgets: false,
        };
        if random.u32(0..3) == 0 {
            let begins = random.u32(0..50);
            weather.outage = Some((begins, begins + random.u32(1..30)));
        }
        weather.forgets = weather.delayed == 0 && weather.lost_reply == 0 && random.bool();
        weather
    }
}

/// The broker, behind a bad network.
struct Unreliable {
    node: Arc<EmbeddedNode>,
    network: Mutex<Network>,
}

struct Network {
    random: fastrand::Rng,
    /// `None`: it has cleared up.
    weather: Option<Weather>,
    outage: bool,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    Unavailable,
    Refused,
    LostRequest,
    LostReply,
    Delayed(Duration),
}

impl Network {
    fn fate(&mut self) -> (Fate, Duration, bool) {
        let latency = Duration::from_millis(self.random.u64(0..30));
        let Some(weather) = self.weather else { return (Fate::Good, latency, false) };
        let hangs = self.random.u32(0..100) < weather.hangs;
        if self.outage {
            let fate = if self.random.bool() { Fate::Unavailable } else { Fate::LostRequest };
            return (fate, latency, hangs);
        }
        let mut drawn = self.random.u32(0..100);
        let delay = Duration::from_millis(self.random.u64(0..40_000));
        let fates = [
            (weather.unavailable, Fate::Unavailable),
            (weather.refused, Fate::Refused),
            (weather.lost_request, Fate::LostRequest),
            (weather.lost_reply, Fate::LostReply),
            (weather.delayed, Fate::Delayed(delay)),
        ];
        for (percent, fate) in fates {
            if drawn < percent {
                return (fate, latency, hangs);
            }
            drawn -= percent;
        }
        (Fate::Good, latency, hangs)
    }
}

impl Unreliable {
    async fn call(&self, publish: Publish) -> Result<Published, CallError> {
        let (fate, latency, hangs) = self.network.lock().unwrap().fate();
        sleep(latency).await;
        match fate {
            Fate::Good => {
                let answer = self.node.publish(publish).await;
                sleep(latency).await;
                return answer;
            }
            Fate::Unavailable => return Err(CallError::Unavailable("away".into())),
            Fate::Refused => return Err(Refusal::ChannelFull.into()),
            Fate::LostRequest => {}
            Fate::LostReply => drop(self.node.publish(publish).await),
            Fate::Delayed(delay) => {
                let node = Arc::clone(&self.node);
                tokio::spawn(async move {
                    sleep(delay).await;
                    drop(node.publish(publish).await);
                });
            }
        }
        if hangs {
            std::future::pending::<()>().await;
        }
        Err(CallError::Unknown("no answer".into()))
    }
}

impl Backplane for Unreliable {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, CallError>> {
        Box::pin(self.call(publish))
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.node.subscribe(channels)
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.node.unsubscribe(channels)
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        self.node.snapshot(channel)
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        self.node.audit(channels)
    }
}

/// An event that `publish` accepted.
struct Accepted {
    id: u64,
    kind: Kind,
    receipt: Receipt,
}

#[derive(Debug, Default)]
struct Seen {
    full: u64,
    counted: u64,
    carried: u64,
    refused: u64,
    unknown: u64,
    unknown_published: u64,
    not_accepted: u64,
}

fn event(id: u64, random: &mut fastrand::Rng) -> Event {
    let pad = "x".repeat(random.usize(0..3_000));
    let data = RawJson::new(&Bytes::from(format!("{{\"id\":{id},\"pad\":\"{pad}\"}}"))).unwrap();
    let kind = Kind::new(&format!("k{}", random.u32(0..5))).unwrap();
    let class = if random.u32(0..10) == 0 { Class::State } else { Class::Bulk };
    Event { kind, class, at: UnixMs::new(id), data }
}

fn id(data: &RawJson) -> u64 {
    let digits = data.as_str().strip_prefix("{\"id\":").unwrap();
    digits[..digits.find(',').unwrap()].parse().unwrap()
}

fn settings(random: &mut fastrand::Rng) -> Settings {
    Settings {
        batch_events_max: random.usize(1..60),
        batch_bytes_max: random.usize(1..60_000),
        buffer_bytes_max: random.usize(64 << 10..256 << 10),
        counts_bytes_max: random.usize(64 << 10..128 << 10),
        counted_channels_max: random.usize(1..4),
        in_flight_max: random.usize(1..4),
        ..Settings::default()
    }
}

async fn run_plan(seed: u64) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let weather = Weather::draw(&mut random);
    let broker = Embedded::new(Limits::default());
    let (node, _stream) = broker.node();
    let (reader, stream) = broker.node();
    let channels: Vec<_> = (0..random.usize(1..5)).map(|n| format!("job:{n}").parse().unwrap()).collect();
    reader.subscribe(channels.clone()).await.unwrap();
    let network = Network { random: random.fork(), weather: Some(weather), outage: false };
    let unreliable = Arc::new(Unreliable { node: Arc::new(node), network: Mutex::new(network) });
    let settings = settings(&mut random);
    let transport = Transport::Direct(Arc::clone(&unreliable) as Arc<dyn Backplane>);
    let producer = Producer::start_seeded(settings.clone(), transport, seed);

    let mut accepted: HashMap<ChannelName, Vec<Accepted>> = HashMap::new();
    let mut seen = Seen::default();
    let mut next_id = 0;
    for round in 0..50 {
        let outage = weather.outage.is_some_and(|(begins, ends)| (begins..ends).contains(&round));
        unreliable.network.lock().unwrap().outage = outage;
        let channel = &channels[random.usize(0..channels.len())];
        if weather.forgets && random.u32(0..20) == 0 {
            broker.forget_producers(channel);
        }
        for _ in 0..random.u32(0..40) {
            next_id += 1;
            let event = event(next_id, &mut random);
            let kind = event.kind.clone();
            match producer.publish(channel, event) {
                Ok(receipt) => {
                    let all = accepted.entry(channel.clone()).or_default();
                    all.push(Accepted { id: next_id, kind, receipt });
                }
                Err(_) => seen.not_accepted += 1,
            }
            let stats = producer.stats();
            assert!(stats.buffer_bytes <= settings.buffer_bytes_max, "{stats:?}");
            assert!(stats.counts_bytes <= settings.counts_bytes_max, "{stats:?}");
        }
        let pause_ms_max = if random.u32(0..20) == 0 { 60_000 } else { 100 };
        sleep(Duration::from_millis(random.u64(0..pause_ms_max))).await;
        if random.u32(0..10) == 0 {
            let _remaining = producer.flush_within(Duration::from_secs(random.u64(0..5))).await;
        }
    }
    if random.bool() {
        unreliable.network.lock().unwrap().weather = None;
        producer.flush().await;
    }
    let closed = producer.close(Duration::from_secs(random.u64(0..90))).await;
    // What is delayed arrives.
    sleep(Duration::from_secs(60)).await;
    drop(reader);
    let records = read_all(stream).await;
    for (channel, accepted) in &accepted {
        check_channel(accepted, records.get(channel).map_or(&[], Vec::as_slice), &mut seen);
    }
    let stats = closed.stats;
    assert_eq!(
        (stats.full, stats.counted + stats.waiting, stats.refused, stats.unknown),
        (seen.full, seen.counted, seen.refused, seen.unknown)
    );
    seen
}

async fn read_all(mut stream: Stream) -> HashMap<ChannelName, Vec<Record>> {
    let mut records: HashMap<_, Vec<_>> = HashMap::new();
    while let Some(incoming) = stream.next().await {
        let Incoming::Message { channel, payload } = incoming else { panic!("{incoming:?}") };
        records.entry(channel).or_default().push(Record::decode(&payload).unwrap());
    }
    records
}

type Tally = BTreeMap<String, u64>;

/// What was published, as a listener sees it; numbers without a gap, and nothing twice.
#[derive(Default)]
struct Log {
    seq_of: HashMap<u64, u64>,
    /// By `from` and `to`: the kinds, and the state event that was carried.
    counts: BTreeMap<(u64, u64), (Tally, Option<u64>)>,
}

fn read_log(records: &[Record]) -> Log {
    let mut log = Log::default();
    let mut ids = HashSet::new();
    let mut head = 0;
    for record in records {
        assert_eq!(record.from.get(), head + 1, "numbers without a gap");
        head = record.to.get();
        match &record.body {
            Body::Events(events) => {
                for (seq, event) in (record.from.get()..).zip(events) {
                    assert!(ids.insert(id(&event.data)), "nothing twice");
                    log.seq_of.insert(id(&event.data), seq);
                }
            }
            Body::Counts { state, .. } => {
                let state = state.as_ref().map(|state| id(&state.data));
                assert!(state.is_none_or(|id| ids.insert(id)), "nothing twice");
                let counts = record.counts.iter().map(|(kind, n)| (kind.to_string(), n)).collect();
                log.counts.insert((record.from.get(), head), (counts, state));
            }
        }
    }
    log
}

/// Each receipt against the log; then what is left of the log against the unknown.
fn check_channel(accepted: &[Accepted], records: &[Record], seen: &mut Seen) {
    let mut log = read_log(records);
    let mut told: BTreeMap<(u64, u64), (Tally, Option<u64>)> = BTreeMap::new();
    let mut unknown = Tally::new();
    let mut unknown_ids = HashSet::new();
    let mut cursor = (0, 0);
    for Accepted { id, kind, receipt } in accepted {
        match receipt.peek().expect("a closed producer has told every outcome") {
            Outcome::Full { seq, .. } => {
                seen.full += 1;
                assert_eq!(log.seq_of.remove(id), Some(seq.get()), "full is there, once, at its seq");
                assert!(seq.get() > cursor.1, "order is kept");
                cursor = (seq.get(), seq.get());
            }
            Outcome::Counted { from, to, carried, .. } => {
                seen.counted += 1;
                seen.carried += u64::from(carried);
                let span = (from.get(), to.get());
                assert!(span == cursor || span.0 > cursor.1, "order is kept");
                cursor = span;
                let (counts, state) = told.entry(span).or_default();
                *counts.entry(kind.to_string()).or_default() += 1;
                if carried {
                    assert!(state.replace(*id).is_none(), "one state event is carried");
                }
            }
            Outcome::Refused { .. } => seen.refused += 1,
            Outcome::Unknown { .. } => {
                seen.unknown += 1;
                unknown_ids.insert(*id);
                *unknown.entry(kind.to_string()).or_default() += 1;
            }
        }
    }
    for (span, counts) in told {
        assert_eq!(log.counts.remove(&span), Some(counts), "counted is there, once, kind by kind");
    }
    // Whatever else was published has to be what nobody was sure of.
    for id in log.seq_of.keys() {
        assert!(unknown_ids.contains(id), "only the unknown is left");
        seen.unknown_published += 1;
    }
    for (counts, state) in log.counts.values() {
        assert!(state.is_none_or(|id| unknown_ids.contains(&id)), "only the unknown is left");
        for (kind, n) in counts {
            assert!(unknown.get(kind).is_some_and(|left| left >= n), "only the unknown is left");
        }
    }
}

fn run_seed(seed: u64) -> Seen {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run_plan(seed))
}

/// `TALLY_SEED=n` runs that plan alone.
#[test]
fn receipts_say_what_was_published() {
    if let Ok(seed) = std::env::var("TALLY_SEED") {
        println!("{:?}", run_seed(seed.parse().unwrap()));
        return;
    }
    let mut all = Seen::default();
    for seed in 0..SEEDS {
        let seen =
            std::panic::catch_unwind(|| run_seed(seed)).unwrap_or_else(|_| panic!("seed {seed} failed"));
        all.full += seen.full;
        all.counted += seen.counted;
        all.carried += seen.carried;
        all.refused += seen.refused;
        all.unknown += seen.unknown;
        all.unknown_published += seen.unknown_published;
        all.not_accepted += seen.not_accepted;
    }
    println!("{SEEDS} seeds: {all:?}");
    let Seen { full, counted, carried, refused, unknown, unknown_published, not_accepted } = all;
    assert!(
        [full, counted, carried, refused, unknown, unknown_published, not_accepted].iter().all(|n| *n > 100)
    );
}

#[test]
fn a_plan_runs_the_same_way_again() {
    let [first, second] = [(); 2].map(|()| format!("{:?}", run_seed(11)));
    assert_eq!(first, second);
}
