//! What several gateways on one Redis say about themselves: on any admin port, for all of them.

use crate::support::redis::Redis;
use crate::support::{Gateway, PATIENCE, get};
use crate::{eventually, gateway};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

/// An operator's page on one gateway's admin port: events as they come, channel, kind and data.
struct Page {
    ws: WebSocketStream<tokio::net::TcpStream>,
    admin: SocketAddr,
}

impl Page {
    async fn open(admin: SocketAddr) -> Self {
        let mut request = format!("ws://{admin}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "tally.v1".parse().unwrap());
        let socket = tokio::net::TcpStream::connect(admin).await.unwrap();
        Self { ws: client_async(request, socket).await.unwrap().0, admin }
    }

    async fn listen(&mut self, channel: &str) {
        let frame = json!({"type": "subscribe", "id": 1, "channels": [{"channel": channel}]});
        self.ws.send(Message::text(frame.to_string())).await.unwrap();
        while self.frame().await["type"] != "subscribed" {}
    }

    async fn frame(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.ws.next()).await.expect("nothing comes").unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            let events = frame["events"].as_array();
            let found = events.and_then(|events| events.iter().find(|event| event["kind"] == kind));
            if let Some(event) = found {
                return event["data"].clone();
            }
        }
    }

    /// When the first sample was taken that is no older than this.
    async fn sample_from(&mut self, at: u64) -> u64 {
        loop {
            let sample = self.next("sample").await["at"].as_u64().unwrap();
            if sample >= at {
                return sample;
            }
        }
    }

    async fn ask(&mut self, ask: Value) -> Value {
        self.listen(&format!("$answers:{}", ask["ask"].as_str().unwrap())).await;
        let body = ask.to_string();
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let head = format!(
            "POST /ops/ask HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        self.next("answer").await
    }
}

fn of_all(id: &str, what: &str) -> Value {
    json!({"ask": id, "what": what, "from_ms": 0, "to_ms": 9_000_000_000_000_u64, "step": 1})
}

#[tokio::test(flavor = "multi_thread")]
async fn any_admin_port_shows_the_fleet_and_remembers_who_is_gone() {
    let redis = Redis::start();
    let a = gateway(&redis.url(), &["--set", "name=a"]);
    let b = gateway(&redis.url(), &["--set", "name=b"]);
    let mut page = Page::open(a.admin).await;
    page.listen("$gateways").await;
    let mut ids = std::collections::BTreeMap::new();
    while ids.len() < 2 {
        let sample = page.next("sample").await;
        assert_eq!(sample["account"]["lost"], 0);
        if sample["redis"]["up"] == true && sample["redis"]["probe_ms"].as_f64() > Some(0.0) {
            ids.insert(
                sample["name"].as_str().unwrap().to_owned(),
                sample["gateway"].as_str().unwrap().to_owned(),
            );
        }
    }
    // A question to the other one, by way of this one.
    let answer = page.ask(json!({"ask": "q1", "what": "channel", "prefix": "", "gateway": ids["b"]})).await;
    assert_eq!((&answer["gateway"], &answer["ok"]), (&json!(ids["b"]), &json!(true)));
    b.kill();
    // Two of the other's in a row: nothing came in between from the one that is gone.
    let mut own = 0;
    while own < 3 {
        let sample = page.next("sample").await;
        own = if sample["name"] == "a" { own + 1 } else { 0 };
    }
    let answer = page.ask(of_all("h1", "history")).await;
    for name in ["a", "b"] {
        let member = &answer["gateways"][&ids[name]];
        assert_eq!(member["name"], name, "{answer}");
        assert!(!member["at"].as_array().unwrap().is_empty());
        assert_eq!(member["series"]["up"].as_array().unwrap().last().unwrap(), &json!(1));
    }
}

/// Bytes that Redis got from everybody so far.
fn bytes_in(redis: &Redis) -> u64 {
    let info = redis.run(&["INFO", "stats"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:")).unwrap();
    line.trim().parse().unwrap()
}

/// Bytes that Redis got during eight seconds of samples; those that waited to be read count for nothing.
async fn bytes_of_eight_seconds(redis: &Redis, page: &mut Page) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let begin = page.sample_from(now).await;
    let before = bytes_in(redis);
    page.sample_from(begin + 8_000).await;
    bytes_in(redis) - before
}

#[tokio::test(flavor = "multi_thread")]
async fn details_cost_nothing_while_nobody_listens() {
    let redis = Redis::start();
    let a = gateway(&redis.url(), &["--set", "shards=1"]);
    // So many rows that a detail is far larger than a sample.
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut client = Page::open(a.listen).await;
        client.listen("crowd").await;
        crowd.push(client);
    }
    let mut page = Page::open(a.admin).await;
    page.listen("$gateways").await;
    let sample = page.next("sample").await;
    let quiet = bytes_of_eight_seconds(&redis, &mut page).await;
    let channel = format!("$gateway:{}", sample["gateway"].as_str().unwrap());
    let mut other = Page::open(a.admin).await;
    other.listen(&channel).await;
    let detail = other.next("detail").await.to_string().len() as u64;
    assert!(detail > 10_000, "{detail}");
    let heard = bytes_of_eight_seconds(&redis, &mut page).await;
    println!("8 s of statistics: {quiet} bytes unheard, {heard} heard, a detail has {detail}");
    assert!(heard > quiet + 2 * detail, "{heard} {quiet} {detail}");
    // Deaf again: the next details are told by number only.
    drop(other);
    let mut again = heard;
    while again > quiet + detail {
        again = bytes_of_eight_seconds(&redis, &mut page).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_by_order_ends_the_process_and_is_logged() {
    let redis = Redis::start();
    let a = gateway(&redis.url(), &[]);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut b = Gateway::start_logged(&log, &["--redis", &redis.url(), "--set", "name=b"]);
    let mut page = Page::open(a.admin).await;
    page.listen("$gateways").await;
    let id = loop {
        let sample = page.next("sample").await;
        if sample["name"] == "b" {
            break sample["gateway"].as_str().unwrap().to_owned();
        }
    };
    let mut client = Page::open(b.listen).await;
    client.listen("job").await;
    let answer = page.ask(json!({"ask": "d1", "what": "drain", "gateway": id})).await;
    assert_eq!(answer["ok"], true, "{answer}");
    while client.frame().await["type"] != "goodbye" {}
    drop(client);
    eventually("the process ends", || b.has_ended()).await;
    let log = std::fs::read_to_string(&log).unwrap();
    for wanted in ["an operator's order is carried out", "drain", "d1", "draining"] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert_eq!(get(a.admin, "/readyz").0, 200, "only the one that was named");
}
