//! Who gets in, and to which shard.

use crate::support::{Client, get, start};
use std::collections::BTreeMap;
use tokio::net::TcpStream;

#[tokio::test]
async fn shards_have_the_same_number_of_connections() {
    let gateway = start(|config| config.shards = 3).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::connect(gateway.listen_addr()).await);
        let mut counts: BTreeMap<String, usize> = (0..3).map(|shard| (shard.to_string(), 0)).collect();
        for client in &clients {
            let shard = client.hello.connection.split('-').next().unwrap();
            *counts.get_mut(shard).unwrap() += 1;
        }
        let (most, least) = (counts.values().max().unwrap(), counts.values().min().unwrap());
        assert!(most - least <= 1, "{counts:?}");
    }
}

#[tokio::test]
async fn over_the_cap_is_told_so_and_operators_get_in() {
    let gateway = start(|config| config.limits.connections_max = 3).await;
    let addr = gateway.listen_addr();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(addr).await);
    }
    let answer = get(addr, "/").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("retry-after: 5"), "{answer:?}");
    assert_eq!(answer.error_code(), "unavailable");
    let metrics = get(gateway.admin_addr(), "/metrics").await;
    assert!(metrics.body.contains("tally_refused_total{code=\"connections_max\"} 1"), "{metrics:?}");
    clients.pop();
    // The place is free when the gateway has seen the end; until then the answer stays the same.
    while get(addr, "/").await.status != 200 {}
    drop(TcpStream::connect(addr).await.unwrap());
}

#[tokio::test]
async fn operators_see_health_readiness_and_metrics() {
    let gateway = start(|_| {}).await;
    let admin = gateway.admin_addr();
    assert_eq!(get(admin, "/healthz").await.status, 200);
    assert_eq!(get(admin, "/readyz").await.status, 200);
    let metrics = get(admin, "/metrics").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{metrics:?}");
    assert!(metrics.body.contains("tally_ready 1"), "{metrics:?}");
    assert_eq!(get(admin, "/v1/channels/a").await.status, 404);
}
