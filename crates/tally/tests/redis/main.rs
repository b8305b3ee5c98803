//! Gateways, producers and listeners around a real Redis, and what happens when that goes away.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod fleet;
mod independent;
mod interest;
mod producers;
mod serving;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;
use support::{Gateway, PATIENCE};
use tokio::time::Instant;

/// A gateway on this Redis that notices soon what happens to it.
fn gateway(redis_url: &str, more: &[&str]) -> Gateway {
    let mut arguments = vec!["--redis", redis_url];
    let quick = ["reconnect_max_ms=200", "heartbeat_ms=200", "silence_ms=2000", "probe_ms=500"];
    let quick: Vec<String> = quick.iter().map(|setting| format!("redis_{setting}")).collect();
    for setting in &quick {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(more);
    Gateway::start(&arguments)
}

/// Looks again until it holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
