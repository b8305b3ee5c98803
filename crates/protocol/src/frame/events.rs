//! The `events` frame written straight from a record: the hot path, made once for all listeners.

use crate::event::Class;
use crate::name::ChannelName;
use crate::record::{Body, Record, RecordEvent};

/// Bytes around one event's data at most: keys, class, time; kinds come on top.
const EVENT_OVERHEAD_BYTES: usize = 72;
/// Bytes around the events at most: keys, positions; channel and epoch come on top.
const FRAME_OVERHEAD_BYTES: usize = 112;

/// Writes the `events` frame of a record with payloads; `None` for a counts-only record.
///
/// Names and kinds need no escaping (their alphabets have none to escape), and data goes out as it came.
#[must_use]
pub fn write_events_frame(channel: &ChannelName, record: &Record) -> Option<Vec<u8>> {
    write_events_frame_after(0, channel, record)
}

/// As [`write_events_frame`], behind `room` bytes (zeros) for the header of a transport: so that the data is copied
/// once.
#[must_use]
pub fn write_events_frame_after(room: usize, channel: &ChannelName, record: &Record) -> Option<Vec<u8>> {
    let Body::Events(events) = &record.body else { return None };
    let names = channel.as_str().len() + record.epoch.as_str().len();
    let bytes = FRAME_OVERHEAD_BYTES + names + events.iter().map(event_bytes_max).sum::<usize>();
    let mut out = Vec::with_capacity(room + bytes);
    out.resize(room, 0);
    out.extend_from_slice(b"{\"type\":\"events\",\"channel\":\"");
    out.extend_from_slice(channel.as_str().as_bytes());
    out.extend_from_slice(b"\",\"epoch\":\"");
    out.extend_from_slice(record.epoch.as_str().as_bytes());
    out.extend_from_slice(b"\",\"from\":");
    write_number(&mut out, record.from.get());
    out.extend_from_slice(b",\"to\":");
    write_number(&mut out, record.to.get());
    out.extend_from_slice(b",\"events\":[");
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_event(&mut out, event);
    }
    out.extend_from_slice(b"]}");
    Some(out)
}

/// What an event takes at most.
fn event_bytes_max(event: &RecordEvent) -> usize {
    let sent_as = event.sent_as.as_ref().map_or(0, |kind| kind.as_str().len());
    EVENT_OVERHEAD_BYTES + event.kind.as_str().len() + sent_as + event.data.len()
}

fn write_event(out: &mut Vec<u8>, event: &RecordEvent) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(event.kind.as_str().as_bytes());
    out.push(b'"');
    if let Some(sent_as) = &event.sent_as {
        out.extend_from_slice(b",\"sent_as\":\"");
        out.extend_from_slice(sent_as.as_str().as_bytes());
        out.push(b'"');
    }
    if event.class == Class::State {
        out.extend_from_slice(b",\"class\":\"state\"");
    }
    out.extend_from_slice(b",\"at\":");
    write_number(out, event.at.get());
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(event.data.as_bytes());
    out.push(b'}');
}

fn write_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Kind, RawJson, Seq, UnixMs};
    use bytes::Bytes;

    /// The largest of everything: whatever is written fits into what was allocated.
    #[test]
    fn one_allocation_holds_the_frame_and_the_room_before_it() {
        let kind = Kind::new(&"k".repeat(64)).unwrap();
        let data = RawJson::new(&Bytes::from_static(b"[1]")).unwrap();
        let at = UnixMs::new(u64::MAX);
        let event = RecordEvent { kind: Kind::other(), sent_as: Some(kind), class: Class::State, at, data };
        let to = Seq::new((1 << 53) - 1).unwrap();
        let from = Seq::new(to.get() - 1).unwrap();
        let record = Record {
            epoch: Epoch::new(&"e".repeat(32)).unwrap(),
            from,
            to,
            sent_at: at,
            counts: [(&Kind::other(), 2)].into_iter().collect(),
            body: Body::Events(vec![event.clone(), event.clone()]),
        };
        let channel = ChannelName::new(&"c".repeat(200)).unwrap();
        let frame = write_events_frame_after(10, &channel, &record).unwrap();
        assert_eq!(frame.capacity(), 10 + FRAME_OVERHEAD_BYTES + 232 + 2 * event_bytes_max(&event));
        assert_eq!(frame[..10], [0; 10]);
        assert_eq!(frame[10..], write_events_frame(&channel, &record).unwrap());
    }
}
