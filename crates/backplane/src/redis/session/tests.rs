//! The mover alone: what fred's queue loses, and what is kept of a message.

use super::*;
use crate::{Incoming, Stream};
use fred::types::MessageKind;
use fred::types::config::Server;

fn message(channel: &str, payload: &Bytes) -> Message {
    Message {
        channel: channel.into(),
        value: Value::Bytes(payload.clone()),
        kind: MessageKind::Message,
        server: Server::new("h", 1),
    }
}

fn mover(messages: Receiver<Message>, channels: &[&str]) -> (Mover, Stream, Arc<Probe>) {
    let queue = Arc::new(Queue::new(1_000_000, 1_000));
    let subscribed = Arc::new(Subscribed::default());
    subscribed.lock().extend(channels.iter().map(|name| ChannelName::new(name).unwrap()));
    let probe = Arc::new(Probe::default());
    let keys = Keys::new(&Redis::new("redis://h").unwrap().prefix);
    let mover = Mover { messages, keys, subscribed, probe: probe.clone(), queue: queue.clone() };
    (mover, Stream::new(queue, ()), probe)
}

#[tokio::test]
async fn what_fred_lost_is_a_gap_of_every_channel() {
    let (sender, messages) = tokio::sync::broadcast::channel(2);
    let (mover, mut stream, _) = mover(messages, &["a", "b"]);
    let queue = mover.queue.clone();
    for n in 0..5 {
        sender.send(message("tally:{a}", &Bytes::from(vec![n]))).unwrap();
    }
    drop(sender);
    mover.run().await;
    assert_eq!(queue.lost(), 3);
    queue.close();
    let mut gaps = Vec::new();
    while let Some(incoming) = stream.next().await {
        // While a gap waits, messages of its channel need not come.
        let Incoming::Gap { channel } = incoming else { panic!("{incoming:?}") };
        gaps.push(channel);
    }
    gaps.sort_unstable();
    assert_eq!(gaps.iter().map(ChannelName::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_kept_message_does_not_keep_the_read_buffer_alive() {
    let (sender, messages) = tokio::sync::broadcast::channel(8);
    let (mover, mut stream, _) = mover(messages, &["a"]);
    let buffer = Bytes::from(vec![7; 8_192]);
    sender.send(message("tally:{a}", &buffer.slice(10..12))).unwrap();
    drop(sender);
    mover.run().await;
    let Some(Incoming::Message { payload, .. }) = stream.next().await else { panic!("a message") };
    assert_eq!(payload.len(), 2);
    assert!(!buffer.as_ptr_range().contains(&payload.as_ptr()));
}

#[tokio::test]
async fn other_channels_and_the_probe_are_no_messages() {
    let (sender, messages) = tokio::sync::broadcast::channel(8);
    let (mover, mut stream, probe) = mover(messages, &["a"]);
    for channel in ["tally:{b}", "other:{a}", "tally:a", &format!("tally:{{{}}}", probe.channel())] {
        sender.send(message(channel, &Bytes::from_static(b"x"))).unwrap();
    }
    sender.send(message("tally:{a}", &Bytes::from_static(b"last"))).unwrap();
    drop(sender);
    mover.run().await;
    let Some(Incoming::Message { payload, .. }) = stream.next().await else { panic!("a message") };
    assert_eq!(payload, "last");
}
