//! One channel at 2,000 events/s and five clients as different as clients are: every ledger closes, kind by kind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::slow::{SlowLink, UNLIMITED};
use support::{Gateway, PATIENCE};
use tally_client::protocol::Rung;
use tally_client::{ChannelName, Client, Ledger, Subscription, Update};
use tally_producer::{Class, Event, Kind, Producer, RawJson, UnixMs};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

const EVENTS_PER_SECOND: u64 = 2_000;
const WARM_UP: Duration = Duration::from_secs(8);
const STALL: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(6);
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What kernel, proxy and gateway may hold for a client that does not read, and it gets before a summary. Without
/// summaries it would be all of 20 s: 18 MB.
const BACKLOG_BYTES_MAX: u64 = 256 * 1024;

/// What a client has when the channel is quiet again.
struct Seen {
    name: &'static str,
    ledger: Ledger,
    /// What its link had carried each time it was told a summary.
    summaries_at: Vec<u64>,
}

/// What a link has carried so far; `None` for a client without one.
type Carried = Option<Arc<AtomicU64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_clients_close_their_ledgers() {
    let gateway = Gateway::start(&[]);
    let channel: ChannelName = "job:five".parse().unwrap();
    let (end, ended) = watch::channel(0u64);
    let slow = SlowLink::start(gateway.listen, 5_000).await;
    let stalled = SlowLink::start(gateway.listen, UNLIMITED).await;
    let full = || Subscription::new(&channel).max_rate(10_000);
    let clients = [
        listen("fast", gateway.url(), full(), None, &ended),
        listen("throttled", gateway.url(), Subscription::new(&channel).max_rate(30).tail(), None, &ended),
        listen("counts", gateway.url(), Subscription::new(&channel).rung(Rung::Counts), None, &ended),
        listen("slow", slow.url(), full(), Some(slow.counter()), &ended),
        listen("stalled", stalled.url(), full(), Some(stalled.counter()), &ended),
    ];

    let publishing = tokio::spawn(publish(gateway.url(), channel.clone(), WARM_UP + STALL + AFTER));
    tokio::time::sleep(WARM_UP).await;
    let warm = gateway.resident_bytes();
    stalled.set_rate(0);
    tokio::time::sleep(STALL).await;
    let carried_before = stalled.carried();
    stalled.set_rate(UNLIMITED);
    slow.set_rate(50_000);
    let published = publishing.await.unwrap();
    let grown = gateway.resident_bytes().saturating_sub(warm);
    end.send(published).unwrap();

    let broker = gateway.channel("job:five");
    assert_eq!(broker["seq"], published, "the broker has what was acknowledged");
    for client in clients {
        let seen = timeout(PATIENCE, client).await.unwrap().unwrap();
        check(&seen, &broker);
        match seen.name {
            "fast" => assert_eq!(seen.ledger.full().sum(), published - seen.ledger.attached_seq().get()),
            "throttled" => assert!(seen.ledger.counted().values().any(|counted| counted.sum() > 0)),
            "counts" => assert_eq!(seen.ledger.full().sum(), 0),
            "slow" => assert!(!seen.ledger.summarised().is_empty(), "5 kB/s is too little for every event"),
            "stalled" => {
                assert!(!seen.ledger.summarised().is_empty(), "it was told a summary");
                let after = seen.summaries_at.iter().find(|carried| **carried > carried_before).unwrap();
                let backlog = after - carried_before;
                assert!(backlog < BACKLOG_BYTES_MAX, "{backlog} bytes came before the first summary");
            }
            other => panic!("{other}"),
        }
    }
    assert!(grown <= GROWTH_BYTES_MAX, "the gateway grew by {grown} bytes after its warm-up");
    let metrics = gateway.metrics();
    assert!(!metrics.contains("tally_law_violations_total{law"), "a client reported a broken law: {metrics}");
}

/// Law 1 for one client: its ledger closes, and its totals are the broker's.
fn check(seen: &Seen, broker: &serde_json::Value) {
    assert!(seen.ledger.closes(), "{}: {:?}", seen.name, seen.ledger);
    let totals = serde_json::to_value(seen.ledger.totals()).unwrap();
    assert_eq!(totals, broker["totals"], "{}", seen.name);
    assert_eq!(seen.ledger.epoch().unwrap().as_str(), broker["epoch"].as_str().unwrap(), "{}", seen.name);
}

fn listen(
    name: &'static str,
    url: String,
    subscription: Subscription,
    carried: Carried,
    ended: &watch::Receiver<u64>,
) -> tokio::task::JoinHandle<Seen> {
    let mut ended = ended.clone();
    tokio::spawn(async move {
        let channel = subscription.channel().clone();
        let mut client = Client::connect(&url).unwrap();
        client.subscribe(subscription).unwrap();
        let mut summaries_at = Vec::new();
        loop {
            let last = *ended.borrow_and_update();
            let cursor = client.ledger(&channel).map_or(0, |ledger| ledger.cursor().get());
            if last > 0 && cursor >= last {
                let ledger = client.ledger(&channel).unwrap().clone();
                return Seen { name, ledger, summaries_at };
            }
            let update = tokio::select! {
                update = client.next() => update.unwrap(),
                Ok(()) = ended.changed() => continue,
            };
            match update {
                Update::Summary(_) => {
                    summaries_at.extend(carried.as_ref().map(|carried| carried.load(Ordering::Relaxed)));
                }
                Update::Violation { violation, .. } => panic!("{name}: {violation}"),
                Update::Reset { .. } => panic!("{name}: continuity was never broken"),
                Update::Disconnected { cause, .. } => panic!("{name}: {cause}"),
                _ => {}
            }
        }
    })
}

/// Publishes for a while; answers how many events were published in full.
async fn publish(url: String, channel: ChannelName, during: Duration) -> u64 {
    let producer = Producer::connect(&url).unwrap();
    let kinds: Vec<Kind> = ["ok", "changed", "failed", "skipped"].map(|kind| kind.parse().unwrap()).to_vec();
    let padding = "x".repeat(400);
    let mut step = interval(Duration::from_millis(10));
    let until = Instant::now() + during;
    let mut n = 0;
    while Instant::now() < until {
        step.tick().await;
        for _ in 0..EVENTS_PER_SECOND / 100 {
            n += 1;
            let is_state = n % 500 == 0;
            let event = Event {
                kind: kinds[n % kinds.len()].clone(),
                class: if is_state { Class::State } else { Class::Bulk },
                at: UnixMs::new(n as u64),
                data: RawJson::string(&format!("{n} {padding}")),
            };
            producer.publish(&channel, event).unwrap();
        }
    }
    let closed = producer.close(PATIENCE).await;
    assert_eq!((closed.stats.unknown, closed.stats.counted, closed.stats.refused), (0, 0, 0));
    closed.stats.full
}
