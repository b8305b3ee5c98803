//! The `events` frame written straight from a record: the hot path, made once for all listeners.

use crate::event::Class;
use crate::name::ChannelName;
use crate::record::{Body, Record, RecordEvent};

/// Bytes around one event's data at most: keys, kind twice, class, time.
const EVENT_OVERHEAD_BYTES: usize = 96;

/// Writes the `events` frame of a record with payloads; `None` for a counts-only record.
///
/// Names and kinds need no escaping (their alphabets have none to escape), and data goes out as it came.
#[must_use]
pub fn write_events_frame(channel: &ChannelName, record: &Record) -> Option<Vec<u8>> {
    let Body::Events(events) = &record.body else { return None };
    let mut out = Vec::with_capacity(256 + record.data_bytes() + EVENT_OVERHEAD_BYTES * events.len());
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
