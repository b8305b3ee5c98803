//! A Redis that is absent at start, comes back with all, a part or nothing of its data: told, and ledgers close.

use crate::support::listener::Listener;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::{Gateway, get, post};
use crate::{eventually, gateway};
use tally_client::protocol::UpstreamStatus;
use tally_client::{Continuity, Update};

fn publish(gateway: &Gateway, channel: &str, events: usize) -> u64 {
    let body = "{\"kind\":\"ok\",\"data\":[1]}\n".repeat(events);
    let (status, answer) = post(gateway.listen, &format!("/v1/channels/{channel}/events"), &body);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str::<serde_json::Value>(&answer).unwrap()["to"].as_u64().unwrap()
}

fn is_upstream(status: UpstreamStatus) -> impl Fn(&Update) -> bool {
    move |update| matches!(update, Update::Upstream(frame) if frame.status == status)
}

#[tokio::test]
async fn a_redis_that_is_absent_at_start_is_waited_for() {
    let mut redis = Redis::absent();
    let gateway = gateway(&redis.url(), &["--set", "publish_hold_ms=100"]);
    assert_eq!(get(gateway.admin, "/readyz").0, 200, "readiness is never about Redis");
    let mut listener = Listener::ask(&gateway.url(), "job:1");
    let pending = listener.until(|update| matches!(update, Update::Subscribed { .. })).await;
    assert!(matches!(pending, Update::Subscribed { continuity: Continuity::Pending, .. }), "{pending:?}");
    let (status, answer) = post(gateway.listen, "/v1/channels/job:1/events", "1");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("is Redis running there?"), "{answer}");
    assert!(gateway.metrics().contains("tally_upstream_up 0"));

    redis.start_again();
    listener.until_attached().await;
    let seq = publish(&gateway, "job:1", 3);
    listener.read_to(seq).await;
    listener.check(&gateway);
    assert_eq!((seq, listener.ledger().full().sum()), (3, 3), "what was refused was not published");
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_a_reset() {
    let mut redis = Redis::start();
    let gateway = gateway(&redis.url(), &[]);
    let mut listener = Listener::attach(&gateway, "job:1").await;
    let seq = publish(&gateway, "job:1", 5);
    listener.read_to(seq).await;

    redis.kill();
    listener.until(is_upstream(UpstreamStatus::Down)).await;
    redis.start_again();
    let reset = listener.until(|update| matches!(update, Update::Reset { .. })).await;
    let Update::Reset { frame, closed } = reset else { unreachable!("that is what was waited for") };
    assert_eq!((frame.seq.get(), closed.cursor().get()), (0, 5));
    assert!(closed.closes());
    let seq = publish(&gateway, "job:1", 2);
    listener.read_to(seq).await;
    listener.check(&gateway);
    assert_eq!(listener.ledger().full().sum(), 2);
    assert!(!listener.passed.contains(&"disconnected"), "{:?}", listener.passed);
}

#[tokio::test]
async fn a_redis_that_was_away_with_its_data_is_told_and_costs_nothing() {
    let mut redis = Redis::start();
    let (a, b) = (gateway(&redis.url(), &[]), gateway(&redis.url(), &[]));
    let mut listeners = [Listener::attach(&a, "job:1").await, Listener::attach(&b, "job:1").await];
    publish(&a, "job:1", 5);
    redis.run(&["SAVE"]);
    redis.kill();
    for listener in &mut listeners {
        listener.until(is_upstream(UpstreamStatus::Down)).await;
    }
    redis.start_again();
    for listener in &mut listeners {
        listener.until(is_upstream(UpstreamStatus::Up)).await;
    }
    // The first one begins a new epoch, which only a snapshot may tell: it is counted.
    let first = publish(&b, "job:1", 1);
    for listener in &mut listeners {
        listener.read_to(first).await;
    }
    let seq = publish(&b, "job:1", 3);
    assert_eq!(seq, 9, "the numbering goes on");
    for (listener, gateway) in listeners.iter_mut().zip([&a, &b]) {
        listener.read_to(seq).await;
        listener.check(gateway);
        assert_eq!(listener.ledger().full().sum(), 8);
        for told in ["reset", "disconnected"] {
            assert!(!listener.passed.contains(&told), "{:?}", listener.passed);
        }
    }
    for gateway in [&a, &b] {
        assert!(gateway.metrics().contains("tally_upstream_reconnects_total 1"), "{}", gateway.metrics());
    }
}

/// Events are published while gateway A does not reach Redis: it tells exactly how many of which kind it missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_off_gateway_missed_is_told_by_kind() {
    let redis = Redis::start();
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port).into()).await;
    let a = gateway(&format!("redis://{}", proxy.address), &[]);
    let b = gateway(&redis.url(), &[]);
    let mut listener = Listener::attach(&a, "job:1").await;
    let seq = publish(&b, "job:1", 5);
    listener.read_to(seq).await;
    proxy.close();
    listener.until(is_upstream(UpstreamStatus::Down)).await;
    let seq = publish(&b, "job:1", 7);
    proxy.open();
    listener.read_to(seq).await;
    let seq = publish(&b, "job:1", 1);
    listener.read_to(seq).await;
    listener.check(&a);
    let ledger = listener.ledger();
    assert_eq!((ledger.full().sum(), ledger.cursor().get()), (6, 13), "{:?} {ledger:?}", listener.passed);
    let counted: Vec<_> = ledger.counted().iter().map(|(why, n)| (why.as_str(), n.sum())).collect();
    assert_eq!(counted, [("upstream", 7)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_dump_resets_exactly_those_who_saw_more() {
    let mut redis = Redis::start();
    let gateway = gateway(&redis.url(), &[]);
    let proxy = Proxy::start(gateway.listen).await;
    let mut ahead = Listener::attach(&gateway, "job:1").await;
    let mut behind = Listener::ask(&format!("http://{}", proxy.address), "job:1");
    behind.until_attached().await;
    let saved = publish(&gateway, "job:1", 10);
    for listener in [&mut ahead, &mut behind] {
        listener.read_to(saved).await;
    }
    redis.run(&["SAVE"]);
    // One client stays at what is saved; the other sees what will be lost.
    proxy.close();
    behind.until(|update| matches!(update, Update::Disconnected { .. })).await;
    let lost = publish(&gateway, "job:1", 10);
    ahead.read_to(lost).await;
    redis.kill();
    ahead.until(is_upstream(UpstreamStatus::Down)).await;
    redis.start_again();
    // The first publish finds a server that is not the one that numbered last.
    eventually("the gateway reaches Redis again", || gateway.metrics().contains("tally_upstream_up 1")).await;
    let seq = publish(&gateway, "job:1", 5);
    assert_eq!(seq, 15, "the numbering goes on from the dump");

    let reset = ahead.until(|update| matches!(update, Update::Reset { .. })).await;
    let Update::Reset { closed, .. } = reset else { unreachable!("that is what was waited for") };
    assert_eq!((closed.cursor().get(), closed.closes()), (20, true));
    ahead.read_to(seq).await;
    ahead.check(&gateway);

    proxy.open();
    behind.read_to(seq).await;
    behind.check(&gateway);
    assert!(!behind.passed.contains(&"reset"), "{:?}", behind.passed);
    let ledger = behind.ledger();
    let counted: u64 = ledger.counted().values().map(|counted| counted.sum()).sum();
    assert_eq!(ledger.full().sum() + counted, 15, "{ledger:?}");
}
