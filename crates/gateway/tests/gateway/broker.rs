//! A broker that is away, or does not answer: what publishers are told, and that listeners keep their connections.

use crate::support::{Client, get, post, publish, request, start_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tally_backplane::{
    Away, Backplane, BoxFuture, Embedded, EmbeddedNode, Head, Publish, PublishError, Stream,
};
use tally_protocol::{ChannelName, Published, Snapshot};

/// An embedded node whose next calls fail, as often as is said.
struct Faulty {
    node: EmbeddedNode,
    unavailable: AtomicU32,
    unknown: AtomicU32,
    away: AtomicU32,
}

impl Faulty {
    fn new() -> (Arc<Self>, Stream) {
        let (node, stream) = Embedded::default().node();
        let none = || AtomicU32::new(0);
        (Arc::new(Self { node, unavailable: none(), unknown: none(), away: none() }), stream)
    }

    fn is_away(&self) -> Result<(), Away> {
        if take(&self.away) { Err(Away("planted".into())) } else { Ok(()) }
    }
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

impl Backplane for Faulty {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            // What the gateway says about itself is nobody's publish.
            if publish.channel.is_own() {
                return self.node.publish(publish).await;
            }
            if take(&self.unavailable) {
                return Err(PublishError::Unavailable("planted".into()));
            }
            let published = self.node.publish(publish).await?;
            // The answer is lost; the batch is not.
            if take(&self.unknown) { Err(PublishError::Unknown("planted".into())) } else { Ok(published) }
        })
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            self.is_away()?;
            self.node.subscribe(channels).await
        })
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            self.is_away()?;
            self.node.unsubscribe(channels).await
        })
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        Box::pin(async move {
            self.is_away()?;
            self.node.snapshot(channel).await
        })
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        self.node.audit(channels)
    }
}

const MANY: u32 = u32::MAX;

#[tokio::test]
async fn a_publish_is_held_while_the_broker_is_away() {
    let (broker, stream) = Faulty::new();
    let gateway = start_with(broker.clone(), stream, |config| config.limits.publish_hold_ms = 2_000).await;
    let addr = gateway.listen_addr();
    broker.unavailable.store(3, Ordering::Relaxed);
    assert_eq!(publish(addr, "job", 1).await, 1);
    broker.unavailable.store(MANY, Ordering::Relaxed);
    let answer = post(addr, "job", "1").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "unavailable"), "{answer:?}");
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    broker.unavailable.store(0, Ordering::Relaxed);
    assert_eq!(publish(addr, "job", 1).await, 2);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_unless_the_batch_is_numbered() {
    let (broker, stream) = Faulty::new();
    let gateway = start_with(broker.clone(), stream, |config| config.limits.publish_hold_ms = 1_000).await;
    let addr = gateway.listen_addr();
    broker.unknown.store(1, Ordering::Relaxed);
    let answer = post(addr, "job", "1").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (504, "unknown"), "{answer:?}");
    // It was published once, and not again.
    assert_eq!(get(addr, "/v1/channels/job").await.json()["seq"], 1);
    let numbered = async || {
        let headers = "tally-producer: p\r\ntally-batch: 1\r\n";
        request(addr, "POST /v1/channels/job/events", headers, b"1").await
    };
    broker.unknown.store(2, Ordering::Relaxed);
    let answer = numbered().await;
    assert_eq!((answer.status, answer.json()["to"].as_u64()), (200, Some(2)), "{answer:?}");
    // An attempt without an answer makes every later refusal meaningless.
    broker.unknown.store(MANY, Ordering::Relaxed);
    assert_eq!(numbered().await.status, 504);
    assert_eq!(get(addr, "/v1/channels/job").await.json()["seq"], 2);
}

#[tokio::test]
async fn subscribing_waits_for_the_broker_and_is_not_refused() {
    let (broker, stream) = Faulty::new();
    let gateway = start_with(broker.clone(), stream, |_| {}).await;
    let addr = gateway.listen_addr();
    publish(addr, "job", 4).await;
    // Two failed subscribe calls, and two failed reads.
    broker.away.store(4, Ordering::Relaxed);
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("job", "").await;
    assert_eq!(ledger.cursor().get(), 4);
    let seq = publish(addr, "job", 2).await;
    client.read_to(&mut ledger, seq).await;
    assert!(ledger.closes());
    assert_eq!(ledger.full().sum(), 2);
    broker.away.store(MANY, Ordering::Relaxed);
    let answer = get(addr, "/v1/channels/job").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "unavailable"));
}

/// The broker forgets the node's subscription without a word: the audit finds out and subscribes anew.
#[tokio::test]
async fn a_deaf_subscription_is_found_and_mended() {
    let (broker, stream) = Faulty::new();
    let gateway = start_with(broker.clone(), stream, |_| {}).await;
    let addr = gateway.listen_addr();
    let mut client = Client::connect(addr).await;
    let mut ledger = client.subscribe("job", "").await;
    broker.node.unsubscribe(vec![ChannelName::new("job").unwrap()]).await.unwrap();
    let seq = publish(addr, "job", 7).await;
    client.read_to(&mut ledger, seq).await;
    assert!(ledger.closes());
    assert_eq!(ledger.counted().values().map(|totals| totals.sum()).sum::<u64>(), 7);
    // Heard again.
    let seq = publish(addr, "job", 1).await;
    client.read_to(&mut ledger, seq).await;
    assert_eq!(ledger.full().sum(), 1);
}
