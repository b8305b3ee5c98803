//! Servers that are absent at first, come back empty, or come back with less than they had.

use crate::calls::{by, channel, counts, events};
use crate::support::{PATIENCE, Server, expect_down, expect_up, up};
use tally_backplane::{Backplane, PublishError, Refusal};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_absent_at_first_is_found_when_it_comes() {
    let mut server = Server::absent();
    let (node, mut stream) = server.redis().connect();
    // The first call waits for the first attempt.
    let error = timeout(PATIENCE, node.publish(events("a", &["k"]))).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, PublishError::Unavailable(why) if why.contains("refuses connections")),
        "{error:?}"
    );
    let reason = expect_down(&mut stream).await;
    assert!(reason.contains("refuses connections"), "{reason}");
    assert!(node.subscribe(vec![channel("a")]).await.is_err());
    assert!(node.snapshot(channel("a")).await.is_err());
    assert!(node.audit(vec![channel("a")]).await.is_err());
    server.restart();
    expect_up(&mut stream).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    assert_eq!(node.publish(events("a", &["k"])).await.unwrap().to.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_emptied_server_starts_channels_anew() {
    let mut server = Server::start();
    let (node, mut stream) = up(server.redis()).await;
    let first = node.publish(by("p", 1, events("a", &["k", "k"]))).await.unwrap();
    server.restart();
    expect_down(&mut stream).await;
    expect_up(&mut stream).await;
    assert_eq!(node.snapshot(channel("a")).await.unwrap(), None);
    let refused = node.publish(by("p", 2, events("a", &["k"]))).await.unwrap_err();
    let expected = Refusal::BatchNumber { given: 2, expected: 1, repeatable: None };
    assert_eq!(refused, PublishError::Refused(expected));
    let again = node.publish(by("q", 1, events("a", &["k"]))).await.unwrap();
    assert_ne!(again.epoch, first.epoch);
    let snapshot = node.snapshot(channel("a")).await.unwrap().unwrap();
    assert_eq!((snapshot.epoch, snapshot.seq.get(), snapshot.prev), (again.epoch, 1, None));
}

/// The continuity rule: a new epoch that says how far the old one still holds; seq and totals go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_dump_is_continued_in_a_new_epoch() {
    let mut server = Server::start();
    let (node, mut stream) = up(server.redis()).await;
    let old = node.publish(by("p", 1, events("a", &["k", "k", "l"]))).await.unwrap();
    assert_eq!(server.cli(&["SAVE"]), "OK");
    node.publish(by("p", 2, events("a", &["k", "lost"]))).await.unwrap();
    assert_eq!(node.snapshot(channel("a")).await.unwrap().unwrap().seq.get(), 5);
    server.restart();
    expect_down(&mut stream).await;
    expect_up(&mut stream).await;
    // A read says what is there, and changes nothing.
    let restored = node.snapshot(channel("a")).await.unwrap().unwrap();
    assert_eq!((&restored.epoch, restored.seq.get(), &restored.prev), (&old.epoch, 3, &None));
    // The producer is ahead of what is remembered of it, and learns so.
    let refused = node.publish(by("p", 3, events("a", &["k"]))).await.unwrap_err();
    let expected = Refusal::BatchNumber { given: 3, expected: 2, repeatable: Some(1) };
    assert_eq!(refused, PublishError::Refused(expected));
    assert_eq!(node.snapshot(channel("a")).await.unwrap().unwrap(), restored, "a refusal changes nothing");
    let new = node.publish(by("q", 1, events("a", &["k"]))).await.unwrap();
    assert_ne!(new.epoch, old.epoch);
    assert_eq!((new.from.get(), new.to.get()), (4, 4));
    let snapshot = node.snapshot(channel("a")).await.unwrap().unwrap();
    let prev = snapshot.prev.clone().unwrap();
    assert_eq!((prev.epoch, prev.seq.get()), (old.epoch, 3));
    assert_eq!((snapshot.totals.get("k"), snapshot.totals.get("l"), snapshot.totals.get("lost")), (3, 1, 0));
    // The same server: the epoch stays.
    assert_eq!(node.publish(counts("a", &[("k", 10)])).await.unwrap().epoch, new.epoch);
    // And once more: only the newest step back is kept.
    assert_eq!(server.cli(&["SAVE"]), "OK");
    server.restart();
    expect_down(&mut stream).await;
    expect_up(&mut stream).await;
    let third = node.publish(events("a", &["k"])).await.unwrap();
    let prev = node.snapshot(channel("a")).await.unwrap().unwrap().prev.unwrap();
    assert_eq!((prev.epoch, prev.seq.get(), third.from.get()), (new.epoch, 14, 15));
}

/// A master draws a new replication id when its first replica attaches. Nothing was lost, and nothing is: the new epoch
/// says that the old one holds up to the head.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_replica_changes_the_epoch_and_loses_nothing() {
    let master = Server::start();
    let (node, _stream) = up(master.redis()).await;
    let first = node.publish(by("p", 1, events("a", &["k", "k"]))).await.unwrap();
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let attached = async {
        while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, attached).await.unwrap();
    let second = node.publish(by("p", 2, events("a", &["k"]))).await.unwrap();
    assert_eq!((second.from.get(), second.to.get()), (3, 3));
    assert_ne!(second.epoch, first.epoch);
    let snapshot = node.snapshot(channel("a")).await.unwrap().unwrap();
    let prev = snapshot.prev.unwrap();
    assert_eq!((prev.epoch, prev.seq.get(), snapshot.totals.get("k")), (first.epoch, 2, 3));
    // Promoted, it goes on from what it has, producers included.
    let copied = async {
        while replica.cli(&["HGET", "tally:{a}:meta", "k:k"]) != "3" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, copied).await.unwrap();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    let (promoted, _stream) = up(replica.redis()).await;
    assert_eq!(
        promoted.publish(by("p", 2, events("a", &["k"]))).await.unwrap(),
        second,
        "a retry is a retry"
    );
    let third = promoted.publish(by("p", 3, events("a", &["k"]))).await.unwrap();
    assert_eq!(third.from.get(), 4);
    let prev = promoted.snapshot(channel("a")).await.unwrap().unwrap().prev.unwrap();
    assert_eq!((prev.epoch, prev.seq.get()), (second.epoch, 3));
}
