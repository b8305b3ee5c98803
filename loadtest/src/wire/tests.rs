//! Our frames against those of tungstenite: written by it, read by us, cut at every byte; and the other way round.

use super::*;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader, FrameSocket};

/// A frame as tungstenite writes it.
fn theirs(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

fn opcode_of(ours: u8) -> OpCode {
    match ours {
        TEXT => OpCode::Data(Data::Text),
        BINARY => OpCode::Data(Data::Binary),
        CLOSE => OpCode::Control(Control::Close),
        PING => OpCode::Control(Control::Ping),
        _ => OpCode::Control(Control::Pong),
    }
}

#[test]
fn a_frame_of_every_length_field_is_read_and_no_sooner_than_its_last_byte() {
    for length in [0usize, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let bytes = theirs(OpCode::Data(Data::Text), &payload);
        let header = payload_at(&bytes);
        // Every cut in the header and the beginning; the long middle is all alike.
        for cut in (0..bytes.len()).filter(|cut| *cut < 200 || *cut + 200 > bytes.len()) {
            assert_eq!(parse(&bytes[..cut]), Parsed::Part, "{length} bytes cut at {cut}");
            let known = frame_bytes(&bytes[..cut]);
            assert!(
                known.is_none_or(|all| all == bytes.len() as u64),
                "{length} bytes cut at {cut}: {known:?}"
            );
            assert_eq!(known.is_some(), cut >= header, "{length} bytes cut at {cut}");
        }
        let mut more = bytes.clone();
        more.extend_from_slice(b"what follows");
        assert_eq!(parse(&more), Parsed::Whole { opcode: TEXT, payload: header..bytes.len() });
        assert_eq!(&more[header..bytes.len()], payload);
    }
}

#[test]
fn frames_that_tally_never_sends_are_refused() {
    let bad = [
        (vec![0x01, 0x00], "fragmented"),
        (vec![0x80, 0x00], "fragmented"),
        (vec![0xc1, 0x00], "reserved bits"),
        (vec![0x81, 0x80], "masked"),
        (vec![0x83, 0x00], "unknown opcode"),
        (vec![0x89, 126, 0, 126], "longer"),
        (vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], "longer"),
    ];
    for (bytes, word) in bad {
        let Parsed::Bad(problem) = parse(&bytes) else { panic!("{bytes:?} was taken") };
        assert!(problem.contains(word), "{bytes:?}: {problem}");
    }
}

#[test]
fn an_answer_to_the_upgrade_must_be_one() {
    let good = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
    for cut in 0..good.len() {
        assert_eq!(upgrade_answer(&good.as_bytes()[..cut]), Ok(None));
    }
    assert_eq!(upgrade_answer(format!("{good}\u{1}").as_bytes()), Ok(Some(good.len())));
    assert!(upgrade_answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err().contains("503"));
    let forged = good.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert!(upgrade_answer(forged.as_bytes()).unwrap_err().contains("key"));
    assert!(upgrade_answer(&vec![b'a'; ANSWER_BYTES_MAX + 1]).is_err());
}

#[test]
fn the_accept_header_is_what_the_key_asks_for() {
    let derived = derive_accept_key(KEY.as_bytes());
    assert_eq!(derived, ACCEPT);
}

proptest! {
    #[test]
    fn tungstenite_reads_what_we_write(
        payload in proptest::collection::vec(any::<u8>(), 0..70_000),
        mask in any::<[u8; 4]>(),
        text in any::<bool>(),
    ) {
        let opcode = if text { TEXT } else { BINARY };
        let mut bytes = Vec::new();
        write_frame(&mut bytes, opcode, &payload, mask);
        let mut cursor = std::io::Cursor::new(&bytes);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        prop_assert_eq!(header.mask, Some(mask));
        prop_assert_eq!(length, payload.len() as u64);
        let mut socket = FrameSocket::new(std::io::Cursor::new(bytes));
        let frame = socket.read(None).unwrap().unwrap();
        prop_assert_eq!(frame.header().opcode, opcode_of(opcode));
        let read: Vec<u8> =
            frame.payload().iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        prop_assert_eq!(read, payload);
    }

    #[test]
    fn a_stream_of_their_frames_is_read_one_by_one(
        frames in proptest::collection::vec(
            (prop_oneof![Just(TEXT), Just(BINARY), Just(PING), Just(PONG), Just(CLOSE)],
             proptest::collection::vec(any::<u8>(), 0..126)),
            1..10,
        ),
    ) {
        let mut bytes: Vec<u8> =
            frames.iter().flat_map(|(opcode, payload)| theirs(opcode_of(*opcode), payload)).collect();
        for (opcode, payload) in &frames {
            let Parsed::Whole { opcode: read, payload: range } = parse(&bytes) else {
                return Err(TestCaseError::fail("a whole frame was not read"));
            };
            prop_assert_eq!(read, *opcode);
            prop_assert_eq!(&bytes[range.clone()], &payload[..]);
            bytes.drain(..range.end);
        }
        prop_assert!(bytes.is_empty());
    }
}
