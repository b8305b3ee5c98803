//! The `events` frame written straight from a record: the hot path, made once for all listeners.

use crate::event::Class;
use crate::name::ChannelName;
use crate::record::{Body, Record, RecordEvent};
use bytes::Bytes;

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
    Some(write(room, channel, record, events, |_| {}))
}

/// The frame of a record whose data is part of it from then on: one piece of memory holds both, and the message that
/// the record came in can go. `head` puts the transport's header at the end of the `room` bytes before the frame, and
/// leaves out what is before the header. `None` for a counts-only record, which stays as it is.
#[must_use]
pub fn move_into_frame(
    room: usize,
    channel: &ChannelName,
    record: &mut Record,
    head: impl FnOnce(Vec<u8>) -> Bytes,
) -> Option<Bytes> {
    let Body::Events(events) = &record.body else { return None };
    let mut places = Vec::with_capacity(events.len());
    let written = write(room, channel, record, events, |at| places.push(at));
    let bytes = written.len();
    let frame = head(written);
    let left_out = bytes - frame.len();
    if let Body::Events(events) = &mut record.body {
        for (event, at) in events.iter_mut().zip(places) {
            event.data = event.data.moved(frame.slice(at - left_out..at - left_out + event.data.len()));
        }
    }
    Some(frame)
}

/// `note` is told where each event's data begins.
fn write(
    room: usize,
    channel: &ChannelName,
    record: &Record,
    events: &[RecordEvent],
    mut note: impl FnMut(usize),
) -> Vec<u8> {
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
        write_before_data(&mut out, event);
        note(out.len());
        out.extend_from_slice(event.data.as_bytes());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// What an event takes at most.
fn event_bytes_max(event: &RecordEvent) -> usize {
    let sent_as = event.sent_as.as_ref().map_or(0, |kind| kind.as_str().len());
    EVENT_OVERHEAD_BYTES + event.kind.as_str().len() + sent_as + event.data.len()
}

fn write_before_data(out: &mut Vec<u8>, event: &RecordEvent) {
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

    #[test]
    fn a_record_moves_into_its_frame_and_stays_what_it_was() {
        let message = Bytes::from_static(b"{\"n\":1}[2,\"two\"]null");
        let data = [0..7, 7..16, 16..20].map(|span| RawJson::new(&message.slice(span)).unwrap());
        let event = |data: &RawJson, class| RecordEvent {
            kind: Kind::new("ok").unwrap(),
            sent_as: None,
            class,
            at: UnixMs::new(17),
            data: data.clone(),
        };
        let classes = [Class::Bulk, Class::State, Class::Bulk];
        let mut record = Record {
            epoch: Epoch::new("e").unwrap(),
            from: Seq::new(1).unwrap(),
            to: Seq::new(3).unwrap(),
            sent_at: UnixMs::new(17),
            counts: [(&Kind::new("ok").unwrap(), 3)].into_iter().collect(),
            body: Body::Events(data.iter().zip(classes).map(|(data, class)| event(data, class)).collect()),
        };
        let (channel, before) = (ChannelName::new("job:1").unwrap(), record.clone());
        let head = |mut written: Vec<u8>| {
            written[6..10].copy_from_slice(b"head");
            Bytes::from(written).slice(6..)
        };
        let frame = move_into_frame(10, &channel, &mut record, head).unwrap();
        assert_eq!(frame[..4], *b"head");
        assert_eq!(frame[4..], write_events_frame(&channel, &before).unwrap());
        assert_eq!(record, before);
        let Body::Events(events) = &record.body else { panic!("it has payloads") };
        let within = frame.as_ptr() as usize..frame.as_ptr() as usize + frame.len();
        assert!(events.iter().all(|event| within.contains(&(event.data.as_bytes().as_ptr() as usize))));
    }
}
