//! Frames of events that one client of this thread has received and decoded, for all others to compare with.
//!
//! All clients of a channel get the same bytes, so what was decoded once is true of every frame that is equal byte by
//! byte. A frame that is not equal is decoded in full, so nothing is taken on trust. Bounded: bytes per channel; the
//! oldest go, and a client that is further behind decodes for itself.

use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;
use tally_protocol::{Body, Class, Epoch, Events, RawJson, Record, Totals};

/// One frame of events, and what it says.
#[derive(Debug)]
pub(crate) struct Known {
    /// The whole websocket frame as it came.
    pub(crate) wire: Box<[u8]>,
    pub(crate) epoch: Epoch,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) counts: Totals,
    /// Seq of its newest state event.
    pub(crate) state: Option<u64>,
    /// When its first event was published, which waited longest; `None` where it does not say.
    pub(crate) published_us: Option<u64>,
}

impl Known {
    /// From a decoded `events` frame.
    pub(crate) fn of_frame(wire: &[u8], frame: &Events) -> Result<Self, String> {
        let (from, to) = (frame.from.get(), frame.to.get());
        if to < from || frame.events.len() as u64 != to + 1 - from {
            return Err(format!("events {from} to {to} hold {} events", frame.events.len()));
        }
        let mut counts = Totals::new();
        for event in &frame.events {
            counts.add(&event.kind, 1);
        }
        let state = frame.events.iter().rposition(|event| event.class == Class::State);
        Ok(Self {
            wire: wire.into(),
            epoch: frame.epoch.clone(),
            from,
            to,
            counts,
            state: state.map(|at| from + at as u64),
            published_us: frame.events.first().and_then(|event| published_us(&event.data)),
        })
    }

    /// From the payload of a floor's frame, which is one record.
    pub(crate) fn of_record(wire: &[u8], payload: &[u8]) -> Result<Self, String> {
        let record = Record::decode(&Bytes::copy_from_slice(payload)).map_err(|error| error.to_string())?;
        let Body::Events(events) = &record.body else {
            return Err("a record without payloads reached a floor that has listeners".to_owned());
        };
        Ok(Self {
            wire: wire.into(),
            epoch: record.epoch.clone(),
            from: record.from.get(),
            to: record.to.get(),
            counts: record.counts.clone(),
            state: record.state().map(|state| state.seq.get()),
            published_us: events.first().and_then(|event| published_us(&event.data)),
        })
    }

    pub(crate) fn events(&self) -> u64 {
        self.to + 1 - self.from
    }
}

/// What every event of a load test begins with.
const STAMP: &str = "{\"t\":";

/// What stands behind the time in the data of events: letters that neither compress to nothing nor need escaping.
#[derive(Debug)]
pub(crate) struct Padding {
    letters: String,
    bytes: usize,
}

impl Padding {
    pub(crate) fn new(bytes: usize) -> Self {
        let letters = (0..bytes).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        Self { letters, bytes }
    }

    /// The data of an event published now: an object of so many bytes, or as few as hold the time.
    pub(crate) fn stamped(&self, now_us: u64) -> String {
        let mut data = String::with_capacity(self.bytes.max(64));
        let _ = write!(data, "{STAMP}{now_us},\"pad\":\"");
        let pad = self.bytes.saturating_sub(data.len() + 2);
        data.push_str(&self.letters[..pad]);
        data.push_str("\"}");
        data
    }
}

/// The time that [`Padding::stamped`] wrote.
fn published_us(data: &RawJson) -> Option<u64> {
    let digits = data.as_str().strip_prefix(STAMP)?;
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// The frames of each channel, by `from`.
#[derive(Debug)]
pub(crate) struct Cache {
    channels: Vec<Shelf>,
    channel_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    frames: VecDeque<(u64, Rc<Known>)>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(channels: usize, channel_bytes_max: usize) -> Self {
        Self { channels: (0..channels).map(|_| Shelf::default()).collect(), channel_bytes_max }
    }

    /// The frame that begins at `from`.
    pub(crate) fn get(&self, channel: usize, from: u64) -> Option<&Rc<Known>> {
        let frames = &self.channels[channel].frames;
        let at = frames.binary_search_by_key(&from, |(from, _)| *from).ok()?;
        Some(&frames[at].1)
    }

    pub(crate) fn put(&mut self, channel: usize, known: Rc<Known>) {
        let shelf = &mut self.channels[channel];
        shelf.bytes += known.wire.len();
        match shelf.frames.binary_search_by_key(&known.from, |(from, _)| *from) {
            Ok(at) => {
                // Another epoch, or other bytes for the same span: the newer one is what others will get.
                shelf.bytes -= shelf.frames[at].1.wire.len();
                shelf.frames[at].1 = known;
            }
            Err(at) => shelf.frames.insert(at, (known.from, known)),
        }
        while shelf.bytes > self.channel_bytes_max && shelf.frames.len() > 1 {
            let Some((_, oldest)) = shelf.frames.pop_front() else { break };
            shelf.bytes -= oldest.wire.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(from: u64, bytes: usize) -> Rc<Known> {
        Rc::new(Known {
            wire: vec![0; bytes].into(),
            epoch: Epoch::new("e").unwrap(),
            from,
            to: from,
            counts: Totals::new(),
            state: None,
            published_us: None,
        })
    }

    #[test]
    fn the_oldest_go_when_a_channel_has_more_bytes_than_it_may() {
        let mut cache = Cache::new(1, 250);
        for from in [1, 3, 2, 4] {
            cache.put(0, known(from, 100));
        }
        let held: Vec<u64> = (1..=4).filter(|from| cache.get(0, *from).is_some()).collect();
        assert_eq!(held, [3, 4]);
        assert_eq!(cache.channels[0].bytes, 200);
    }

    #[test]
    fn a_stamp_comes_back_and_the_data_has_its_size() {
        let data = Padding::new(2_048).stamped(123_456);
        assert_eq!(data.len(), 2_048);
        let raw = RawJson::new(&Bytes::from(data)).unwrap();
        assert_eq!(published_us(&raw), Some(123_456));
        assert_eq!(published_us(&RawJson::string("{\"t\":1,")), None);
    }
}
