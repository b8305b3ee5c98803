//! What Redis is asked for and what it sends: only channels that somebody watches, and payloads only where somebody does.

use crate::support::listener::Listener;
use crate::support::proxy::Proxy;
use crate::support::redis::{Answer, Connection, Redis};
use crate::support::{Gateway, PATIENCE, post};
use crate::{eventually, gateway};
use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tally_client::{ChannelName, Subscription, Update};
use tally_producer::{Class, Event, Producer, RawJson, UnixMs};

fn event(data_bytes: usize) -> Event {
    let data = RawJson::string(&"x".repeat(data_bytes));
    Event { kind: "line".parse().unwrap(), class: Class::Bulk, at: UnixMs::new(1), data }
}

fn name(n: usize) -> ChannelName {
    format!("job:{n}").parse().unwrap()
}

async fn attach_all(gateway: &Gateway, channels: std::ops::Range<usize>) -> Vec<Listener> {
    let mut listeners: Vec<_> = channels.map(|n| Listener::ask(&gateway.url(), name(n).as_str())).collect();
    for listener in &mut listeners {
        listener.until_attached().await;
    }
    listeners
}

/// Subscribes as any program could, and weighs the records of these channels until `end` is published.
struct Scale {
    bytes: mpsc::Receiver<u64>,
}

impl Scale {
    fn start(redis: &Redis, channels: std::ops::Range<usize>) -> Self {
        let mut connection = Connection::open(redis.port);
        let names: Vec<_> = channels.map(|n| format!("tally:{{{}}}", name(n))).collect();
        let mut arguments = vec!["SUBSCRIBE", "end"];
        arguments.extend(names.iter().map(String::as_str));
        connection.send(&arguments);
        for _ in &arguments[1..] {
            connection.read();
        }
        let (sender, bytes) = mpsc::channel();
        std::thread::spawn(move || {
            let mut weight = 0;
            loop {
                let Answer::Many(mut message) = connection.read() else { panic!("no message") };
                let (Some(Answer::Text(payload)), Some(channel)) = (message.pop(), message.pop()) else {
                    panic!("no payload")
                };
                if channel.text() == "end" {
                    return sender.send(weight).unwrap();
                }
                weight += payload.len() as u64;
            }
        });
        Self { bytes }
    }

    fn read(self, redis: &Redis) -> u64 {
        redis.run(&["PUBLISH", "end", ""]);
        self.bytes.recv_timeout(PATIENCE).unwrap()
    }
}

const CHANNELS: usize = 1_000;
const ROUNDS: usize = 5;
const EVENTS_PER_ROUND: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_gets_the_channels_that_are_watched_on_it_and_no_other() {
    let redis = Redis::start();
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port).into()).await;
    let grace = ["--set", "grace_ms=300"];
    let a = Gateway::start(&[&["--redis", &format!("redis://{}", proxy.address)], &grace[..]].concat());
    let b = Gateway::start(&[&["--redis", &redis.url()], &grace[..]].concat());
    let mut on_a = attach_all(&a, 0..10).await;
    let mut on_b = attach_all(&b, 10..20).await;
    let mut expected: Vec<_> = (0..20).map(|n| format!("tally:{{{}}}", name(n))).collect();
    expected.sort();
    assert_eq!(redis.listened(), expected);

    let scale = Scale::start(&redis, 0..10);
    let before = proxy.carried_down();
    let producer = Producer::builder().buffer_bytes_max(64 * 1024 * 1024).connect(&redis.url()).unwrap();
    for _ in 0..ROUNDS {
        for channel in 0..CHANNELS {
            for _ in 0..EVENTS_PER_ROUND {
                producer.publish(&name(channel), event(1_000)).unwrap();
            }
        }
        tokio::time::timeout(PATIENCE, producer.flush()).await.unwrap();
    }
    let published = (ROUNDS * EVENTS_PER_ROUND) as u64;
    for listener in on_a.iter_mut().chain(&mut on_b) {
        listener.read_to(published).await;
        assert_eq!(listener.ledger().full().sum(), published);
    }
    let (sent, records) = (proxy.carried_down() - before, scale.read(&redis));
    assert!(records > 10 * published * 1_000, "{records}");
    println!("Redis sent {sent} bytes for records of {records}");
    assert!(sent as f64 <= 1.1 * records as f64, "Redis sent {sent} bytes for records of {records}");
    for channel in [0, 10, 20, CHANNELS - 1] {
        assert_eq!(b.channel(name(channel).as_str())["seq"], published);
    }

    drop((on_a, on_b));
    eventually("no channel is subscribed", || redis.listened().is_empty()).await;
}

#[tokio::test]
async fn a_plain_publish_reaches_listeners_without_a_number() {
    let redis = Redis::start();
    let gateway = gateway(&redis.url(), &[]);
    let mut listener = Listener::attach(&gateway, "job:7").await;
    let publish = |text: &str| {
        assert_eq!(redis.run(&["PUBLISH", "tally:{job:7}", text]), Answer::Number(1), "one gateway listens");
    };
    let is_unnumbered = |update: &Update| matches!(update, Update::Unnumbered(_));
    publish(r#"{"hello":1}"#);
    let frame = listener.until(is_unnumbered).await;
    let text = frame.text().unwrap().as_str();
    assert_eq!(text, r#"{"type":"unnumbered","channel":"job:7","events":[{"hello":1}],"dropped":0}"#);
    publish("hello");
    publish("[ 1.0e2 ]");
    let frame = listener.until(is_unnumbered).await;
    assert!(frame.text().unwrap().as_str().contains(r#""events":[[ 1.0e2 ]],"dropped":1}"#), "{frame:?}");
    post(gateway.listen, "/v1/channels/job:7/events", "[1,2,3]");
    listener.read_to(3).await;
    listener.check(&gateway);
    assert_eq!(listener.ledger().full().sum(), 3);
    eventually("metrics tell of it", || {
        let metrics = gateway.metrics();
        ["messages_total{outcome=\"passed\"} 2", "messages_total{outcome=\"not_json\"} 1"]
            .iter()
            .chain(&["events_total{outcome=\"delivered\"} 2", "events_total{outcome=\"dropped\"} 1"])
            .all(|line| metrics.contains(&format!("tally_unnumbered_{line}")))
    })
    .await;
}

/// Unsubscribing at once, a late one must never end a fresh subscription.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_hears_everything_while_there() {
    let redis = Redis::start();
    let gateway = gateway(&redis.url(), &["--set", "grace_ms=0"]);
    let producer = Producer::connect(&redis.url()).unwrap();
    let publishing = tokio::spawn(async move {
        let mut steps = tokio::time::interval(Duration::from_millis(5));
        loop {
            steps.tick().await;
            producer.publish(&name(1), event(100)).unwrap();
        }
    });
    for _ in 0..30 {
        let mut listener = Listener::attach(&gateway, "job:1").await;
        listener.until(|update| matches!(update, Update::Events(_))).await;
        let from = listener.ledger().cursor().get();
        listener.read_past(from + 5).await;
        assert!(listener.ledger().closes());
    }
    publishing.abort();
    eventually("no channel is subscribed", || redis.listened().is_empty()).await;
}

/// A `tally watch`, and the frames that it prints.
struct Watch {
    child: Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Watch {
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command.args(["watch", "--json", "--gateway", &gateway.url()]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn until(&mut self, wanted: &str) -> serde_json::Value {
        loop {
            let line = self.lines.next().expect("it watches on").unwrap();
            let frame: serde_json::Value = serde_json::from_str(&line).unwrap();
            if frame["type"] == wanted {
                return frame;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

#[tokio::test]
async fn a_page_that_is_opened_half_way_is_right_at_once() {
    let redis = Redis::start();
    let (a, b) = (gateway(&redis.url(), &[]), gateway(&redis.url(), &["--shards", "3"]));
    let mut holder = Listener::attach(&b, "job:1").await;
    for n in 0..10 {
        let state = format!("{{\"kind\":\"progress\",\"class\":\"state\",\"data\":{n}}}");
        let body =
            format!("{{\"kind\":\"ok\",\"data\":{n}}}\n{{\"kind\":\"ok\"}}\n{state}\n{{\"kind\":\"skip\"}}");
        assert_eq!(post(a.listen, "/v1/channels/job:1/events", &body).0, 200);
    }
    holder.read_to(40).await;

    let broker = a.channel("job:1");
    assert_eq!((&broker["seq"], &broker["state"]["seq"]), (&40.into(), &39.into()));
    for gateway in [&a, &b] {
        let subscribed = Watch::start(gateway, &["job:1"]).until("subscribed");
        for field in ["epoch", "seq", "totals", "state"] {
            assert_eq!(subscribed[field], broker[field], "{field}");
        }
    }
    // B holds what its listener watched.
    let mut watch = Watch::start(&b, &["--last", "20", "job:1"]);
    assert_eq!(watch.until("subscribed")["seq"], 20);
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let frame = watch.until("events");
        seen.extend(frame["events"].as_array().unwrap().iter().map(|event| event["kind"].clone()));
    }
    assert_eq!(seen, ["ok", "ok", "progress", "skip"].repeat(5));
}

/// What a debug build does beside other tests; `UNHEARD_CHANNELS=1000` with a release build is the real figure.
const UNHEARD_CHANNELS: &str = "100";
const UNHEARD_STEP: Duration = Duration::from_millis(50);
const UNHEARD_EVENTS_PER_STEP: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_hears_is_counted_and_whoever_comes_gets_it_in_full() {
    let channels = std::env::var("UNHEARD_CHANNELS").unwrap_or_else(|_| UNHEARD_CHANNELS.into());
    let channels: usize = channels.parse().unwrap();
    let redis = Redis::start();
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port).into()).await;
    let gateway = gateway(&redis.url(), &[]);
    let producer = Producer::builder()
        .buffer_bytes_max(64 * 1024 * 1024)
        .connect(&format!("redis://{}", proxy.address))
        .unwrap();
    let mut steps = tokio::time::interval(UNHEARD_STEP);
    let mut published = 0;
    let mut step = async || {
        steps.tick().await;
        for channel in 0..channels {
            for _ in 0..UNHEARD_EVENTS_PER_STEP {
                producer.publish(&name(channel), event(1_000)).unwrap();
            }
        }
        published += UNHEARD_EVENTS_PER_STEP as u64;
        published
    };
    for _ in 0..20 {
        step().await;
    }
    let before = proxy.carried_up();
    for _ in 0..20 {
        step().await;
    }
    let (carried, withheld) = (proxy.carried_up() - before, 20 * UNHEARD_EVENTS_PER_STEP * channels * 1_000);
    assert!(carried < withheld as u64 / 10, "{carried} bytes went to Redis for {withheld} of payload");

    let mut listener = Listener::ask_for(&gateway.url(), Subscription::new(&name(0)).max_rate(10_000));
    let mut first_full = None;
    let mut attached_at = None;
    let deadline = Instant::now() + PATIENCE;
    while first_full.is_none() {
        assert!(Instant::now() < deadline, "nothing comes in full: {:?}", listener.passed);
        tokio::select! {
            _ = step() => {}
            update = listener.next() => match update {
                Update::Subscribed { .. } => attached_at = Some(Instant::now()),
                Update::Events(_) => first_full = Some(attached_at.unwrap().elapsed()),
                _ => {}
            },
        }
    }
    println!("{carried} bytes went to Redis in place of {withheld} of payload");
    println!("the first event in full came {first_full:?} after the attach");
    for _ in 0..10 {
        step().await;
    }
    let published = step().await;
    tokio::time::timeout(PATIENCE, producer.flush()).await.unwrap();
    listener.read_to(published).await;
    listener.check(&gateway);
    let whys: Vec<_> = listener.ledger().counted().keys().map(|why| why.as_str()).collect();
    assert!(whys.is_empty() || whys == ["unheard"], "{whys:?}");
    assert!(listener.ledger().full().sum() >= 50, "{:?}", listener.ledger());
    for channel in 0..channels {
        let broker = gateway.channel(name(channel).as_str());
        assert_eq!((&broker["seq"], &broker["totals"]["line"]), (&published.into(), &published.into()));
    }
}
