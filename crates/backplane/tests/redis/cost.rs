//! What a publish call costs the server; to be run by hand: `cargo test --release -p tally-backplane --test redis cost
//! -- --ignored --nocapture`. docs/redis.md has the figures.

use crate::calls::{batch, by, channel, event};
use crate::support::{Server, up};
use std::sync::Arc;
use tally_backplane::{Backplane, Stream};
use tally_protocol::Class;
use tokio::task::JoinSet;

/// CPU of the server in microseconds.
fn cpu_us(server: &Server) -> f64 {
    let info = server.cli(&["INFO", "cpu"]);
    let seconds = |name: &str| -> f64 {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    (seconds("used_cpu_sys") + seconds("used_cpu_user")) * 1e6
}

fn used_by_evalsha(server: &Server) -> (f64, f64) {
    let info = server.cli(&["INFO", "commandstats"]);
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
    let field = |name: &str| -> f64 {
        line.split([':', ',']).find_map(|part| part.strip_prefix(name)).unwrap().parse().unwrap()
    };
    (field("usec="), field("calls="))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and proves nothing"]
async fn cpu_per_event() {
    let data = format!("\"{}\"", "x".repeat(2_046));
    for (batch_len, has_producer, listeners) in
        [(1, false, 0), (1, true, 0), (1, true, 1), (16, true, 0), (16, true, 1), (64, true, 1)]
    {
        let server = Server::start();
        let (node, stream) = up(server.redis()).await;
        let _reading = if listeners > 0 { Some(read(&node, stream).await) } else { None };
        let node = Arc::new(node);
        let events = 200_000 / 2;
        run(&node, "warm", 2_000, batch_len, has_producer, &data).await;
        let (before, (used, calls)) = (cpu_us(&server), used_by_evalsha(&server));
        run(&node, "a", events, batch_len, has_producer, &data).await;
        let (after, (used_after, calls_after)) = (cpu_us(&server), used_by_evalsha(&server));
        let calls = calls_after - calls;
        println!(
            "batches of {batch_len:>2}, producer {has_producer:<5}, listeners {listeners}: {:>5.1} us of CPU per event, {:>5.1} us per call in the script",
            (after - before) / f64::from(events),
            (used_after - used) / calls,
        );
    }
}

async fn read(node: &impl Backplane, mut stream: Stream) -> JoinSet<()> {
    node.subscribe((0..16).map(|n| channel(&format!("a{n}"))).collect()).await.unwrap();
    let mut reading = JoinSet::new();
    reading.spawn(async move { while stream.next().await.is_some() {} });
    reading
}

/// Sixteen producers, each with a channel of its own.
async fn run(
    node: &Arc<impl Backplane>,
    name: &str,
    events: u32,
    batch_len: u32,
    has_producer: bool,
    data: &str,
) {
    let mut producers = JoinSet::new();
    for producer in 0..16 {
        let (node, name, data) = (node.clone(), format!("{name}{producer}"), data.to_owned());
        producers.spawn(async move {
            for number in 1..=u64::from(events / batch_len / 16) {
                let sent =
                    (0..batch_len).map(|n| event(["ok", "changed"][n as usize % 2], Class::Bulk, &data));
                let mut call = batch(&name, sent.collect());
                if has_producer {
                    call = by("producer-0123456789abcdef", number, call);
                }
                node.publish(call).await.unwrap();
            }
        });
    }
    producers.join_all().await;
}
