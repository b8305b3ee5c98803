//! Publish calls in one line.

use std::sync::atomic::{AtomicU64, Ordering};
use tally_backplane::{Content, ProducerBatch, Publish};
use tally_protocol::{
    Batch, ChannelName, Class, CountsOnly, Epoch, Event, Kind, ProducerId, RawJson, Totals, UnixMs, Why,
};

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn event(kind: &str, class: Class, data: &str) -> Event {
    let data = RawJson::new(&bytes::Bytes::copy_from_slice(data.as_bytes())).unwrap();
    Event { kind: Kind::new(kind).unwrap(), class, at: UnixMs::new(1_700_000_000_123), data }
}

/// A batch of one bulk event for each kind; each call draws its own epoch, as publishers do.
pub(crate) fn events(name: &str, kinds: &[&str]) -> Publish {
    batch(name, kinds.iter().map(|kind| event(kind, Class::Bulk, "{}")).collect())
}

pub(crate) fn batch(name: &str, events: Vec<Event>) -> Publish {
    publish(name, Content::Events(Batch::new(events).unwrap()))
}

pub(crate) fn counts(name: &str, counts: &[(&str, u64)]) -> Publish {
    let mut totals = Totals::new();
    counts.iter().for_each(|(kind, n)| totals.add(&Kind::new(kind).unwrap(), *n));
    publish(name, Content::Counts(CountsOnly::new(totals, Why::Upstream, None).unwrap()))
}

fn publish(name: &str, content: Content) -> Publish {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let epoch = Epoch::new(&format!("drawn{}", DRAWN.fetch_add(1, Ordering::Relaxed))).unwrap();
    Publish { channel: channel(name), content, batch: None, epoch }
}

/// The same call, made repeatable.
pub(crate) fn by(producer: &str, number: u64, publish: Publish) -> Publish {
    let producer = ProducerId::new(producer).unwrap();
    Publish { batch: Some(ProducerBatch { producer, number }), ..publish }
}
