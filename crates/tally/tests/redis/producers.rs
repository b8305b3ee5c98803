//! Many producers on one channel, over a network that loses replies: gapless, nothing twice, nothing missing.

use crate::gateway;
use crate::support::PATIENCE;
use crate::support::listener::Listener;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use tally_client::Update;

const PRODUCERS: usize = 8;
const EVENTS: u64 = 1_000;
/// Of each producer: enough time, and batches, for replies to be lost.
const EVENTS_PER_SECOND: &str = "400";
const REPLIES_LOST: u64 = 8;

/// `tally publish`, which is one process with one producer.
fn publish(to: &str, producer: usize) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    command.args(["publish", "--to", to, "--channel", "job:1", "--rate", EVENTS_PER_SECOND]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = String::new();
    for number in 1..=EVENTS {
        writeln!(input, "{{\"kind\":\"p{producer}\",\"data\":{number}}}").unwrap();
    }
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_producers_on_one_channel_lose_replies_and_nothing_else() {
    let redis = Redis::start();
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port).into()).await;
    let gateways = [gateway(&redis.url(), &[]), gateway(&redis.url(), &[])];
    let mut all = Listener::attach(&gateways[0], "job:1").await;
    let mut some =
        Listener::ask_for(&gateways[1].url(), tally_client::Subscription::new(&all.channel).max_rate(50));
    some.until_attached().await;

    proxy.swallow(REPLIES_LOST);
    let to = format!("redis://{}", proxy.address);
    let running: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let to = to.clone();
            tokio::task::spawn_blocking(move || publish(&to, producer))
        })
        .collect();
    let published = PRODUCERS as u64 * EVENTS;
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while all.ledger().cursor().get() < published {
        if let Update::Events(frame) = all.next().await {
            for event in &frame.events {
                let number = event.data.as_str().parse().unwrap();
                seen.entry(event.kind.as_str().to_owned()).or_default().push(number);
            }
        }
    }
    for producer in running {
        let done = tokio::time::timeout(PATIENCE, producer).await.unwrap().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        assert!(said.contains(&format!("{EVENTS} in full, 0 counted, 0 unknown, 0 refused")), "{said}");
    }
    assert_eq!(proxy.to_swallow(), 0, "replies were lost");
    let each: Vec<u64> = (1..=EVENTS).collect();
    assert_eq!(seen.len(), PRODUCERS);
    for (producer, numbers) in &seen {
        assert_eq!(*numbers, each, "{producer}: once each, in order");
    }
    some.read_to(published).await;
    for (listener, gateway) in [&all, &some].into_iter().zip(&gateways) {
        listener.check(gateway);
    }
    assert_eq!(all.ledger().full().sum(), published);
    assert!(!some.ledger().counted().is_empty(), "50 events per second were asked for");
}
