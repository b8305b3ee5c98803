//! The handle and its driver over the embedded broker, on tokio's paused clock.

use super::*;
use crate::receipt::Outcome;
use std::collections::VecDeque;
use tally_backplane::{
    Away, BoxFuture, Embedded, EmbeddedNode, Head, Limits, Publish, PublishError as CallError,
};
use tally_protocol::{Class, Published, RawJson, Snapshot, UnixMs};
use tokio::sync::broadcast::error::RecvError;

const SECOND: Duration = Duration::from_secs(1);

/// What happens to a call; after the last step all go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Away,
    Hang,
    Panic,
}

struct Scripted {
    node: EmbeddedNode,
    steps: Mutex<VecDeque<Step>>,
}

impl Scripted {
    fn new(steps: &[Step]) -> Arc<Self> {
        let (node, _) = Embedded::new(Limits::default()).node();
        Arc::new(Self { node, steps: Mutex::new(steps.iter().copied().collect()) })
    }
}

impl Backplane for Scripted {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, CallError>> {
        let step = self.steps.lock().unwrap().pop_front();
        Box::pin(async move {
            match step {
                None => self.node.publish(publish).await,
                Some(Step::Away) => Err(CallError::Unavailable("away".into())),
                Some(Step::Hang) => std::future::pending().await,
                Some(Step::Panic) => panic!("planned"),
            }
        })
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.node.subscribe(channels)
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.node.unsubscribe(channels)
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        self.node.snapshot(channel)
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        self.node.audit(channels)
    }
}

fn channel() -> ChannelName {
    "job:42".parse().unwrap()
}

fn event(n: u64) -> Event {
    let data = RawJson::string(&n.to_string());
    Event { kind: "line".parse().unwrap(), class: Class::Bulk, at: UnixMs::new(n), data }
}

fn seq(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Full { seq, .. } => seq.get(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_tells_the_seq_and_the_account_adds_up() {
    let producer = Producer::builder().listener_aware(false).over(Scripted::new(&[])).unwrap();
    let receipts: Vec<_> = (1..=2_500).map(|n| producer.publish(&channel(), event(n)).unwrap()).collect();
    assert_eq!(seq(&receipts[0].clone().outcome().await), 1);
    producer.flush().await;
    for (n, receipt) in (1..).zip(&receipts) {
        assert_eq!(seq(&receipt.peek().unwrap()), n);
    }
    let closed = producer.close(Duration::MAX).await;
    assert!(closed.cut_off.is_none());
    assert_eq!(closed.stats, Stats { accepted: 2_500, full: 2_500, ..Stats::default() });
}

#[tokio::test(start_paused = true)]
async fn after_a_close_no_clone_publishes() {
    let producer = Producer::over(Scripted::new(&[])).unwrap();
    let (clone, other) = (producer.clone(), producer.clone());
    let receipt = clone.publish(&channel(), event(1)).unwrap();
    let closed = producer.close(SECOND).await;
    assert_eq!(seq(&receipt.peek().unwrap()), 1);
    assert_eq!(clone.publish(&channel(), event(2)).unwrap_err(), PublishError::Closed);
    clone.flush().await;
    assert_eq!(other.close(SECOND).await.stats, closed.stats);
}

#[tokio::test(start_paused = true)]
async fn a_close_tells_what_it_cut_off() {
    let producer = Producer::over(Scripted::new(&[Step::Hang])).unwrap();
    let on_its_way = producer.publish(&channel(), event(1)).unwrap();
    let remaining = producer.flush_within(SECOND).await;
    assert_eq!(remaining, Remaining { unsent: 0, in_doubt: 1 });
    let behind_it = producer.publish(&channel(), event(2)).unwrap();
    let began = tokio::time::Instant::now();
    let closed = producer.close(2 * SECOND).await;
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!(closed.cut_off, Remaining { unsent: 1, in_doubt: 1 });
    assert!(matches!(on_its_way.outcome().await, Outcome::Unknown { .. }));
    assert!(matches!(behind_it.outcome().await, Outcome::Refused { code, .. } if &*code == "closed"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_tried_again() {
    let producer = Producer::over(Scripted::new(&[Step::Hang, Step::Hang])).unwrap();
    let receipt = producer.publish(&channel(), event(1)).unwrap();
    assert_eq!(seq(&receipt.outcome().await), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_in_doubt_and_harms_no_other() {
    let producer = Producer::over(Scripted::new(&[Step::Panic])).unwrap();
    let first = producer.publish(&channel(), event(1)).unwrap();
    let second = producer.publish(&"job:43".parse().unwrap(), event(1)).unwrap();
    assert_eq!(seq(&second.outcome().await), 1);
    assert_eq!(seq(&first.outcome().await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_producer_sends_what_it_holds() {
    let backplane = Scripted::new(&[Step::Away, Step::Away]);
    let producer = Producer::over(Arc::clone(&backplane) as Arc<dyn Backplane>).unwrap();
    let receipt = producer.publish(&channel(), event(1)).unwrap();
    drop(producer);
    assert_eq!(seq(&receipt.outcome().await), 1);
}

#[test]
fn no_receipt_waits_for_a_runtime_that_is_gone() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (gone, here) = (runtime(), runtime());
    let (producer, on_its_way, waiting) = gone.block_on(async {
        let producer = Producer::over(Scripted::new(&[Step::Hang])).unwrap();
        let on_its_way = producer.publish(&channel(), event(1)).unwrap();
        let _remaining = producer.flush_within(SECOND).await;
        let waiting = producer.publish(&channel(), event(2)).unwrap();
        (producer, on_its_way, waiting)
    });
    drop(gone);
    here.block_on(async {
        assert!(matches!(on_its_way.outcome().await, Outcome::Unknown { .. }));
        assert!(matches!(waiting.outcome().await, Outcome::Refused { .. }));
        producer.flush().await;
        assert_eq!(producer.publish(&channel(), event(3)).unwrap_err(), PublishError::Closed);
        assert_eq!(producer.close(SECOND).await.stats.waiting, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn notices_tell_of_trouble_and_of_its_end() {
    let producer = Producer::over(Scripted::new(&[Step::Away; 5])).unwrap();
    let mut notices = producer.notices();
    producer.publish(&channel(), event(1)).unwrap();
    producer.flush().await;
    assert_eq!(notices.recv().await.unwrap().to_string(), "cannot publish now, still trying: away");
    assert!(matches!(notices.recv().await.unwrap(), Notice::Back { .. }));
    producer.close(SECOND).await;
    assert_eq!(notices.recv().await.unwrap_err(), RecvError::Closed);
}

/// Law 2 from several threads: what one thread publishes to a channel keeps its order, and numbers have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_keep_their_order() {
    let producer = Producer::builder().listener_aware(false).over(Scripted::new(&[])).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let producer = producer.clone();
            std::thread::spawn(move || -> Vec<Receipt> {
                (0..1_000).map(|n| producer.publish(&channel(), event(n)).unwrap()).collect()
            })
        })
        .collect();
    let receipts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    producer.flush().await;
    let mut all = Vec::new();
    for receipts in receipts {
        let seqs: Vec<_> = receipts.iter().map(|receipt| seq(&receipt.peek().unwrap())).collect();
        assert!(seqs.is_sorted());
        all.extend(seqs);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=4_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn settings_name_the_rule_that_they_break() {
    let over = |builder: Builder| builder.over(Scripted::new(&[])).unwrap_err().to_string();
    let cases = [
        (over(Producer::builder().name("a b")), "name is \"a b\""),
        (over(Producer::builder().batch_events_max(0)), "batch_events_max is 0"),
        (over(Producer::builder().batch_bytes_max(9 << 20)), "batch_bytes_max is 9437184"),
        (over(Producer::builder().buffer_bytes_max(1)), "buffer_bytes_max is 1"),
        (over(Producer::builder().in_flight_max(0)), "in_flight_max is 0"),
        (over(Producer::builder().attempt_timeout(60 * SECOND)), "attempt_timeout (ms) is 60000"),
    ];
    for (message, expected) in cases {
        assert!(message.starts_with(expected), "{message}");
    }
}

#[tokio::test]
async fn urls_that_cannot_be_published_to_are_refused() {
    let cases = [
        ("redis://localhost/x", "the Redis URL is not valid: what follows the host must be a database"),
        ("redis+unix://host/a.sock", "the Redis URL is not valid: a socket's path begins with `/`"),
        ("valkey://localhost", "the Redis URL must start with redis://"),
        ("ftp://host", "scheme \"ftp\" is not supported"),
        ("localhost:8420", "\"localhost:8420\" is not a URL"),
        ("/path", "\"/path\" is not a URL"),
        ("", "\"\" is not a URL"),
        ("http://user:secret@host", "the URL may not have a user name"),
        ("http://user:secret@ho st", "\"http://…@ho st\" is not a URL"),
        ("redis://user:secret@host:x", "the Redis URL is not valid"),
        ("http://host/?a=b", "the URL may not have a query"),
    ];
    for (url, expected) in cases {
        let message = Producer::connect(url).unwrap_err().to_string();
        assert!(message.starts_with(expected) && !message.contains("secret"), "{url}: {message}");
    }
    for url in [
        "http://127.0.0.1:8420",
        "http://[::1]:8420/",
        "HTTP://host/behind/a/proxy/",
        "redis://user:secret@127.0.0.1:1/2",
        "rediss://localhost",
        "redis+unix:///run/nobody.sock",
    ] {
        assert!(Producer::connect(url).is_ok(), "{url}");
    }
    assert!(Producer::builder().publish_key("a\nb").connect("http://host").is_err());
    let builder = Producer::builder().publish_key("secret").redis_password("secret");
    assert!(!format!("{builder:?}").contains("secret"));
    let prefix = builder.redis_prefix("a b").connect("redis://host").unwrap_err().to_string();
    assert!(prefix.starts_with("the Redis prefix \"a b\" must be"), "{prefix}");
    assert!(Producer::builder().redis_ca_pem(b"x").connect("redis://host").is_err());
}
