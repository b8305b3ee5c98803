//! Bad input over HTTP: each gets a status, a stable code and a clear message, and nobody else is harmed.

use crate::support::{Bystander, Client, get, post, raw, request, start};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tally_gateway::{Config, Sources};
use tally_protocol::ServerFrame;

#[tokio::test]
async fn each_bad_body_is_refused_whole_and_says_why() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let good = r#"{"kind":"ok","data":1}"#;
    let big = format!(r#"{{"kind":"ok","data":"{}"}}"#, "x".repeat(1024 * 1024 + 10));
    let cases = [
        ("", 400, "bad_event", "empty"),
        ("  \n ", 400, "bad_event", "empty"),
        ("not json", 400, "bad_event", "line 1"),
        ("{\"kind\":\"ok\"", 400, "bad_event", "line 1"),
        (&format!("{good}\n{good}\nnope\n{good}"), 400, "bad_event", "line 3"),
        (&format!("{good}\n{{\"kind\":\"a b\"}}"), 400, "bad_event", "line 2"),
        ("{\"kind\":\"_mine\"}", 400, "bad_event", "reserved"),
        ("{\"kind\":\"ok\",\"class\":\"gold\"}", 400, "bad_event", "class"),
        ("{\"kind\":\"ok\",\"at\":-1}", 400, "bad_event", "at must be"),
        ("{\"kind\":7}", 400, "bad_event", "kind must be a string"),
        ("\u{fffd}", 400, "bad_event", "line 1"),
        ("[]", 400, "bad_event", "empty"),
        (&big, 400, "bad_event", "at most 1048576"),
    ];
    for (body, status, code, wanted) in cases {
        let answer = post(addr, "job", body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{shown}: {answer:?}");
        assert!(answer.body.contains(wanted), "{shown}: {answer:?}");
    }
    let answer = post(addr, "job", b"\xff\xfe{}").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_event"));
    // Nothing of all that was published.
    assert_eq!(get(addr, "/v1/channels/job").await.status, 404);
    // The line is a field as well, and lines can be skipped.
    let body = format!("{good}\nnope\n{good}\n{{\"kind\":\"\"}}\n");
    assert_eq!(post(addr, "job", &body).await.json()["error"]["line"], 2);
    let answer = request(addr, "POST /v1/channels/job/events?on_error=skip", "", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!((&answer["to"], &answer["skipped_count"]), (&json!(2), &json!(2)));
    assert_eq!((&answer["skipped"][0]["line"], &answer["skipped"][1]["line"]), (&json!(2), &json!(4)));
    let answer = request(addr, "POST /v1/channels/job/events?on_error=skip", "", b"nope").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_event"));
    for query in ["on_error=ignore", "onerror=skip"] {
        let line = format!("POST /v1/channels/job/events?{query}");
        assert_eq!(request(addr, &line, "", good.as_bytes()).await.error_code(), "bad_request");
    }
    bystander.check().await;
}

#[tokio::test]
async fn too_much_is_refused() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let line = format!("\"{}\"\n", "x".repeat(100_000));
    let answer = post(addr, "job", line.repeat(90)).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "too_large"), "{answer:?}");
    let answer = post(addr, "job", "1\n".repeat(65_537)).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "too_large"), "{answer:?}");
    // Said before the body comes.
    let head = format!(
        "POST /v1/channels/job/events HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n"
    );
    let answer = raw(addr, head.as_bytes()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "too_large"), "{answer:?}");
    // The largest batch passes.
    let answer = post(addr, "job", line.repeat(80)).await;
    assert_eq!((answer.status, answer.json()["to"].as_u64()), (200, Some(80)), "{answer:?}");
    bystander.check().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let gateway = start(|config| config.limits.body_read_ms = 200).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let head = format!(
        "POST /v1/channels/job/events HTTP/1.1\r\nhost: {addr}\r\ncontent-length: 100\r\n\r\n{{\"kind"
    );
    let answer = raw(addr, head.as_bytes()).await;
    assert_eq!(answer.status, 408, "{answer:?}");
    bystander.check().await;
    assert_eq!(get(addr, "/v1/channels/job").await.status, 404);
}

#[tokio::test]
async fn counts_that_are_none_are_refused() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let cases = [
        "",
        "{}",
        r#"{"counts":{},"why":"unheard"}"#,
        r#"{"counts":{"a":0},"why":"unheard"}"#,
        r#"{"counts":{"a":-1},"why":"unheard"}"#,
        r#"{"counts":{"a":1.5},"why":"unheard"}"#,
        r#"{"counts":{"a":9007199254740992},"why":"unheard"}"#,
        r#"{"counts":{"a":9007199254740991,"b":1},"why":"unheard"}"#,
        r#"{"counts":{"a":1,"a":2},"why":"unheard"}"#,
        r#"{"counts":{"a b":1},"why":"unheard"}"#,
        r#"{"counts":{"_other":1},"why":"unheard"}"#,
        r#"{"counts":{"a":1}}"#,
        r#"{"counts":{"a":1},"why":"throttled"}"#,
        r#"{"counts":{"a":1},"why":"unheard","state":{"kind":"b"}}"#,
        r#"{"counts":{"a":1},"why":"unheard","state":{"kind":"a","class":"bulk"}}"#,
        r#"{"counts":{"a":1},"why":"unheard","more":1}"#,
    ];
    for body in cases {
        let answer = request(addr, "POST /v1/channels/job/counts", "", body.as_bytes()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_request"), "{body}: {answer:?}");
    }
    assert_eq!(get(addr, "/v1/channels/job").await.status, 404);
    bystander.check().await;
}

#[tokio::test]
async fn batches_are_numbered_and_repeatable() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let publish = async |headers: &str| {
        request(addr, "POST /v1/channels/job/events", headers, br#"{"kind":"ok"}"#).await
    };
    let batch = |number: &str| format!("tally-producer: p-1\r\ntally-batch: {number}\r\n");
    assert_eq!(publish(&batch("1")).await.json()["to"], 1);
    assert_eq!(publish(&batch("1")).await.json()["to"], 1);
    assert_eq!(publish(&batch("2")).await.json()["to"], 2);
    let skipped = publish(&batch("4")).await;
    assert_eq!((skipped.status, skipped.error_code().as_str()), (409, "batch_number"));
    assert_eq!(skipped.json()["error"]["expected"], 3);
    assert_eq!(publish(&batch("1")).await.status, 409);
    let other = request(addr, "POST /v1/channels/job/events", &batch("2"), br#"{"kind":"other"}"#).await;
    assert_eq!((other.status, other.error_code().as_str()), (409, "batch_number"));
    for bad in [
        "tally-producer: p\r\n".to_owned(),
        "tally-batch: 1\r\n".into(),
        batch("0"),
        batch("one"),
        "tally-producer: p p\r\ntally-batch: 1\r\n".into(),
    ] {
        let answer = publish(&bad).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_request"), "{bad}");
    }
    assert_eq!(get(addr, "/v1/channels/job").await.json()["seq"], 2);
    bystander.check().await;
}

#[tokio::test]
async fn paths_and_names_are_checked() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let cases = [
        ("GET /v1/channels/none", 404, "not_found"),
        ("GET /v1/channels/none/events", 404, "no_history"),
        ("GET /v1/channels/a%20b", 400, "bad_channel"),
        ("GET /v1/channels/%ff", 400, "bad_channel"),
        ("GET /v1/channels/$gateway", 403, "forbidden_channel"),
        ("POST /v1/channels/$gateway/events", 403, "forbidden_channel"),
        ("POST /v1/channels/a/nothing", 404, "not_found"),
        ("GET /nothing", 404, "not_found"),
        ("GET /metrics", 404, "not_found"),
        ("DELETE /v1/channels/a", 405, "bad_request"),
        ("GET /v1/channels/a/counts", 405, "bad_request"),
    ];
    for (line, status, code) in cases {
        let answer = request(addr, line, "", b"").await;
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn foreign_pages_may_neither_publish_nor_connect() {
    let allow = |origins: &str| {
        let flags = vec![("allow_origin".to_owned(), origins.to_owned())];
        Config::load(&Sources { flags, ..Sources::default() }).unwrap().allow_origin
    };
    let gateway = start(|config| config.allow_origin = allow("https://app.example,null")).await;
    let addr = gateway.listen_addr();
    let mut bystander = Bystander::start(addr).await;
    let publish = async |origin: &str| {
        let header = format!("origin: {origin}\r\ncontent-type: text/plain\r\n");
        request(addr, "POST /v1/channels/job/events", &header, br#"{"kind":"ok"}"#).await
    };
    for foreign in ["http://evil.example", "https://app.example.evil", "http://app.example"] {
        let answer = publish(foreign).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (403, "foreign_origin"), "{answer:?}");
        assert!(!answer.head.contains("access-control"), "{answer:?}");
        let headers = format!("origin: {foreign}\r\naccess-control-request-method: POST\r\n");
        let preflight = request(addr, "OPTIONS /v1/channels/job/events", &headers, b"").await;
        assert_eq!(preflight.status, 403);
    }
    for fine in ["https://app.example", "null", &format!("http://{addr}")] {
        assert_eq!(publish(fine).await.status, 200, "{fine}");
    }
    let answer = publish("https://app.example").await;
    assert!(answer.head.contains("access-control-allow-origin: https://app.example"), "{answer:?}");
    assert!(answer.head.contains("vary: origin"), "{answer:?}");
    let header = "origin: null\r\naccess-control-request-method: POST\r\n";
    let answer = request(addr, "OPTIONS /v1/channels/job/events", header, b"").await;
    assert_eq!(answer.status, 204);
    assert!(answer.head.contains("tally-batch"), "{answer:?}");
    bystander.check().await;
}

/// An address of this machine that is not loopback, where there is one.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn publishing_from_elsewhere_needs_the_key() {
    let key = |key: &str| {
        let flags = vec![("publish_key".to_owned(), key.to_owned())];
        Config::load(&Sources { flags, ..Sources::default() }).unwrap().publish_key
    };
    let closed = start(|_| {}).await;
    let open = start(|config| {
        config.publish_key = key("0123456789abcdef");
        config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    })
    .await;
    let publish = async |addr: SocketAddr, headers: &str| {
        request(addr, "POST /v1/channels/job/events", headers, br#"{"kind":"ok"}"#).await
    };
    let local = SocketAddr::from(([127, 0, 0, 1], open.listen_addr().port()));
    let mut bystander = Bystander::start(local).await;
    // From this machine: no key. Through a proxy: the key.
    assert_eq!(publish(closed.listen_addr(), "").await.status, 200);
    for proxied in ["x-forwarded-for: 198.51.100.7\r\n", "forwarded: for=198.51.100.7\r\n"] {
        let answer = publish(closed.listen_addr(), proxied).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (403, "publish_key"));
        assert!(answer.body.contains("--publish-key"), "{answer:?}");
        let answer = publish(local, proxied).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "publish_key"));
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
        for wrong in
            ["Bearer wrong", "Basic 0123456789abcdef", "Bearer 0123456789abcdef0", "0123456789abcdef"]
        {
            let answer = publish(local, &format!("{proxied}authorization: {wrong}\r\n")).await;
            assert_eq!(answer.status, 401, "{wrong}");
        }
        let answer = publish(local, &format!("{proxied}authorization: Bearer 0123456789abcdef\r\n")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    if let Some(ip) = outer_address() {
        let outer = SocketAddr::new(ip, open.listen_addr().port());
        assert_eq!(publish(outer, "").await.status, 401);
        assert_eq!(publish(outer, "authorization: bearer 0123456789abcdef\r\n").await.status, 200);
    }
    bystander.check().await;
}

#[tokio::test]
async fn a_state_event_comes_with_its_class() {
    let gateway = start(|_| {}).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    client.subscribe("job", "").await;
    let header = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = request(addr, "POST /v1/channels/job/events", header, br#"{"status":"successful"}"#).await;
    assert_eq!(answer.status, 200);
    let ServerFrame::Events(frame) = client.next().await else { panic!("no events") };
    assert_eq!(frame.events[0].class, tally_protocol::Class::State);
}
