//! A listener in Python that shares no code with Tally, written from docs/wire.md, agrees with the broker.

use crate::gateway;
use crate::support::redis::Redis;
use crate::support::{Gateway, post};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent.py");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire.md");
const BATCHES: u64 = 40;
const EVENTS_PER_BATCH: u64 = 10;

/// Starts one and waits for its attach.
fn listen(gateway: &Gateway, max_rate: &str) -> Child {
    let seq = (BATCHES * EVENTS_PER_BATCH).to_string();
    let mut command = Command::new("python3");
    command.args([SCRIPT, &gateway.listen.to_string(), "job:1", &seq, max_rate, PAGE]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().expect("this test needs python3; install it with: apt-get install python3");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    if line != "attached\n" {
        stderr.read_to_string(&mut line).unwrap();
        panic!("{line}");
    }
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
    child
}

#[test]
fn a_listener_written_from_the_page_agrees_with_the_broker() {
    let redis = Redis::start();
    let (a, b) = (gateway(&redis.url(), &[]), gateway(&redis.url(), &[]));
    let listeners = [listen(&a, "10000"), listen(&b, "20")];
    for n in 0..BATCHES {
        let state = format!("{{\"kind\":\"progress\",\"class\":\"state\",\"data\":{n}}}\n");
        let lines = "{\"kind\":\"ok\",\"data\":{\"host\":\"a\"}}\n".repeat(EVENTS_PER_BATCH as usize - 2);
        let body = format!("{lines}{state}{{\"kind\":\"failed\"}}");
        assert_eq!(post(a.listen, "/v1/channels/job:1/events", &body).0, 200);
    }
    let accounts = listeners.map(|listener| {
        let done = listener.wait_with_output().unwrap();
        assert!(done.status.success(), "it says on standard error what does not agree");
        serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap()
    });
    let sum = |column: &serde_json::Value| -> u64 {
        column.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
    };
    assert_eq!(sum(&accounts[0]["full"]), BATCHES * EVENTS_PER_BATCH);
    assert!(sum(&accounts[1]["counted"]["throttled"]) > 0, "{}", accounts[1]);
}
