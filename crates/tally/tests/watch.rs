//! `tally watch` as JSON lines against a scripted gateway: what it prints, what it asks for, how it ends.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it is broken; clippy's allowance does not reach helpers"
)]

#[path = "watch/gateway.rs"]
mod gateway;

use futures_util::SinkExt;
use gateway::{Gateway, PATIENCE, Watch, event, within};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn every_frame_is_one_line_as_it_came() {
    let gateway = Gateway::start().await;
    let options =
        ["--rung", "counts", "--max-rate", "30", "--tick-ms", "1000", "--tail", "--last", "5", "job:42"];
    let mut watch = Watch::start(&gateway.url(), &options);
    let mut connection = gateway.accept().await;
    let asked = connection.attach("job:42").await;
    assert_eq!(
        asked,
        json!({"channel": "job:42", "rung": "counts", "max_rate": 30, "tick_ms": 1000, "tail": true, "last": 5})
    );
    let pretty = "{\"type\":\"events\",\"channel\":\"job:42\",\"epoch\":\"e1\",\"from\":3,\"to\":3,\"events\":\
        [{\"kind\":\"ok\",\"at\":1,\"data\":{\n  \"a\" : \"x\\ny\",\r\n  \"b\": 1.0e2}}]}";
    connection.send_text(pretty.into()).await;
    let counts = r#"{"type":"counts","channel":"job:42","epoch":"e1","seq":9,"totals":{"ok":6,"failed":3}, "why":"throttled"}"#;
    connection.send_text(counts.into()).await;
    assert_eq!(watch.value().await["type"], "hello");
    assert_eq!(watch.value().await["type"], "subscribed");
    assert_eq!(watch.line().await, pretty.replace(['\n', '\r'], " "));
    assert_eq!(watch.line().await, counts);

    watch.signal(Signal::SIGINT);
    connection.drain().await;
    let (rest, status, words) = watch.end().await;
    let ledger = json!({"type": "ledger", "channel": "job:42", "epoch": "e1", "attached": 2, "cursor": 9,
        "full": {"ok": 1}, "counted": {"ok": 3, "failed": 3}, "summarised": {},
        "counted_by_why": {"throttled": {"ok": 3, "failed": 3}}, "summarised_by_why": {},
        "closes": true, "resets": 0, "violations": 0});
    assert_eq!(rest, [ledger]);
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn it_comes_back_resumes_and_tells_a_reset() {
    let gateway = Gateway::start().await;
    let mut watch = Watch::start(&gateway.url(), &["--json", "job:42"]);
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    connection.send(event(3)).await;
    watch.value_of("events").await;
    connection.close(4000, "this gateway restarts").await;
    let lost = watch.value_of("client_disconnected").await;
    assert_eq!(lost["code"], 4000);
    assert_eq!(lost["reason"], "the gateway closed the connection with code 4000: this gateway restarts");
    assert!(lost["retry_in_ms"].is_u64(), "{lost}");

    let mut connection = gateway.accept().await;
    let request = connection.receive().await;
    assert_eq!(request["channels"][0]["after"], json!({"epoch": "e1", "seq": 3}));
    let position = json!({"epoch": "e2", "seq": 1, "totals": {"ok": 1}, "state": null});
    let mut subscribed = json!({"type": "subscribed", "id": request["id"], "channel": "job:42", "rung": "full",
        "max_rate": 200, "tick_ms": 250, "resumed": false, "upstream": "up"});
    let mut reset = json!({"type": "reset", "channel": "job:42"});
    for frame in [&mut subscribed, &mut reset] {
        frame.as_object_mut().unwrap().extend(position.as_object().unwrap().clone());
    }
    connection.send(subscribed).await;
    connection.send(reset.clone()).await;
    assert_eq!(watch.value_of("reset").await, reset);

    watch.signal(Signal::SIGTERM);
    connection.drain().await;
    let (rest, status, _) = watch.end().await;
    let ledger = rest.last().unwrap();
    assert_eq!(
        (&ledger["epoch"], &ledger["attached"], &ledger["resets"]),
        (&json!("e2"), &json!(1), &json!(1))
    );
    assert_eq!((&ledger["closes"], status.code()), (&json!(true), Some(0)));
}

#[tokio::test]
async fn a_broken_law_is_told_and_is_exit_status_3() {
    let gateway = Gateway::start().await;
    let mut watch = Watch::start(&gateway.url(), &["job:42"]);
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    connection.send(event(7)).await;
    let line = watch.value_of("client_violation").await;
    assert_eq!((&line["channel"], &line["law"]), (&json!("job:42"), &json!("order")));
    assert_eq!(line["frame"], event(7));
    let report = connection.receive().await;
    assert_eq!((&report["type"], &report["law"]), (&json!("violation"), &json!("order")));

    watch.signal(Signal::SIGINT);
    connection.drain().await;
    let (rest, status, words) = watch.end().await;
    assert_eq!((&rest[0]["violations"], &rest[0]["cursor"]), (&json!(1), &json!(2)));
    assert_eq!(status.code(), Some(3));
    assert!(
        words.starts_with("tally: the gateway broke a law 1 time: the law of order is broken"),
        "{words}"
    );
}

#[tokio::test]
async fn a_reader_that_went_away_ends_it_quietly() {
    let gateway = Gateway::start().await;
    let mut watch = Watch::start(&gateway.url(), &["job:42"]);
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    watch.value_of("subscribed").await;
    let mut child = watch.stop_reading();
    connection.send(event(3)).await;
    connection.drain().await;
    let status = within("the end", child.wait()).await.unwrap();
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).await.unwrap();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_must_be_changed_first_is_exit_status_1() {
    let gateway = Gateway::start().await;
    let watch = Watch::start(&gateway.url(), &["job:42"]);
    let (mut stream, _) = within("a connection", gateway.0.accept()).await.unwrap();
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 18\r\n\r\nthis origin may not";
    stream.write_all(refusal.as_bytes()).await.unwrap();
    let (rest, status, words) = watch.end().await;
    assert_eq!((&rest[0]["type"], &rest[0]["retry_in_ms"]), (&json!("client_disconnected"), &json!(null)));
    assert_eq!((&rest[1]["type"], &rest[1]["closes"]), (&json!("ledger"), &json!(false)));
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("refused with HTTP status 403"), "{words}");

    let watch = Watch::start(&gateway.url(), &["job:42"]);
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    connection.close(4403, "not any more").await;
    let (rest, status, words) = watch.end().await;
    assert_eq!(rest.last().unwrap()["closes"], true);
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("code 4403: not any more"), "{words}");

    let watch = Watch::start(&gateway.url(), &["job:42"]);
    let mut connection = gateway.accept().await;
    let id = connection.receive().await["id"].clone();
    connection
        .send(json!({"type": "error", "id": id, "channel": "job:42", "code": "forbidden",
            "message": "ask the owner of job:42"}))
        .await;
    connection.drain().await;
    let (rest, status, words) = watch.end().await;
    assert_eq!(rest[2], json!({"type": "client_unsubscribed", "channel": "job:42", "code": "forbidden"}));
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("ended channel job:42 (forbidden): ask the owner of job:42"), "{words}");
}

#[tokio::test]
async fn without_retry_the_first_failure_is_the_end() {
    let gateway = Gateway::start().await;
    let url = gateway.url();
    drop(gateway);
    let (rest, status, words) = Watch::start(&url, &["--no-retry", "job:42"]).end().await;
    assert_eq!((rest.len(), &rest[0]["retry_in_ms"]), (2, &json!(null)));
    assert_eq!(status.code(), Some(1));
    assert!(
        words.contains("cannot be reached") && words.contains("is `tally serve` running there?"),
        "{words}"
    );

    for (arguments, rule) in [
        (&["--json", "a b"][..], "may only contain"),
        (&["--json", "--gateway", "ftp://x", "a"], "must begin with"),
        (&["--last", "1001", "a"], "1001"),
        (&["--tick-ms", "300", "a"], "must be 250, 1000 or 5000"),
        (&["--rung", "half", "a"], "none of summary, counts, full"),
        (&[], "<CHANNEL>"),
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tally"));
        let output = command.arg("watch").args(arguments).output().await.unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
        assert!(words.contains(rule), "{arguments:?}: {words}");
    }
}

/// Law 3 from outside: the process stops reading, holds no more the longer it waits, and still ends when told to.
#[tokio::test]
async fn a_stalled_reader_of_the_output_stalls_the_socket() {
    const FRAME_BYTES: usize = 64 * 1024;
    const SENT_MAX: usize = 256 * 1024 * 1024;
    let gateway = Gateway::start().await;
    let mut watch = Watch::start(&gateway.url(), &["job:42"]);
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    let mut sent = 0;
    for seq in 3.. {
        let mut frame = event(seq);
        frame["events"][0]["data"] = json!("x".repeat(FRAME_BYTES));
        let send = connection.0.send(Message::text(frame.to_string()));
        match tokio::time::timeout(Duration::from_secs(1), send).await {
            Ok(result) => result.unwrap(),
            Err(_) => break,
        }
        sent += FRAME_BYTES;
        assert!(sent < SENT_MAX, "the socket never stalled");
    }
    let path = format!("/proc/{}/status", watch.child.id().unwrap());
    if let Ok(text) = std::fs::read_to_string(path) {
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 64 * 1024, "{kib} KiB are held");
    }
    watch.signal(Signal::SIGTERM);
    let (status, words) = within("the end", watch.status()).await;
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("the ledger is not written"), "{words} after {PATIENCE:?}");
}
