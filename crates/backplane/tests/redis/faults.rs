//! Connections that end, stall or lie: what fred 10.1 is known to do wrong, and what a node makes of outages.

use crate::calls::{batch, by, channel, event, events};
use crate::proxy::Proxy;
use crate::support::{PATIENCE, Server, expect_down, expect_up, up};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::redis::{LinkError, Redis, Timeouts};
use tally_backplane::{Backplane, Incoming, PublishError, Stream};
use tally_protocol::{Class, Heard, Published, RecordHeader};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// So short that a test does not wait, and long enough for a busy machine.
fn short() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(2),
        command: Duration::from_secs(1),
        heartbeat: Duration::from_millis(200),
        silence: Duration::from_secs(2),
        probe: Duration::from_millis(300),
        reconnect_max: Duration::from_millis(200),
    }
}

fn through(proxy: &Proxy) -> Redis {
    Redis::new(&format!("redis://{}", proxy.address)).unwrap().with_timeouts(short())
}

async fn record(stream: &mut Stream) -> RecordHeader {
    loop {
        match timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
            Incoming::Message { payload, .. } => return RecordHeader::decode(&payload).unwrap(),
            Incoming::Up => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_connection_is_a_down_and_an_up() {
    let server = Server::start();
    let (node, mut stream) = up(server.redis().with_timeouts(short())).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    for kind in ["pubsub", "normal"] {
        server.cli(&["CLIENT", "KILL", "TYPE", kind]);
        let reason = expect_down(&mut stream).await;
        assert!(reason.contains("closed"), "{reason}");
        expect_up(&mut stream).await;
        // What was subscribed is not any more.
        assert_eq!(node.publish(events("a", &["k"])).await.unwrap().heard, Heard::No);
        node.subscribe(vec![channel("a")]).await.unwrap();
        let published = node.publish(events("a", &["k"])).await.unwrap();
        assert_eq!(published.heard, Heard::Yes);
        assert_eq!(record(&mut stream).await.to, published.to);
    }
}

/// fred 1: after a reconnect with nothing subscribed it sent SUBSCRIBE without names, and from then on callers got each
/// other's replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_caller_gets_anothers_reply_while_connections_are_killed() {
    const CALLERS: usize = 128;
    let server = Server::start();
    let (node, mut stream) = up(server.redis().with_timeouts(short())).await;
    let node = Arc::new(node);
    let names: Vec<_> = (0..CALLERS).map(|n| channel(&format!("c{n}"))).collect();
    for name in &names {
        node.publish(events(name.as_str(), &[&format!("of-{name}")])).await.unwrap();
    }
    // Nothing is subscribed any more, as far as a client that tracks subscriptions knows.
    node.subscribe(names.clone()).await.unwrap();
    node.unsubscribe(names.clone()).await.unwrap();
    for _ in 0..5 {
        let mut callers = JoinSet::new();
        for name in names.clone() {
            let node = node.clone();
            callers.spawn(async move {
                for _ in 0..20 {
                    // Answers that fail are right: nobody got somebody else's.
                    if let Ok(read) = node.snapshot(name.clone()).await {
                        let totals = read.expect("each was published to").totals;
                        assert_eq!(totals.get(&format!("of-{name}")), 1);
                    }
                    if let Ok(heads) = node.audit(vec![name.clone()]).await {
                        assert_eq!(heads[0].as_ref().unwrap().seq.get(), 1);
                    }
                }
            });
        }
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        while let Some(ended) = timeout(PATIENCE, callers.join_next()).await.unwrap() {
            ended.unwrap();
        }
        expect_up(&mut stream).await;
    }
}

/// fred 2: a refused command left small ones unflushed for good. So none is refused: a burst waits for its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_is_published_whole_and_small_calls_still_pass() {
    const CALLS: u64 = 3_000;
    let server = Server::start();
    let node = Arc::new(server.redis().connect_publisher());
    node.ready().await.unwrap();
    let mut burst = JoinSet::new();
    let data = format!("\"{}\"", "x".repeat(60_000));
    for n in 0..CALLS {
        let node = node.clone();
        let call = batch(&format!("c{}", n % 7), vec![event("k", Class::Bulk, &data)]);
        burst.spawn(async move { node.publish(call).await });
    }
    let mut refused = 0;
    while let Some(ended) = burst.join_next().await {
        // Some may not get their turn in time; then they were surely not published.
        match ended.unwrap() {
            Ok(_) => {}
            Err(PublishError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let mut published = 0;
    for n in 0..7 {
        published += node.snapshot(channel(&format!("c{n}"))).await.unwrap().map_or(0, |read| read.seq.get());
    }
    assert_eq!(published + refused, CALLS);
    for _ in 0..50 {
        node.publish(events("small", &["k"])).await.unwrap();
    }
}

/// fred 3: subscribe resolves as soon as the command is queued; with the server stopped it said Ok after 41 us.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn subscribing_waits_until_it_took_effect() {
    let server = Server::start();
    let (node, mut stream) = up(server.redis().with_timeouts(short())).await;
    server.signal("STOP");
    assert!(node.subscribe(vec![channel("a")]).await.is_err(), "nothing can have taken effect");
    server.signal("CONT");
    let node = Arc::new(node);
    // The heartbeat may have ended the session meanwhile, or not.
    let subscribed = async {
        while node.subscribe(vec![channel("a")]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, subscribed).await.unwrap();
    server.cli(&["PUBLISH", "tally:{a}", "{\"raw\":1}"]);
    loop {
        match timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
            Incoming::Message { channel, payload } => {
                assert_eq!((channel.as_str(), &payload[..]), ("a", &b"{\"raw\":1}"[..]));
                return;
            }
            // A session that ended after the call took its subscription with it.
            Incoming::Up => {
                node.subscribe(vec![channel("a")]).await.unwrap();
                server.cli(&["PUBLISH", "tally:{a}", "{\"raw\":1}"]);
            }
            _ => {}
        }
    }
}

/// fred 4: a connection through which nothing passes any more was never noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_connection_is_noticed_and_calls_are_bounded_meanwhile() {
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (node, mut stream) = up(through(&proxy)).await;
    node.publish(events("a", &["k"])).await.unwrap();
    proxy.set_hole(true);
    let error = timeout(PATIENCE, node.publish(events("a", &["k"]))).await.expect("it ends").unwrap_err();
    assert!(matches!(error, PublishError::Unknown(_) | PublishError::Unavailable(_)), "{error:?}");
    let reason = expect_down(&mut stream).await;
    assert!(reason.contains("does not answer"), "{reason}");
    let error = timeout(PATIENCE, node.publish(events("a", &["k"]))).await.expect("it ends").unwrap_err();
    assert!(matches!(error, PublishError::Unavailable(_)), "a link that is down sends nothing: {error:?}");
    assert!(node.snapshot(channel("a")).await.is_err());
    assert!(node.subscribe(vec![channel("a")]).await.is_err());
    proxy.set_hole(false);
    proxy.cut();
    expect_up(&mut stream).await;
    node.publish(events("a", &["k"])).await.unwrap();
}

/// Both connections live and answer, on two servers: only what is published shows that nothing arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deaf_connection_is_found_by_the_probe() {
    let (one, two) = (Server::start(), Server::start());
    let proxy = Proxy::balance(&[one.port, two.port]).await;
    let timeouts = Timeouts { silence: Duration::from_millis(500), ..short() };
    assert_eq!(through(&proxy).with_timeouts(timeouts).check().await, Err(LinkError::Deaf));
    let (_node, mut stream) = through(&proxy).with_timeouts(timeouts).connect();
    let reason = expect_down(&mut stream).await;
    assert!(reason.contains("does not arrive"), "{reason}");
}

/// A subscription that the server takes back while the link is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscription_that_is_taken_back_is_a_down() {
    let server = Server::start();
    let (_node, mut stream) = up(server.redis().with_timeouts(short())).await;
    let probes = server.cli(&["PUBSUB", "CHANNELS", "tally:{$probe:*"]);
    assert!(probes.starts_with("tally:{$probe:") && probes.lines().count() == 1, "{probes}");
    // Redis closes who is subscribed to what it may not any more, and refuses it from then on.
    server.cli(&["ACL", "SETUSER", "default", "resetchannels", "&nothing"]);
    expect_down(&mut stream).await;
    server.cli(&["ACL", "SETUSER", "default", "allchannels"]);
    expect_up(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flushed_script_is_loaded_again() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    for n in 1..=3 {
        assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
        assert_eq!(node.publish(by("p", n, events("a", &["k"]))).await.unwrap().to.get(), n);
    }
}

/// Eight producers, four links that lose replies and end again and again: each batch is published exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_producers_behind_lost_replies_publish_each_batch_once() {
    const BATCHES: u64 = 150;
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let (listener, mut stream) = up(server.redis()).await;
    listener.subscribe(vec![channel("a")]).await.unwrap();
    let links: Vec<_> = (0..4).map(|_| Arc::new(through(&proxy).connect_publisher())).collect();
    for link in &links {
        link.ready().await.unwrap();
    }
    proxy.swallow_after(9_000);
    let mut producers = JoinSet::new();
    for producer in 0..8_usize {
        let link = links[producer % links.len()].clone();
        producers.spawn(async move {
            let mut results = Vec::new();
            for number in 1..=BATCHES {
                let kinds = &["a", "b", "c"][..1 + producer % 3];
                results.push(until_answered(&*link, &format!("p{producer}"), number, kinds).await);
            }
            results
        });
    }
    let results = timeout(3 * PATIENCE, producers.join_all()).await.expect("all batches are answered");
    assert!(proxy.swallowed() > 4, "replies were lost ({})", proxy.swallowed());
    let mut spans: Vec<_> = results.iter().flatten().map(|r| (r.from.get(), r.to.get())).collect();
    spans.sort_unstable();
    let last = spans.iter().fold(0, |last, (from, to)| {
        assert_eq!(*from, last + 1, "no hole, nothing twice");
        *to
    });
    assert_eq!(listener.snapshot(channel("a")).await.unwrap().unwrap().seq.get(), last);
    let mut heard = BTreeSet::new();
    let mut cursor = 0;
    while cursor < last {
        let header = record(&mut stream).await;
        assert_eq!(header.from.get(), cursor + 1);
        assert!(heard.insert(header.from));
        cursor = header.to.get();
    }
}

/// As the producer SDK does: the same call until it is answered.
async fn until_answered(link: &dyn Backplane, producer: &str, number: u64, kinds: &[&str]) -> Published {
    loop {
        match link.publish(by(producer, number, events("a", kinds))).await {
            Ok(published) => return published,
            Err(PublishError::Refused(refusal)) => panic!("{refusal}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_stream_ends_its_subscriptions_and_the_node_still_publishes() {
    let server = Server::start();
    let (node, stream) = up(server.redis().with_timeouts(short())).await;
    node.subscribe(vec![channel("a"), channel("b")]).await.unwrap();
    drop(stream);
    let gone = async {
        while !server.cli(&["PUBSUB", "CHANNELS"]).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("its subscriptions end");
    assert!(node.subscribe(vec![channel("a")]).await.is_err());
    for _ in 0..3 {
        assert_eq!(node.publish(events("a", &["k"])).await.unwrap().heard, Heard::No);
    }
    assert_eq!(node.snapshot(channel("a")).await.unwrap().unwrap().seq.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_node_leaves_no_connection() {
    let server = Server::start();
    for drop_early in [true, false] {
        let (node, mut stream) = server.redis().connect();
        if !drop_early {
            expect_up(&mut stream).await;
        }
        drop(node);
        while timeout(PATIENCE, stream.next()).await.expect("the stream ends").is_some() {}
    }
    let gone = async {
        while server.cli(&["CLIENT", "LIST"]).lines().count() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("only the one that asks is connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_unix_socket_serves_as_well() {
    let server = Server::start();
    let url = format!("redis+unix://{}", server.socket().display());
    let (node, mut stream) = up(Redis::new(&url).unwrap()).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    let published = node.publish(events("a", &["k"])).await.unwrap();
    assert_eq!(record(&mut stream).await.to, published.to);
}
