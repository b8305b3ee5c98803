//! What four difficult clients cost a good one: the fast client's delivery times alone, and beside the other four.
//!
//! `cargo bench -p tally-cli --bench five_clients` prints both, three times in turn. Times are from the producer's
//! call to the frame in the client's hands, so they include the producer's batch age (10 ms at most).
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use hdrhistogram::Histogram;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::Gateway;
use support::slow::SlowLink;
use tally_client::protocol::Rung;
use tally_client::{ChannelName, Client, Subscription, Update};
use tally_producer::{Class, Event, Kind, Producer, RawJson, UnixMs};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval};

const EVENTS_PER_SECOND: u64 = 2_000;
const DURING: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("{EVENTS_PER_SECOND} events/s of about 450 bytes for {} s; microseconds", DURING.as_secs());
    println!("{:<28}{:>8}{:>8}{:>8}{:>10}", "", "p50", "p99", "p99.9", "events");
    for _ in 0..ROUNDS {
        runtime.block_on(round("the fast client alone", false));
        runtime.block_on(round("beside four difficult ones", true));
    }
}

async fn round(name: &str, crowded: bool) {
    let gateway = Gateway::start(&[]);
    let channel: ChannelName = "job:five".parse().unwrap();
    let slow = SlowLink::start(gateway.listen, 5_000).await;
    let stalled = SlowLink::start(gateway.listen, 0).await;
    let full = || Subscription::new(&channel).max_rate(10_000);
    let mut others: Vec<AbortHandle> = Vec::new();
    if crowded {
        others.push(ignore(gateway.url(), Subscription::new(&channel).max_rate(30).tail()));
        others.push(ignore(gateway.url(), Subscription::new(&channel).rung(Rung::Counts)));
        others.push(ignore(slow.url(), full()));
        others.push(ignore(stalled.url(), full()));
    }
    let publishing = tokio::spawn(publish(gateway.url(), channel.clone()));
    let times = measure(gateway.url(), full()).await;
    publishing.await.unwrap();
    let at = |quantile| times.value_at_quantile(quantile);
    println!("{name:<28}{:>8}{:>8}{:>8}{:>10}", at(0.5), at(0.99), at(0.999), times.len());
    others.iter().for_each(AbortHandle::abort);
}

/// A client whose frames nobody looks at.
fn ignore(url: String, subscription: Subscription) -> AbortHandle {
    let listening = tokio::spawn(async move {
        let mut client = Client::connect(&url).unwrap();
        client.subscribe(subscription).unwrap();
        while client.next().await.is_some() {}
    });
    listening.abort_handle()
}

/// Microseconds from publish to frame, over the whole run but its first second.
async fn measure(url: String, subscription: Subscription) -> Histogram<u64> {
    let mut times = Histogram::new(3).unwrap();
    let mut client = Client::connect(&url).unwrap();
    client.subscribe(subscription).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < DURING {
        let Ok(update) = tokio::time::timeout(Duration::from_secs(1), client.next()).await else { continue };
        let Some(Update::Events(frame)) = update else { continue };
        let now = micros();
        for event in &frame.events {
            if begin.elapsed() > Duration::from_secs(1) {
                let sent: u64 =
                    event.data.as_str().trim_matches('"').split(' ').next().unwrap().parse().unwrap();
                times.record(now.saturating_sub(sent)).unwrap();
            }
        }
    }
    times
}

async fn publish(url: String, channel: ChannelName) {
    let producer = Producer::connect(&url).unwrap();
    let kind: Kind = "ok".parse().unwrap();
    let padding = "x".repeat(430);
    let mut step = interval(Duration::from_millis(10));
    let until = Instant::now() + DURING;
    while Instant::now() < until {
        step.tick().await;
        for _ in 0..EVENTS_PER_SECOND / 100 {
            let data = RawJson::string(&format!("{} {padding}", micros()));
            let event =
                Event { kind: kind.clone(), class: Class::Bulk, at: UnixMs::new(micros() / 1_000), data };
            producer.publish(&channel, event).unwrap();
        }
    }
    producer.close(Duration::from_secs(5)).await;
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}
