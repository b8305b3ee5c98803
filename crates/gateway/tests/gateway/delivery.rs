//! From a publish to the sockets: in full, in order, byte for byte, whatever else the client does.

use crate::support::{Client, book, get, post, publish, request, start, start_on};
use futures_util::SinkExt as _;
use std::fmt::Write as _;
use tally_backplane::Embedded;
use tally_protocol::{Attach, RawJson, ServerFrame, Why};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Bytes, Message};

#[tokio::test]
async fn events_reach_every_listener_verbatim() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(addr).await;
        let ledger = client.subscribe("job:1", "").await;
        clients.push((client, ledger));
    }
    let data = r#"{"b" :1.0e2,"a":"A\u0041","z":[ ]}"#;
    let answer = post(addr, "job:1", format!(r#"{{"kind":"ok","data":{data}}}"#)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["heard"], "yes");
    for (client, ledger) in &mut clients {
        let ServerFrame::Events(frame) = client.next().await else { panic!("no events") };
        assert_eq!(frame.events[0].data.as_str(), data);
        ledger.handle_events(&frame).unwrap();
        assert!(ledger.closes());
    }
    let snapshot = get(addr, "/v1/channels/job:1").await;
    assert_eq!(snapshot.status, 200);
    assert_eq!(snapshot.json()["totals"]["ok"], 1);
}

/// 40 clients with tiny buffers that ping all the time; records of 100 B to 20 kB; every byte in order.
#[tokio::test]
async fn the_writer_keeps_frames_whole_under_partial_writes_and_pings() {
    const CLIENTS: usize = 40;
    const RECORDS: usize = 200;
    let gateway = start(|config| {
        config.limits.due_age_max_ms = 60_000;
        config.limits.due_bytes_max = 64 * 1024 * 1024;
        config.limits.log_bytes_max = 64 * 1024 * 1024;
        config.limits.logs_bytes_max = 512 * 1024 * 1024;
        config.limits.frames_rate_max = 100_000;
    })
    .await;
    let addr = gateway.listen_addr();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect_narrow(addr).await;
        let ledger = client.subscribe("wide", r#","max_rate":10000"#).await;
        clients.push((client, ledger));
    }
    let mut readers = JoinSet::new();
    for (mut client, mut ledger) in clients {
        readers.spawn(async move {
            let mut n = 0;
            let mut pings = 0u64;
            while n < RECORDS {
                client.ws.send(Message::Ping(Bytes::from(pings.to_be_bytes().to_vec()))).await.unwrap();
                pings += 1;
                let frame = client.next().await;
                if let ServerFrame::Events(frame) = &frame {
                    for event in &frame.events {
                        assert_eq!(event.data, RawJson::string(&record_data(n)), "record {n}");
                        n += 1;
                    }
                }
                book(&mut ledger, &frame);
            }
            assert_eq!(ledger.full().sum(), RECORDS as u64);
            assert!(ledger.closes());
        });
    }
    for n in 0..RECORDS {
        let body = format!(r#"{{"kind":"line","data":"{}"}}"#, record_data(n));
        assert_eq!(post(addr, "wide", body).await.status, 200);
    }
    while let Some(result) = readers.join_next().await {
        result.unwrap();
    }
    let metrics = gateway.metrics();
    let partial = metrics.lines().find_map(|line| line.strip_prefix("tally_partial_writes_total "));
    println!("partial writes: {partial:?}");
}

fn record_data(n: usize) -> String {
    let mut data = String::new();
    let len = 100 + (n * 7_919) % 20_000;
    while data.len() < len {
        write!(data, "{n}.{}-", data.len()).unwrap();
    }
    data
}

#[tokio::test]
async fn a_throttled_listener_is_told_exact_counts() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("busy", r#","max_rate":5"#).await;
    let mut seq = 0;
    for _ in 0..20 {
        seq = publish(addr, "busy", 10).await;
    }
    client.read_to(&mut ledger, seq).await;
    assert!(ledger.closes());
    assert_eq!(ledger.totals().sum(), 200);
    let counted = ledger.counted().get(&Why::Throttled).map_or(0, |totals| totals.sum());
    assert_eq!(counted + ledger.full().sum(), 200);
    assert!(counted > 0);
}

/// The client reads nothing while megabytes are published; then its account is still exact, and nothing was queued.
#[tokio::test]
async fn a_stalled_listener_gets_summaries_and_its_ledger_closes() {
    let gateway = start(|config| config.limits.due_age_max_ms = 100).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect_narrow(addr).await;
    let mut ledger = client.subscribe("flood", r#","max_rate":10000"#).await;
    let line = format!(r#"{{"kind":"line","data":"{}"}}"#, "x".repeat(10_000));
    for _ in 0..60 {
        assert_eq!(post(addr, "flood", line.repeat(10)).await.status, 200);
    }
    let answer = post(addr, "flood", r#"{"kind":"done","class":"state","data":1}"#).await;
    let seq = answer.json()["to"].as_u64().unwrap();
    assert_eq!(seq, 601);
    client.read_to(&mut ledger, seq).await;
    assert!(ledger.closes());
    assert_eq!(ledger.totals().get("line"), 600);
    assert_eq!(ledger.state().unwrap().kind.as_str(), "done");
    let reduced: u64 = ledger.summarised().values().chain(ledger.counted().values()).map(|t| t.sum()).sum();
    assert!(reduced > 0, "{ledger:?}");
}

#[tokio::test]
async fn counts_only_are_told_as_unheard() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("quiet", "").await;
    let body = r#"{"counts":{"ok":7,"done":1},"why":"unheard","state":{"kind":"done","data":true}}"#;
    let answer = request(addr, "POST /v1/channels/quiet/counts", "", body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()["to"].as_u64()), (200, Some(8)), "{answer:?}");
    client.read_to(&mut ledger, 8).await;
    assert!(ledger.closes());
    assert_eq!(ledger.counted()[&Why::Unheard].sum(), 8);
    assert_eq!(ledger.state().unwrap().data.as_str(), "true");
}

#[tokio::test]
async fn a_client_resumes_with_its_cursor() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("job", "").await;
    let seq = publish(addr, "job", 3).await;
    client.read_to(&mut ledger, seq).await;
    drop(client);
    let seq = publish(addr, "job", 4).await;

    let mut client = Client::connect(addr).await;
    let epoch = ledger.epoch().unwrap();
    let after = format!(r#""after":{{"epoch":"{epoch}","seq":3}}"#);
    client.send(&format!(r#"{{"type":"subscribe","id":2,"channels":[{{"channel":"job",{after}}}]}}"#)).await;
    let frame = loop {
        match client.next().await {
            ServerFrame::Subscribed(frame) if matches!(frame.attach, Attach::Pending) => {}
            ServerFrame::Subscribed(frame) => break frame,
            other => panic!("{other:?}"),
        }
    };
    let mut ledger = tally_protocol::Ledger::attach(&frame, Some(ledger)).unwrap().unwrap();
    client.read_to(&mut ledger, seq).await;
    assert_eq!(ledger.full().sum() + ledger.counted().values().map(|t| t.sum()).sum::<u64>(), 7);
    assert!(ledger.closes());
}

/// Two gateways on one broker, as two nodes: a listener on either gets what is published through the other.
#[tokio::test]
async fn gateways_need_no_knowledge_of_each_other() {
    let broker = Embedded::default();
    let (one, two) = (start_on(&broker, |_| {}).await, start_on(&broker, |_| {}).await);
    let mut client = Client::connect(one.listen_addr()).await;
    let mut ledger = client.subscribe("shared", "").await;
    let seq = publish(two.listen_addr(), "shared", 5).await;
    client.read_to(&mut ledger, seq).await;
    assert_eq!(ledger.full().sum(), 5);
}

#[tokio::test]
async fn keys_are_dropped_by_channel() {
    let rules = "[[channels]]\npattern = \"job:*\"\ndrop = [\"env\"]\n";
    let sources =
        tally_gateway::Sources { file: Some(("t.toml".into(), rules.into())), ..Default::default() };
    let channels = tally_gateway::Config::load(&sources).unwrap().channels;
    let gateway = start(|config| config.channels = channels).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("job:1", "").await;
    post(addr, "job:1", r#"{"status":"starting","env":{"SECRET":1}, "x": 2}"#).await;
    let ServerFrame::Events(frame) = client.next().await else { panic!("no events") };
    assert_eq!(frame.events[0].data.as_str(), r#"{"status":"starting","x":2}"#);
    assert_eq!(frame.events[0].kind.as_str(), "starting");
    ledger.handle_events(&frame).unwrap();
}

/// Each shard has a log of its own; who comes to another shard still gets what the gateway holds.
#[tokio::test]
async fn the_newest_events_are_there_on_every_shard() {
    const LATE: usize = 8;
    let gateway = start(|config| config.shards = 4).await;
    let addr = gateway.listen_addr();
    let mut holder = Client::connect(addr).await;
    let mut held = holder.subscribe("job:1", r#","max_rate":10000"#).await;
    let mut published = 0;
    let mut late = Vec::new();
    for n in 0..LATE + 4 {
        for _ in 0..5 {
            assert_eq!(post(addr, "job:1", "[1,2,3]").await.status, 200);
            published += 3;
        }
        holder.read_to(&mut held, published).await;
        if n >= 4 {
            let mut client = Client::connect(addr).await;
            let ledger = client.subscribe("job:1", r#","max_rate":10000,"last":20"#).await;
            assert_eq!(ledger.attached_seq().get(), published - 21, "before the record that holds the 20th");
            late.push((client, ledger));
        }
    }
    for (mut client, mut ledger) in late {
        client.read_to(&mut ledger, published).await;
        assert!(ledger.closes());
        assert_eq!(ledger.full().sum(), published - ledger.attached_seq().get(), "everything came in full");
        assert_eq!(ledger.totals(), held.totals());
    }
}
