//! Publish calls that travel in one script call: each is answered, refused, repeated and lost by itself.

use crate::calls::{batch, by, channel, event, events};
use crate::proxy::Proxy;
use crate::support::{PATIENCE, Server, up};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::redis::{Redis, RedisNode, Timeouts};
use tally_backplane::{Backplane, Incoming, Publish, PublishError, Refusal};
use tally_protocol::{Class, Published};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Script calls so far.
fn script_calls(server: &Server) -> usize {
    let info = server.cli(&["INFO", "commandstats"]);
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap().to_owned();
    line.split([':', ',']).find_map(|part| part.strip_prefix("calls=")).unwrap().parse().unwrap()
}

fn unprobed(redis: Redis) -> Redis {
    redis.with_timeouts(Timeouts { probe: Duration::from_secs(600), ..Timeouts::default() })
}

/// A node whose probes do not count among the script calls of a test.
async fn publisher(redis: Redis) -> RedisNode {
    let node = unprobed(redis).connect_publisher();
    node.ready().await.unwrap();
    node
}

/// Makes all calls at the same moment; answers in how many script calls they went.
async fn at_once(
    server: &Server,
    node: &RedisNode,
    calls: impl IntoIterator<Item = Publish>,
) -> (Vec<Result<Published, PublishError>>, usize) {
    let before = script_calls(server);
    let calls = join_all(calls.into_iter().map(|call| node.publish(call)));
    // Otherwise tokio would let only some of them begin in one turn.
    let outcomes = tokio::task::unconstrained(calls).await;
    (outcomes, script_calls(server) - before)
}

async fn seq(node: &impl Backplane, name: &str) -> u64 {
    node.snapshot(channel(name)).await.unwrap().map_or(0, |snapshot| snapshot.seq.get())
}

#[tokio::test]
async fn what_waits_goes_in_one_script_call_and_each_gets_its_own_answer() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    // Each channel begins at another place, and each batch is of another length.
    for n in 0..16 {
        let kinds = vec!["k"; 1 + n * 7 % 16];
        node.publish(events(&format!("c{n}"), &kinds)).await.unwrap();
    }
    let calls = (0..16).map(|n| events(&format!("c{n}"), &vec!["k"; 1 + n]));
    let (outcomes, script_calls) = at_once(&server, &node, calls).await;
    assert_eq!(script_calls, 1);
    for (n, outcome) in (0..).zip(outcomes) {
        let published = outcome.unwrap();
        let before = 1 + n * 7 % 16;
        assert_eq!((published.from.get(), published.to.get()), (before + 1, before + 1 + n));
        let snapshot = node.snapshot(channel(&format!("c{n}"))).await.unwrap().unwrap();
        assert_eq!((snapshot.seq, snapshot.epoch), (published.to, published.epoch));
    }
}

#[tokio::test]
async fn a_script_call_is_bounded_in_batches_and_in_bytes() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    let (outcomes, script_calls) =
        at_once(&server, &node, (0..200).map(|n| events(&format!("c{n}"), &["k"]))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(script_calls, 13, "200 batches, 16 a call");
    let sized = |bytes| {
        let data = format!("\"{}\"", "x".repeat(bytes));
        move |n| batch(&format!("c{n}"), vec![event("k", Class::Bulk, &data)])
    };
    let (outcomes, script_calls) = at_once(&server, &node, (0..12).map(sized(40_000))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(script_calls, 4, "40 KB each, 128 KiB a call");
    let (outcomes, script_calls) = at_once(&server, &node, (0..3).map(sized(1_000_000))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(script_calls, 3, "larger alone than a call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_of_one_channel_keep_their_order() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    for round in 0..20 {
        let calls = (0..150).map(|n| events(&format!("a{round}"), &vec!["k"; 1 + n % 3]));
        let (outcomes, script_calls) = at_once(&server, &node, calls).await;
        assert!(script_calls < 75, "they were merged: {script_calls}");
        let mut before = 0;
        for (n, outcome) in (0..).zip(outcomes) {
            let published = outcome.unwrap();
            assert_eq!((published.from.get(), published.to.get()), (before + 1, before + 1 + n % 3));
            before = published.to.get();
        }
    }
}

#[tokio::test]
async fn one_that_is_refused_leaves_the_others_as_they_are() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    let first = node.publish(by("p", 1, events("d", &["k"]))).await.unwrap();
    server.cli(&["SET", "tally:{text}:meta", "1"]);
    server.cli(&["HSET", "tally:{damaged}:meta", "head", "1"]);
    let calls = [
        by("p", 1, events("a", &["k"])),
        by("p", 2, events("number", &["k"])),
        by("p", 1, events("b", &["k", "k"])),
        events("text", &["k"]),
        by("p", 1, events("d", &["other"])),
        events("damaged", &["k"]),
        by("p", 1, events("d", &["k"])),
        by("p", 2, events("d", &["k"])),
        by("q", 1, events("d", &["k"])),
    ];
    let (outcomes, script_calls) = at_once(&server, &node, calls).await;
    assert_eq!(script_calls, 1);
    let refusal = |n: usize| match &outcomes[n] {
        Err(PublishError::Refused(refusal)) => refusal.clone(),
        other => panic!("{n}: {other:?}"),
    };
    let to = |n: usize| outcomes[n].as_ref().unwrap().to.get();
    assert_eq!((to(0), to(2)), (1, 2));
    assert!(matches!(refusal(1), Refusal::BatchNumber { given: 2, expected: 1, repeatable: None }));
    assert!(
        matches!(refusal(3), Refusal::Unusable(text) if text.contains("tally:{text}:meta is not a hash"))
    );
    assert_eq!(refusal(4), Refusal::ChangedBatch(1));
    assert!(matches!(refusal(5), Refusal::Unusable(text) if text.contains("tally:{damaged}:meta")));
    assert_eq!(outcomes[6].as_ref().unwrap(), &first, "answered again");
    assert_eq!((to(7), to(8)), (2, 3), "behind one another");
    assert_eq!((seq(&node, "number").await, seq(&node, "d").await), (0, 3));
}

/// Redis knows before a script begins whether it is full, and refuses the first write of each batch.
#[tokio::test]
async fn a_full_server_refuses_what_is_new_and_answers_what_is_repeated() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    let old = node.publish(by("p", 1, events("old", &["k"]))).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let calls = [
        by("p", 1, events("new", &["k"])),
        by("p", 1, events("old", &["k"])),
        by("p", 2, events("old", &["k"])),
        by("p", 1, events("old", &["k"])),
    ];
    let (outcomes, script_calls) = at_once(&server, &node, calls).await;
    assert_eq!(script_calls, 1);
    for n in [0, 2] {
        let Err(PublishError::Unavailable(why)) = &outcomes[n] else { panic!("{n}: {:?}", outcomes[n]) };
        assert!(why.contains("maxmemory"), "{why}");
    }
    assert_eq!((outcomes[1].as_ref(), outcomes[3].as_ref()), (Ok(&old), Ok(&old)));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let calls = [by("p", 2, events("old", &["k"])), by("p", 1, events("new", &["k"]))];
    let (outcomes, _) = at_once(&server, &node, calls).await;
    assert_eq!(outcomes.into_iter().map(|outcome| outcome.unwrap().to.get()).collect::<Vec<_>>(), [2, 1]);
}

/// What Redis raises in the middle of a batch: before its first write it is surely not published, behind it perhaps.
#[tokio::test]
async fn one_whose_command_fails_stops_none_behind_it() {
    for (right, number, is_in_doubt) in [("-hlen", 1, false), ("-hdel", 2, true)] {
        let server = Server::start();
        let node = publisher(server.redis()).await;
        node.publish(by("q", 1, events("a", &["k"]))).await.unwrap();
        node.publish(by("p", 1, events("a", &["k"]))).await.unwrap();
        server.cli(&["ACL", "SETUSER", "default", right]);
        let producer = if is_in_doubt { "q" } else { "new" };
        let calls = [
            by("p", 1, events("a", &["k"])),
            by(producer, number, events("a", &["k"])),
            by("p", 2, events("a", &["k"])),
        ];
        let (outcomes, script_calls) = at_once(&server, &node, calls).await;
        assert_eq!(script_calls, 1);
        match &outcomes[1] {
            Err(PublishError::Unknown(why)) if is_in_doubt => assert!(why.contains("rights"), "{why}"),
            Err(PublishError::Unavailable(why)) if !is_in_doubt => assert!(why.contains("rights"), "{why}"),
            other => panic!("{right}: {other:?}"),
        }
        assert_eq!(outcomes[0].as_ref().unwrap().to.get(), 2);
        assert_eq!(outcomes[2].is_ok(), !is_in_doubt, "{:?}", outcomes[2]);
    }
}

#[tokio::test]
async fn one_channel_that_is_not_allowed_is_refused_alone_and_the_link_stays() {
    let server = Server::start();
    let keys = "~tally:{$probe* ~tally:{mine*";
    server.cli(
        &[&["ACL", "SETUSER", "some", "on", ">pw", "+@all", "&*"][..], &keys.split(' ').collect::<Vec<_>>()]
            .concat(),
    );
    let (node, mut stream) = up(unprobed(server.redis()).with_user("some").with_password("pw")).await;
    node.subscribe(vec![channel("mine2")]).await.unwrap();
    let calls = ["mine1", "yours", "mine2", "mine3"].map(|name| events(name, &["k"]));
    let (outcomes, script_calls) = at_once(&server, &node, calls).await;
    assert_eq!(script_calls, 3, "what was not run does not count; then each alone");
    let Err(PublishError::Unavailable(why)) = &outcomes[1] else { panic!("{:?}", outcomes[1]) };
    assert!(why.contains("too few rights"), "{why}");
    for n in [0, 2, 3] {
        assert_eq!(outcomes[n].as_ref().unwrap().to.get(), 1, "once");
    }
    assert!(node.publish(events("yours", &["k"])).await.is_err(), "alone as well");
    node.publish(events("mine2", &["k"])).await.unwrap();
    for _ in 0..2 {
        let next = timeout(PATIENCE, stream.next()).await.unwrap();
        assert!(matches!(next, Some(Incoming::Message { .. })), "{next:?}");
    }
}

#[tokio::test]
async fn who_gives_up_before_it_was_sent_is_not_published() {
    let server = Server::start();
    let node = publisher(server.redis()).await;
    let mut calls: Vec<_> = (0..12).map(|n| node.publish(events(&format!("c{n}"), &["k"]))).collect();
    for call in &mut calls {
        assert!(futures_util::poll!(call).is_pending());
    }
    let kept: Vec<_> =
        calls.into_iter().enumerate().filter(|(n, _)| n % 3 == 0).map(|(_, call)| call).collect();
    assert!(join_all(kept).await.iter().all(Result::is_ok));
    for n in 0..12 {
        assert_eq!(seq(&node, &format!("c{n}")).await, u64::from(n % 3 == 0), "c{n}");
    }
}

/// Replies to many are lost at once, and what is repeated travels in other company: each batch is published once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replies_that_are_lost_leave_each_batch_published_once() {
    const BATCHES: u64 = 40;
    let server = Server::start();
    let proxy = Proxy::start(server.port).await;
    let timeouts = Timeouts {
        command: Duration::from_secs(1),
        reconnect_max: Duration::from_millis(200),
        ..Timeouts::default()
    };
    let redis = Redis::new(&format!("redis://{}", proxy.address)).unwrap().with_timeouts(timeouts);
    let link = Arc::new(redis.connect_publisher());
    link.ready().await.unwrap();
    let before = script_calls(&server);
    proxy.swallow_after(6_000);
    let mut producers = JoinSet::new();
    for producer in 0..24_u64 {
        let link = link.clone();
        producers.spawn(async move {
            let name = format!("c{}", producer % 6);
            let mut results = Vec::new();
            for number in 1..=BATCHES {
                let kinds = &["a", "b", "c"][..1 + usize::try_from((producer + number) % 3).unwrap()];
                let call = by(&format!("p{producer}"), number, events(&name, kinds));
                results.push((name.clone(), kinds.len() as u64, until_answered(&*link, &call).await));
            }
            results
        });
    }
    let results = timeout(3 * PATIENCE, producers.join_all()).await.expect("all batches are answered");
    assert!(proxy.swallowed() > 4, "replies were lost ({})", proxy.swallowed());
    let sent = script_calls(&server) - before;
    assert!(sent < 24 * usize::try_from(BATCHES).unwrap(), "some were merged: {sent}");
    let mut spans: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for (name, len, published) in results.into_iter().flatten() {
        assert_eq!(published.to.get() + 1 - published.from.get(), len, "an answer to another batch");
        spans.entry(name).or_default().push((published.from.get(), published.to.get()));
    }
    for (name, mut spans) in spans {
        spans.sort_unstable();
        let last = spans.iter().fold(0, |last, (from, to)| {
            assert_eq!(*from, last + 1, "no hole, nothing twice");
            *to
        });
        let direct = publisher(server.redis()).await;
        assert_eq!(seq(&direct, &name).await, last);
    }
}

/// As the producer SDK does: the same call until it is answered.
async fn until_answered(link: &dyn Backplane, call: &Publish) -> Published {
    loop {
        match link.publish(call.clone()).await {
            Ok(published) => return published,
            Err(PublishError::Refused(refusal)) => panic!("{refusal}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}
