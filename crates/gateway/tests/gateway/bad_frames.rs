//! Bad input over the websocket: each gets a clear error, and another client on the same gateway is unharmed.

use crate::support::{Bystander, Client, LONG, get, raw, start};
use futures_util::SinkExt as _;
use tally_protocol::ServerFrame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn each_bad_frame_gets_an_error_that_says_what_to_do() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let mut client = Client::connect(addr).await;
    let long = format!(r#"{{"type":"subscribe","id":9,"channels":[{{"channel":"{}"}}]}}"#, "x".repeat(201));
    let many: Vec<_> = (0..501).map(|n| format!(r#"{{"channel":"c{n}"}}"#)).collect();
    let many = format!(r#"{{"type":"subscribe","id":9,"channels":[{}]}}"#, many.join(","));
    let cases = [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("hello", "bad_json"),
        ("{} {}", "bad_frame"),
        ("[]", "bad_frame"),
        ("{}", "bad_frame"),
        ("null", "bad_frame"),
        (r#"{"type":7}"#, "bad_frame"),
        (r#"{"type":"publish","channel":"a","events":[]}"#, "unknown_type"),
        (r#"{"type":"subscribe"}"#, "bad_frame"),
        (r#"{"type":"subscribe","id":"one","channels":[{"channel":"a"}]}"#, "bad_frame"),
        (r#"{"type":"subscribe","id":1,"channels":"a"}"#, "bad_frame"),
        (r#"{"type":"subscribe","id":1,"channels":[]}"#, "too_many_channels"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"a","speed":3}]}"#, "unknown_field"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"a"}],"x":1}"#, "unknown_field"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"a","tick_ms":1}]}"#, "bad_frame"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"a","last":1001}]}"#, "bad_frame"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"a b"}]}"#, "bad_channel"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":""}]}"#, "bad_channel"),
        (r#"{"type":"subscribe","id":1,"channels":[{"channel":"$gateway"}]}"#, "forbidden_channel"),
        (&long, "bad_channel"),
        (&many, "too_many_channels"),
        (r#"{"type":"unsubscribe","id":1,"channels":["never"]}"#, "not_subscribed"),
        (r#"{"type":"rung","channel":"never","rung":"counts"}"#, "not_subscribed"),
        (r#"{"type":"rung","rung":"top"}"#, "bad_frame"),
    ];
    for (text, wanted) in cases {
        client.send(text).await;
        let (code, message) = client.read_error().await;
        let shown: String = text.chars().take(80).collect();
        assert_eq!(code, wanted, "{shown}: {message}");
        assert!(message.len() > 10, "{shown}: {message}");
    }
    // The connection goes on.
    client.subscribe("fine", "").await;
    client.send(r#"{"type":"subscribe","id":2,"channels":[{"channel":"fine"}]}"#).await;
    assert_eq!(client.read_error().await.0, "already_subscribed");
    bystander.check().await;
}

#[tokio::test]
async fn one_bad_channel_leaves_the_others_alone() {
    let gateway = start(|_| {}).await;
    let mut client = Client::connect(gateway.listen_addr()).await;
    let channels = r#"[{"channel":"good"},{"channel":"$own"},{"channel":"not good"}]"#;
    client.send(&format!(r#"{{"type":"subscribe","id":4,"channels":{channels}}}"#)).await;
    let (mut errors, mut attached) = (Vec::new(), 0);
    while errors.len() < 2 || attached < 1 {
        match client.next().await {
            ServerFrame::Error(error) => errors.push((error.id, error.code)),
            ServerFrame::Subscribed(frame) => attached += usize::from(frame.channel.as_str() == "good"),
            other => panic!("{other:?}"),
        }
    }
    errors.sort();
    assert_eq!(errors, [(Some(4), "bad_channel".into()), (Some(4), "forbidden_channel".into())]);
}

#[tokio::test]
async fn the_admin_port_lets_own_channels_through() {
    let gateway = start(|_| {}).await;
    let mut client = Client::connect(gateway.admin_addr()).await;
    client.subscribe("$gateway", "").await;
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_with_a_word() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;

    let mut client = Client::connect(addr).await;
    client.ws.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.read_error().await.0, "binary_frame");
    client.ws.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.read_goodbye().await, ("bad_frame".into(), 4400));

    let mut client = Client::connect(addr).await;
    client.ws.send(Message::text("x".repeat(70_000))).await.unwrap();
    assert_eq!(client.read_goodbye().await, ("frame_too_large".into(), 4401));

    let mut client = Client::connect(addr).await;
    // Far more than the limit: the gateway must not reset the connection over its own goodbye.
    let big = Message::text("x".repeat(3 * 1024 * 1024));
    let _ = client.ws.feed(big).await;
    let _ = client.ws.flush().await;
    assert_eq!(client.read_goodbye().await.1, 4401);

    for bad in [&[0x81, 0x01, b'x'][..], &[0xf1, 0x80, 0, 0, 0, 0], &[0x83, 0x80, 0, 0, 0, 0]] {
        // Not masked; reserved bits; an unknown opcode.
        let mut client = Client::connect(addr).await;
        client.ws.get_mut().write_all(bad).await.unwrap();
        assert_eq!(client.read_goodbye().await, ("bad_frame".into(), 4400), "{bad:x?}");
    }
    // Text that is no UTF-8, masked with zeros.
    let mut client = Client::connect(addr).await;
    client.ws.get_mut().write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await.unwrap();
    assert_eq!(client.read_goodbye().await.1, 4400);
    bystander.check().await;
}

#[tokio::test]
async fn fragments_within_the_limit_are_one_message() {
    let gateway = start(|_| {}).await;
    let mut client = Client::connect(gateway.listen_addr()).await;
    let text = br#"{"type":"subscribe","id":1,"channels":[{"channel":"a"}]}"#;
    let (head, tail) = text.split_at(20);
    for (first, part) in [(0x01, head), (0x80, tail)] {
        let mut frame = vec![first, 0x80 | part.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(part);
        client.ws.get_mut().write_all(&frame).await.unwrap();
    }
    assert!(matches!(client.next().await, ServerFrame::Subscribed(_)));
}

#[tokio::test]
async fn too_many_errors_end_the_connection() {
    let gateway = start(|config| config.limits.errors_max = 20).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let mut client = Client::connect(addr).await;
    for _ in 0..30 {
        client.send("nonsense").await;
    }
    assert_eq!(client.read_goodbye().await, ("too_many_errors".into(), 4402));
    // One frame with many errors is one mistake.
    let mut client = Client::connect(addr).await;
    let bad: Vec<_> = (0..100).map(|n| format!(r#"{{"channel":"not {n}"}}"#)).collect();
    client.send(&format!(r#"{{"type":"subscribe","id":3,"channels":[{}]}}"#, bad.join(","))).await;
    for _ in 0..100 {
        assert_eq!(client.read_error().await.0, "bad_channel");
    }
    client.subscribe("fine", "").await;
    bystander.check().await;
}

#[tokio::test]
async fn a_flood_of_subscribes_is_bounded_and_paused() {
    let gateway = start(|config| {
        config.limits.subscriptions_max = 50;
        config.limits.frames_rate_max = 1_000;
    })
    .await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let mut client = Client::connect(addr).await;
    let channels: Vec<_> = (0..500).map(|n| format!(r#"{{"channel":"flood:{n}"}}"#)).collect();
    client.send(&format!(r#"{{"type":"subscribe","id":1,"channels":[{}]}}"#, channels.join(","))).await;
    let (mut attached, mut refused) = (0, 0);
    while attached + refused < 500 {
        match client.next().await {
            ServerFrame::Subscribed(frame) if frame.attach == tally_protocol::Attach::Pending => {}
            ServerFrame::Subscribed(_) => attached += 1,
            ServerFrame::Error(error) => {
                assert_eq!(error.code, "too_many_subscriptions");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((attached, refused), (50, 450));
    // Subscribing and leaving without an end, and never reading an answer.
    let mut client = Client::connect_narrow(addr).await;
    for n in 0..3_000 {
        let channel = format!("churn:{}", n % 40);
        let on = format!(r#"{{"type":"subscribe","id":{n},"channels":[{{"channel":"{channel}"}}]}}"#);
        let off = format!(r#"{{"type":"unsubscribe","id":{n},"channels":["{channel}"]}}"#);
        let send = async {
            client.ws.send(Message::text(on)).await?;
            client.ws.send(Message::text(off)).await
        };
        // It may be held back for good: that is the point.
        if timeout(std::time::Duration::from_millis(200), send).await.is_err() {
            break;
        }
    }
    bystander.check().await;
}

#[tokio::test]
async fn handshakes_that_are_none_are_refused() {
    let gateway = start(|config| config.limits.header_read_ms = 300).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let handshake = |lines: &str| {
        format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {addr}\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n{lines}\r\n"
        )
    };
    let version = "sec-websocket-version: 13\r\n";
    let protocol = "sec-websocket-protocol: tally.v1\r\n";
    let cases = [
        (handshake(&format!("{key}{version}")), 400, "tally.v1"),
        (handshake(&format!("{key}{version}sec-websocket-protocol: chat\r\n")), 400, "tally.v1"),
        (handshake(&format!("{key}{protocol}")), 400, "Sec-WebSocket-Version"),
        (handshake(&format!("{version}{protocol}")), 400, "Sec-WebSocket-Key"),
        (handshake(&format!("sec-websocket-key: short\r\n{version}{protocol}")), 400, "Sec-WebSocket-Key"),
        (handshake(&format!("{key}{version}{protocol}origin: http://evil.example\r\n")), 403, "allow_origin"),
        (
            format!("GET /v1/ws HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"),
            426,
            "websocket client",
        ),
    ];
    for (request, status, wanted) in cases {
        let answer = raw(addr, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{request}{answer:?}");
        assert!(answer.body.contains(wanted), "{request}{answer:?}");
    }
    // Half a handshake, headers that trickle, nothing at all: closed by the gateway.
    for half in ["GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgrade: webso", "GET / HT", ""] {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        timeout(LONG, socket.read_to_end(&mut rest)).await.expect("not closed").unwrap_or_default();
    }
    // Not HTTP.
    let answer = raw(addr, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(answer.status == 400 || answer.status == 0, "{answer:?}");
    let answer = raw(addr, format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000)).as_bytes()).await;
    assert!(answer.status == 431 || answer.status == 0, "{answer:?}");
    bystander.check().await;
    assert_eq!(get(addr, "/").await.status, 200);
}

/// A client that upgraded and then never says or reads anything costs nobody anything.
#[tokio::test]
async fn an_early_frame_is_not_lost() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let mut bytes = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: {addr}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
         sec-websocket-protocol: tally.v1\r\n\r\n"
    )
    .into_bytes();
    // A ping in the same packet as the handshake.
    bytes.extend_from_slice(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']);
    socket.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.windows(4).any(|four| four == [0x8a, 2, b'h', b'i']) {
        let n = timeout(LONG, socket.read(&mut part)).await.expect("no pong").unwrap();
        assert!(n > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..n]);
    }
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
}

#[tokio::test]
async fn a_violation_is_counted_and_a_token_is_taken() {
    let gateway = start(|_| {}).await;
    let mut client = Client::connect(gateway.listen_addr()).await;
    client.send(r#"{"type":"violation","channel":"a","law":"order","detail":"came twice"}"#).await;
    client.send(r#"{"type":"violation","channel":"a","law":"murphy","detail":"of course"}"#).await;
    client.send(r#"{"type":"auth","token":"t"}"#).await;
    client.subscribe("a", "").await;
    let metrics = get(gateway.admin_addr(), "/metrics").await.body;
    assert!(metrics.contains("tally_law_violations_total{law=\"order\"} 1"), "{metrics}");
    assert!(metrics.contains("tally_law_violations_total{law=\"other\"} 1"), "{metrics}");
}
