//! A full queue leaves one gap per channel, in place, and never loses it.

use super::*;
use std::collections::HashSet;
use std::task::Poll;

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

fn stream(queue: &Arc<Queue>) -> Stream {
    Stream::new(queue.clone(), ())
}

fn push(queue: &Queue, name: &str, payload: &'static str) {
    queue.push(&channel(name), &Bytes::from_static(payload.as_bytes()));
}

/// Everything that waits, as text.
fn drain(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| match queue.pop() {
        Popped::Incoming(Incoming::Message { channel, payload }) => {
            Some(format!("{} {}", channel.as_str(), str::from_utf8(&payload).unwrap()))
        }
        Popped::Incoming(Incoming::Gap { channel }) => Some(format!("{} gap", channel.as_str())),
        Popped::Incoming(other) => panic!("{other:?}"),
        Popped::Empty | Popped::Closed => None,
    })
    .collect()
}

#[test]
fn an_overflow_is_one_gap_in_place_until_it_is_read() {
    let queue = Queue::new(10_000, 2);
    for payload in ["1", "2", "3", "4"] {
        push(&queue, "a", payload);
    }
    assert!(matches!(queue.pop(), Popped::Incoming(Incoming::Message { .. })));
    // There is room, but the gap was not read: the snapshot that it leads to will be newer than this.
    push(&queue, "a", "5");
    push(&queue, "b", "1");
    assert_eq!(drain(&queue), ["a 2", "a gap", "b 1"]);
    push(&queue, "a", "6");
    assert_eq!(drain(&queue), ["a 6"]);
}

#[test]
fn each_channel_has_its_own_gap() {
    let queue = Queue::new(10_000, 1);
    for name in ["a", "b", "c", "b", "a"] {
        push(&queue, name, "x");
    }
    assert_eq!(drain(&queue), ["a x", "b gap", "c gap", "a gap"]);
}

#[test]
fn bytes_are_counted_and_come_back() {
    let queue = Queue::new(2 * (10 + MESSAGE_COST), 1_000);
    for _ in 0..3 {
        push(&queue, "a", "0123456789");
        push(&queue, "a", "0123456789");
        push(&queue, "b", "");
        assert_eq!(drain(&queue), ["a 0123456789", "a 0123456789", "b gap"]);
        assert_eq!(queue.lock().bytes, 0);
    }
}

#[test]
fn one_message_larger_than_the_queue_is_a_gap() {
    let queue = Queue::new(MESSAGE_COST + 3, 10);
    push(&queue, "a", "1234");
    push(&queue, "b", "123");
    assert_eq!(drain(&queue), ["a gap", "b 123"]);
}

#[test]
fn a_forgotten_gap_leaves_nothing() {
    let queue = Queue::new(0, 0);
    for n in 0..1_000 {
        let name = channel(&format!("c{n}"));
        queue.push(&name, &Bytes::new());
        queue.forget_gap(&name);
    }
    let waiting = queue.lock();
    assert!(waiting.gaps.is_empty() && waiting.gapped.is_empty() && waiting.messages.is_empty());
}

#[tokio::test]
async fn a_closed_queue_ends_after_what_waits() {
    let queue = Arc::new(Queue::new(10_000, 1));
    let mut stream = stream(&queue);
    push(&queue, "a", "1");
    push(&queue, "b", "1");
    queue.close();
    push(&queue, "a", "2");
    let expected = Incoming::Message { channel: channel("a"), payload: Bytes::from_static(b"1") };
    assert_eq!(stream.next().await, Some(expected));
    assert_eq!(stream.next().await, Some(Incoming::Gap { channel: channel("b") }));
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let queue = Arc::new(Queue::new(10_000, 10));
    let mut stream = stream(&queue);
    for payload in ["1", "2", "3"] {
        let mut waiting = Box::pin(stream.next());
        assert!(matches!(
            std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await,
            Poll::Pending
        ));
        push(&queue, "a", payload);
        drop(waiting);
        assert!(matches!(stream.next().await, Some(Incoming::Message { .. })));
    }
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_messages_gaps_and_the_end() {
    let queue = Arc::new(Queue::new(MESSAGE_COST, 10));
    let mut stream = stream(&queue);
    let reader = tokio::spawn(async move {
        let mut read = Vec::new();
        while let Some(incoming) = stream.next().await {
            read.push(matches!(incoming, Incoming::Gap { .. }));
        }
        read
    });
    for payload in ["", "too large"] {
        tokio::task::yield_now().await;
        push(&queue, "a", payload);
    }
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(reader.await.unwrap(), [false, true]);
}

/// Whatever order things come in: a channel that lost a message has its gap in the queue until it is read.
#[test]
fn no_order_of_steps_loses_a_gap() {
    let names = ["a", "b", "c", "d"].map(channel);
    for seed in 1..=200_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let queue = Queue::new(6 * MESSAGE_COST, 4);
        let mut lost: HashSet<ChannelName> = HashSet::new();
        for _ in 0..400 {
            let name = &names[usize::try_from(draw(4)).unwrap()];
            match draw(8) {
                0..5 => {
                    let before = queue.lock().messages.len();
                    let payload = vec![0; usize::try_from(draw(200)).unwrap()];
                    queue.push(name, &payload.into());
                    if queue.lock().messages.len() == before {
                        lost.insert(name.clone());
                    }
                }
                5..7 => match queue.pop() {
                    Popped::Incoming(Incoming::Gap { channel }) => {
                        assert!(lost.remove(&channel), "seed {seed}");
                    }
                    Popped::Incoming(Incoming::Message { .. }) => {}
                    _ => assert!(lost.is_empty(), "seed {seed}"),
                },
                _ => {
                    queue.forget_gap(name);
                    lost.remove(name);
                }
            }
            let waiting = queue.lock();
            assert_eq!(waiting.gapped.keys().cloned().collect::<HashSet<_>>(), lost, "seed {seed}");
            assert_eq!(waiting.gaps.len(), lost.len(), "seed {seed}");
            let bytes: usize = waiting.messages.iter().map(|m| m.payload.len() + MESSAGE_COST).sum();
            assert!(bytes == waiting.bytes && bytes <= queue.bytes_max, "seed {seed}");
            assert!(waiting.messages.len() <= queue.messages_max, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn changes_of_the_link_that_nobody_reads_come_to_a_down_and_an_up() {
    let down = |reason: &str| Incoming::Down { reason: reason.to_owned() };
    let queue = Arc::new(Queue::new(1_000, 10));
    let mut stream = Stream::new(queue.clone(), ());
    queue.push_up();
    queue.push_up();
    assert_eq!(stream.next().await, Some(Incoming::Up));
    for n in 0..100 {
        queue.push_down(format!("reason {n}"));
        queue.push_down(format!("other {n}"));
        queue.push_up();
    }
    queue.close();
    assert_eq!(stream.next().await, Some(down("other 99")));
    assert_eq!(stream.next().await, Some(Incoming::Up));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn changes_of_the_link_keep_their_place_among_messages() {
    let queue = Arc::new(Queue::new(1_000, 10));
    let mut stream = Stream::new(queue.clone(), ());
    let channel = ChannelName::new("a").unwrap();
    queue.push(&channel, &Bytes::from_static(b"1"));
    queue.push_down("away".into());
    queue.push_gap(&channel);
    queue.push_up();
    let mut came = Vec::new();
    for _ in 0..4 {
        came.push(match stream.next().await.unwrap() {
            Incoming::Message { .. } => "message",
            Incoming::Gap { .. } => "gap",
            Incoming::Up => "up",
            Incoming::Down { .. } => "down",
        });
    }
    assert_eq!(came, ["message", "down", "gap", "up"]);
}
