//! Heartbeats, pings, and the end of who is silent in both directions.

use crate::support::{Client, post, start};
use tally_protocol::ServerFrame;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_quiet_connection_gets_heartbeats_and_pings_and_stays() {
    let gateway = start(|config| {
        config.limits.heartbeat_ms = 100;
        config.limits.silent_ms = 400;
    })
    .await;
    let mut client = Client::connect(gateway.listen_addr()).await;
    assert_eq!(client.hello.heartbeat_ms, 100);
    // Its websocket library answers pings; it says nothing itself for many times the limit.
    let (mut heartbeats, mut pings) = (0, 0);
    while heartbeats < 12 || pings < 3 {
        match client.next_message().await.unwrap() {
            Message::Text(text) => {
                assert!(matches!(ServerFrame::decode(&text).unwrap(), ServerFrame::Heartbeat(_)), "{text}");
                heartbeats += 1;
            }
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    client.subscribe("still-there", "").await;
}

/// A client that neither reads nor writes is cut off when its socket is full; its place is free again.
#[tokio::test]
async fn who_neither_reads_nor_writes_is_cut_off() {
    let gateway = start(|config| {
        config.limits.heartbeat_ms = 100;
        config.limits.silent_ms = 500;
        config.limits.due_age_max_ms = 50;
    })
    .await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect_narrow(addr).await;
    client.subscribe("flood", r#","max_rate":10000"#).await;
    let line = format!(r#"{{"kind":"line","data":"{}"}}"#, "x".repeat(30_000));
    loop {
        assert_eq!(post(addr, "flood", line.repeat(2)).await.status, 200);
        if gateway.metrics().contains("tally_closed_total{code=\"silent\"} 1") {
            break;
        }
    }
    // Shards report now and then.
    while !gateway.metrics().contains("tally_connections 0") {
        tokio::task::yield_now().await;
    }
}
