//! The hub's outputs as websocket frames of the dialect `tally.v1`: header and payload in one piece of shared bytes.
//!
//! Frames to clients are not masked, so one encoding serves every listener: records and ticks are encoded once.

use crate::metrics::Form;
use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use tally_fanout::{ChannelRecord, Output, Shared};
use tally_protocol::{
    ChannelName, CloseCode, Goodbye, Record, ServerFrame, UnixMs, move_into_frame, write_events_frame_after,
};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// Of a frame that is not masked.
const HEADER_BYTES_MAX: usize = 10;

/// A ping without payload.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// One frame with what metrics want to know of it.
pub(crate) struct Framed {
    pub(crate) bytes: Bytes,
    pub(crate) form: Form,
    /// When its record was sent, for a frame in full.
    pub(crate) sent_at: Option<UnixMs>,
}

/// A record as it goes to the shards, with its frame made: so that its payload is held once, and the message it came
/// in, with whatever else was read in one piece with it, can go.
pub(crate) fn shared(channel: ChannelName, mut record: Record) -> Shared<ChannelRecord> {
    match move_into_frame(HEADER_BYTES_MAX, &channel, &mut record, headed) {
        Some(frame) => Shared::with_frame(ChannelRecord { channel, record }, frame),
        None => Shared::new(ChannelRecord { channel, record }),
    }
}

pub(crate) fn output(output: Output) -> Framed {
    let (form, frame) = match output {
        Output::Events(shared) => {
            let sent_at = Some(shared.value().record.sent_at);
            // The hub never lets a record without payloads out in full.
            let encode = |value: &ChannelRecord| {
                let text = write_events_frame_after(HEADER_BYTES_MAX, &value.channel, &value.record);
                text.map_or_else(Bytes::new, headed)
            };
            return Framed { bytes: shared.frame(encode).clone(), form: Form::Full, sent_at };
        }
        Output::Counts(shared) => {
            let encode = |counts: &tally_protocol::Counts| server(&counts.clone().into());
            return Framed { bytes: shared.frame(encode).clone(), form: Form::Counts, sent_at: None };
        }
        Output::Unnumbered(shared) => {
            let encode = |frame: &tally_protocol::Unnumbered| server(&frame.clone().into());
            return Framed { bytes: shared.frame(encode).clone(), form: Form::Unnumbered, sent_at: None };
        }
        Output::Summary(summary) => (Form::Summary, (*summary).into()),
        Output::Subscribed(frame) => (Form::Control, (*frame).into()),
        Output::Unsubscribed(frame) => (Form::Control, (*frame).into()),
        Output::Error(frame) => (Form::Control, (*frame).into()),
        Output::Rung(frame) => (Form::Control, frame.into()),
        Output::Reset(frame) => (Form::Control, (*frame).into()),
        Output::Upstream(frame) => (Form::Control, frame.into()),
    };
    Framed { bytes: server(&frame), form, sent_at: None }
}

pub(crate) fn server(frame: &ServerFrame) -> Bytes {
    text(frame.encode().as_bytes())
}

/// `goodbye`, and the close frame behind it.
pub(crate) fn goodbye(code: CloseCode, reason: &str, retry_after_ms: [u64; 2]) -> Bytes {
    let goodbye = Goodbye { code: code.as_str().into(), reason: reason.into(), retry_after_ms };
    let mut out = BytesMut::from(&server(&goodbye.into())[..]);
    // A close frame's payload has at most 125 bytes: the number and the token.
    let token = code.as_str().as_bytes();
    out.put_u8(CLOSE);
    out.put_u8(2 + token.len() as u8);
    out.put_u16(code.number());
    out.put_slice(token);
    out.freeze()
}

fn text(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    put_header(&mut out, payload.len());
    out.put_slice(payload);
    out.freeze()
}

/// A text frame of what stands behind [`HEADER_BYTES_MAX`] bytes of room: the header takes the end of the room.
fn headed(mut roomy: Vec<u8>) -> Bytes {
    let mut header = Vec::with_capacity(HEADER_BYTES_MAX);
    put_header(&mut header, roomy.len() - HEADER_BYTES_MAX);
    let start = HEADER_BYTES_MAX - header.len();
    roomy[start..HEADER_BYTES_MAX].copy_from_slice(&header);
    let mut frame = Bytes::from(roomy);
    frame.advance(start);
    frame
}

fn put_header(out: &mut impl BufMut, len: usize) {
    out.put_u8(TEXT);
    match len {
        0..=125 => out.put_u8(len as u8),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(len as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

    #[test]
    fn headers_are_those_of_the_protocol() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; len];
            let frame = text(&payload);
            assert_eq!(frame, headed([&[0; HEADER_BYTES_MAX], &payload[..]].concat()));
            let mut cursor = std::io::Cursor::new(&frame[..]);
            let (header, payload) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert_eq!(payload, len as u64);
            assert_eq!(cursor.position() as usize + len, frame.len());
            assert!(header.is_final && header.mask.is_none());
        }
    }

    #[test]
    fn a_goodbye_ends_with_its_close_frame() {
        let bytes = goodbye(CloseCode::Drain, "bye", [1, 2]);
        assert!(bytes.ends_with(b"\x88\x07\x0f\xa0drain"));
    }
}
