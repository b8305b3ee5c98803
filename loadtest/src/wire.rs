//! Websocket as far as a receiver needs it: the upgrade, frames from the server parsed in place, masked frames to it.
//!
//! Tally sends unfragmented frames only, so a fragment is as wrong as a masked frame. Bounded: a frame above
//! [`PAYLOAD_BYTES_MAX`] is refused before it is waited for.

use std::net::SocketAddr;
use std::ops::Range;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The largest frame is an event of 1 MiB with what stands around it; the rest is room for a wrong server.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of the answer to the upgrade. More: it is no answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The key and answer of RFC 6455's own example: every connection may use the same ones.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A frame; the next one begins at `payload.end`.
    Whole {
        opcode: u8,
        payload: Range<usize>,
    },
    /// The rest is still to come.
    Part,
    Bad(&'static str),
}

/// The first frame of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let [first, second, ..] = *bytes else { return Parsed::Part };
    if first & 0x70 != 0 {
        return Parsed::Bad("a websocket frame has reserved bits set, and no extension was agreed on");
    }
    let opcode = first & 0x0f;
    if first & 0x80 == 0 || opcode == 0 {
        return Parsed::Bad("a websocket frame is fragmented, which tally.v1 rules out");
    }
    if second & 0x80 != 0 {
        return Parsed::Bad("a websocket frame from the server is masked");
    }
    if !matches!(opcode, TEXT | BINARY | CLOSE | PING | PONG) {
        return Parsed::Bad("a websocket frame has an unknown opcode");
    }
    let (length, at) = match second {
        126 => match bytes.get(2..4) {
            Some(field) => (u64::from(u16::from_be_bytes([field[0], field[1]])), 4),
            None => return Parsed::Part,
        },
        127 => match bytes.get(2..10) {
            Some(field) => (field.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)), 10),
            None => return Parsed::Part,
        },
        short => (u64::from(short), 2),
    };
    if length > PAYLOAD_BYTES_MAX || (opcode >= CLOSE && length > 125) {
        return Parsed::Bad("a websocket frame is longer than any that tally.v1 has");
    }
    let end = at + usize::try_from(length).expect("checked to be below 16 MiB");
    if bytes.len() < end { Parsed::Part } else { Parsed::Whole { opcode, payload: at..end } }
}

/// The length of the frame at the beginning of `bytes`, header included; `None` while the header is not all there.
pub(crate) fn frame_bytes(bytes: &[u8]) -> Option<u64> {
    let [_, second, ..] = *bytes else { return None };
    match second & 0x7f {
        126 => Some(4 + bytes.get(2..4)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))),
        127 => {
            let field = bytes.get(2..10)?.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
            Some(field.saturating_add(10))
        }
        short => Some(2 + u64::from(short)),
    }
}

/// Where the payload of the frame at the beginning of `bytes` starts.
pub(crate) fn payload_at(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    }
}

/// Appends a frame to the server; `mask` makes it as unpredictable as the caller wants.
pub(crate) fn write_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | u8::try_from(short).expect("at most 125")),
        middle @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&u16::try_from(middle).expect("at most 65,535").to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The request that asks for `/v1/ws`.
pub(crate) fn upgrade_request(to: SocketAddr) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
        tally_protocol::SUBPROTOCOL
    )
}

/// The length of the answer to the upgrade, or `None` while it is not all there.
pub(crate) fn upgrade_answer(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err("the answer to the websocket upgrade does not end".to_owned());
        }
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the websocket upgrade was answered with {status:?}"));
    }
    if !head.contains(ACCEPT) {
        return Err("the answer to the websocket upgrade does not prove that the key was read".to_owned());
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests;
