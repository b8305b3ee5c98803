//! Ends: of a connection by its client, and of the gateway.

use crate::support::{Client, LONG, get, publish, start};
use std::time::Duration;
use tally_gateway::Drained;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn a_client_that_closes_gets_its_close_back() {
    let gateway = start(|_| {}).await;
    let mut client = Client::connect(gateway.listen_addr()).await;
    client.subscribe("a", "").await;
    client.ws.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).await.unwrap();
    let error = loop {
        match client.next_message().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, tokio_tungstenite::tungstenite::Error::ConnectionClosed), "{error}");
    while !gateway.metrics().contains("tally_closed_total{code=\"client\"} 1") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn clients_are_told_goodbye_and_requests_are_finished() {
    let gateway = start(|config| config.limits.drain_ms = 20_000).await;
    let (addr, admin) = (gateway.listen_addr(), gateway.admin_addr());
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(addr).await;
        let ledger = client.subscribe("job", "").await;
        clients.push((client, ledger));
    }
    let seq = publish(addr, "job", 3).await;
    // A request in flight: its body is half there.
    let mut request = TcpStream::connect(addr).await.unwrap();
    let body = br#"{"kind":"late"}"#;
    let head =
        format!("POST /v1/channels/job/events HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    request.write_all(head.as_bytes()).await.unwrap();
    request.write_all(&body[..5]).await.unwrap();
    // An idle connection that is kept alive.
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET /v1/channels/job HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    assert_eq!(get(admin, "/readyz").await.status, 200);

    let shutdown = tokio::spawn(gateway.shutdown());
    for (client, ledger) in &mut clients {
        client.read_to(ledger, seq).await;
        assert_eq!(client.read_goodbye().await, ("drain".into(), 4000));
        assert!(ledger.closes());
    }
    // While the request is open the gateway is there for operators, not ready, and lets nobody else in.
    assert_eq!(get(admin, "/readyz").await.status, 503);
    assert_eq!(get(admin, "/healthz").await.status, 200);
    assert!(TcpStream::connect(addr).await.is_err());
    assert_eq!(timeout(LONG, idle.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    for (mut client, _) in clients {
        let _ = client.ws.close(None).await;
        while client.next_message().await.is_ok() {}
    }
    request.write_all(&body[5..]).await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(timeout(LONG, shutdown).await.unwrap().unwrap(), Drained::Whole);
}

#[tokio::test]
async fn who_does_not_leave_is_cut_off_at_the_deadline() {
    let gateway = start(|config| config.limits.drain_ms = 300).await;
    let addr = gateway.listen_addr();
    let mut request = TcpStream::connect(addr).await.unwrap();
    request
        .write_all(b"POST /v1/channels/job/events HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    let client = Client::connect(addr).await;
    let drained = timeout(Duration::from_secs(30), gateway.shutdown()).await.unwrap();
    assert_eq!(drained, Drained::CutOff);
    drop(client);
    let mut rest = Vec::new();
    let _ = timeout(LONG, request.read_to_end(&mut rest)).await.expect("not cut off");
}

#[tokio::test]
async fn dropping_a_gateway_frees_its_ports() {
    let gateway = start(|_| {}).await;
    let (listen, admin) = (gateway.listen_addr(), gateway.admin_addr());
    drop(gateway);
    for addr in [listen, admin] {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
