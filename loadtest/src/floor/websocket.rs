//! The little of websocket that the floor speaks: the handshake, frames of clients, and headers of its own frames.

use anyhow::{Context as _, bail};
use std::ops::Range;
use tally_protocol::SUBPROTOCOL;
use tungstenite::handshake::derive_accept_key;

/// Headers of a handshake. More: refused.
const HEADERS_MAX: usize = 32;

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The answer to a handshake and how many bytes it took; nothing where it is not whole.
pub(super) fn handshake(bytes: &[u8]) -> anyhow::Result<Option<(String, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(used) = request.parse(bytes).context("no HTTP request")? else {
        return Ok(None);
    };
    if request.method != Some("GET") || request.path != Some("/v1/ws") {
        bail!("the floor has nothing but GET /v1/ws");
    }
    let key = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = derive_accept_key(key.context("a handshake without Sec-WebSocket-Key")?.value);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    Ok(Some((answer, used)))
}

/// A frame of a client: what it is, where its payload lies, and how many bytes it takes in all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientMessage {
    pub(super) opcode: u8,
    pub(super) payload: Range<usize>,
    pub(super) used: usize,
}

/// The frame at the start of `bytes`, unmasked where it lies; nothing where it is not whole.
pub(super) fn read_frame(bytes: &mut [u8], payload_max: usize) -> anyhow::Result<Option<ClientMessage>> {
    let &[first, second, ..] = &*bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 == 0 {
        bail!("frames of clients must be masked and neither fragmented nor compressed");
    }
    let (len, at) = match second & 0x7f {
        126 if bytes.len() < 4 => return Ok(None),
        126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        127 => bail!("a frame of a client has more than 64 KiB"),
        len => (usize::from(len), 2),
    };
    if len > payload_max {
        bail!("a frame of a client has {len} bytes, at most {payload_max} are read");
    }
    let payload = at + 4..at + 4 + len;
    if bytes.len() < payload.end {
        return Ok(None);
    }
    let mask = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    for (byte, key) in bytes[payload.clone()].iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(Some(ClientMessage { opcode: first & 0x0f, used: payload.end, payload }))
}

/// Appends a whole frame; the only copy that a message's bytes take in this process.
pub(super) fn write_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len), _) if len < 126 => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Bytes of the frame of ours that `bytes` starts with.
pub(super) fn frame_len(bytes: &[u8]) -> usize {
    match bytes[1] {
        126 => 4 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
        127 => {
            let len = bytes[2..10].iter().fold(0_u64, |len, byte| (len << 8) | u64::from(*byte));
            10 + usize::try_from(len).expect("the frame is in memory")
        }
        len => 2 + usize::from(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_length_that_its_header_says() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut frame = Vec::new();
            write_frame(&mut frame, BINARY, &vec![7; len]);
            assert_eq!(frame_len(&frame), frame.len(), "{len}");
            assert!(frame.len() > len && frame.len() <= len + 10);
        }
    }

    #[test]
    fn a_clients_frame_is_unmasked_when_it_is_whole() {
        let whole = [0x81, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, 0x88];
        for cut in 0..9 {
            assert_eq!(read_frame(&mut whole[..cut].to_vec(), 100).unwrap(), None, "cut at {cut}");
        }
        let mut bytes = whole;
        let frame = read_frame(&mut bytes, 100).unwrap().unwrap();
        assert_eq!((frame.opcode, frame.used, &bytes[frame.payload]), (TEXT, 9, &b"abc"[..]));
        assert!(read_frame(&mut whole.to_vec(), 2).is_err());
        assert!(read_frame(&mut [0x81, 0x03, 0, 0, 0], 100).is_err(), "not masked");
    }

    #[test]
    fn a_handshake_is_answered_and_anything_else_refused() {
        let request = "GET /v1/ws HTTP/1.1\r\nhost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert!(handshake(&request.as_bytes()[..40]).unwrap().is_none());
        let (answer, used) = handshake(request.as_bytes()).unwrap().unwrap();
        // The example of RFC 6455.
        assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert_eq!(used, request.len());
        assert!(handshake(b"GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(handshake(b"\x16\x03\x01 nonsense\r\n\r\n").is_err());
    }
}
