//! A client fed with the bytes of a gateway: whole, cut at every byte, and doctored.

use super::super::hall::{Ask, Dialect};
use super::*;
use crate::audience::Behaviour;
use tally_protocol::{Epoch, RawJson, TickMs};

const CHANNEL: &str = "load:test:0";

fn hall() -> Hall {
    let ask = Ask { max_rate: None, tick_ms: TickMs::Ms250, tail: false };
    let channels = [CHANNEL, "load:test:1"].map(|name| ChannelName::new(name).unwrap());
    Hall::new(Dialect::Gateway, ask, channels.into(), 1 << 20)
}

fn client(hall: &mut Hall, channels: &[usize]) -> Client {
    let seat = Seat {
        to: "127.0.0.1:1".parse().unwrap(),
        channels: channels.to_vec(),
        rung: Rung::Full,
        behaviour: Behaviour::Healthy,
    };
    let mut client = Client::new(seat, hall);
    client.handle_connected();
    client
}

fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match text.len() {
        short @ 0..=125 => bytes.push(short as u8),
        long => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn upgraded() -> Vec<u8> {
    b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".to_vec()
}

fn subscribed(channel: &str, id: u64) -> Vec<u8> {
    frame(&format!(
        r#"{{"type":"subscribed","id":{id},"channel":"{channel}","epoch":null,"seq":0,"totals":{{}},"state":null,"rung":"full","max_rate":200,"tick_ms":250,"resumed":false,"upstream":"up"}}"#
    ))
}

fn events(channel: &str, from: u64, to: u64, sent_us: u64) -> Vec<u8> {
    let event =
        format!(r#"{{"kind":"a","at":1,"data":{}}}"#, crate::known::Padding::new(100).stamped(sent_us));
    let events = vec![event; usize::try_from(to + 1 - from).unwrap()].join(",");
    frame(&format!(
        r#"{{"type":"events","channel":"{channel}","epoch":"e","from":{from},"to":{to},"events":[{events}]}}"#
    ))
}

fn counts(seq: u64, a: u64) -> Vec<u8> {
    frame(&format!(
        r#"{{"type":"counts","channel":"{CHANNEL}","epoch":"e","seq":{seq},"totals":{{"a":{a}}},"why":"throttled"}}"#
    ))
}

/// Feeds a fresh client; what it counted and whether the connection stood.
fn fed(hall: &mut Hall, client: &mut Client, pieces: &[&[u8]]) -> (Gauge, Result<(), String>) {
    let mut gauge = Gauge::new();
    let mut stood = Ok(());
    for piece in pieces {
        stood = client.take(piece, &mut Round { hall, gauge: &mut gauge, now_us: 1_000 });
        if stood.is_err() {
            break;
        }
    }
    (gauge, stood)
}

/// All of a good stream: attach, two frames of events, counts, events again, and the next channel's.
fn good() -> Vec<u8> {
    [
        upgraded(),
        subscribed(CHANNEL, 1),
        events(CHANNEL, 1, 3, 400),
        events(CHANNEL, 4, 4, 500),
        counts(10, 10),
        events(CHANNEL, 11, 12, 600),
    ]
    .concat()
}

#[test]
fn a_stream_means_the_same_wherever_it_is_cut_and_whether_its_frames_are_known() {
    let stream = good();
    let mut shared = hall();
    for cut in 0..=stream.len() {
        for hall in [&mut hall(), &mut shared] {
            let mut client = client(hall, &[0]);
            let (gauge, stood) = fed(hall, &mut client, &[&stream[..cut], &stream[cut..]]);
            assert_eq!(stood, Ok(()), "cut at {cut}");
            assert_eq!(gauge.violations, Vec::<String>::new(), "cut at {cut}");
            let counted =
                (gauge.delivered.events, gauge.delivered.events_frames, gauge.delivered.counts_frames);
            assert_eq!((counted, gauge.frames_checked, gauge.attached), ((6, 3, 1), 4, 1), "cut at {cut}");
            let account = client.subscriptions[0].account.as_ref().unwrap();
            assert_eq!((account.cursor(), account.full(), account.closes()), (12, 6, true), "cut at {cut}");
            assert_eq!((gauge.healthy.len(), gauge.healthy.max()), (3, 600), "cut at {cut}");
        }
    }
}

#[test]
fn a_stream_byte_by_byte_is_the_same_stream() {
    let (stream, mut hall) = (good(), hall());
    for _known in [false, true] {
        let mut client = client(&mut hall, &[0]);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (gauge, stood) = fed(&mut hall, &mut client, &bytes);
        assert_eq!((stood, gauge.violations_n, gauge.delivered.events), (Ok(()), 0, 6));
    }
}

#[test]
fn a_frame_that_differs_from_the_known_one_is_read_in_full() {
    let mut hall = hall();
    let mut first = client(&mut hall, &[0]);
    fed(&mut hall, &mut first, &[&good()]).1.unwrap();
    // The same span of the same channel, but of another kind: the totals must say so.
    let other =
        String::from_utf8_lossy(&events(CHANNEL, 1, 3, 400)[4..]).replace("\"kind\":\"a\"", "\"kind\":\"b\"");
    let stream = [upgraded(), subscribed(CHANNEL, 1), frame(&other)].concat();
    for cut in 0..=stream.len() {
        let mut second = client(&mut hall, &[0]);
        // What the last round has put in the place of the frame is put back.
        let mut again = client(&mut hall, &[0]);
        fed(&mut hall, &mut again, &[&good()]).1.unwrap();
        let (gauge, stood) = fed(&mut hall, &mut second, &[&stream[..cut], &stream[cut..]]);
        assert_eq!((stood, gauge.violations_n), (Ok(()), 0));
        let account = second.subscriptions[0].account.as_ref().unwrap();
        assert_eq!(account.totals().get("b"), 3, "cut at {cut}");
    }
}

#[test]
fn order_a_hole_a_repeat_and_a_step_back_are_told() {
    let cases = [
        (events(CHANNEL, 6, 6, 1), "events 6 to 6 came at cursor 4"),
        (events(CHANNEL, 4, 4, 1), "events 4 to 4 came at cursor 4"),
        (events(CHANNEL, 1, 3, 1), "events 1 to 3 came at cursor 4"),
        (counts(4, 4), "totals at seq 4 came at cursor 4"),
        (counts(2, 2), "totals at seq 2 came at cursor 4"),
    ];
    for (doctored, words) in cases {
        for known in [false, true] {
            let mut hall = hall();
            let mut first = client(&mut hall, &[0]);
            let stream =
                [upgraded(), subscribed(CHANNEL, 1), events(CHANNEL, 1, 3, 1), events(CHANNEL, 4, 4, 1)]
                    .concat();
            if known {
                let more = [stream.clone(), events(CHANNEL, 5, 5, 1), events(CHANNEL, 6, 6, 1)].concat();
                fed(&mut hall, &mut first, &[&more]).1.unwrap();
            }
            let mut client = client(&mut hall, &[0]);
            let (gauge, _) = fed(&mut hall, &mut client, &[&stream, &doctored, &events(CHANNEL, 5, 5, 1)]);
            assert_eq!(gauge.violations_n, 1, "{words}: {:?}", gauge.violations);
            assert!(gauge.violations[0].contains(words), "{words}: {:?}", gauge.violations);
            // What comes after a broken law is not booked, so the ledger ends short of the channel.
            assert_eq!(client.subscriptions[0].account.as_ref().unwrap().cursor(), 4, "{words}");
        }
    }
}

#[test]
fn conservation_totals_that_do_not_add_up_are_told() {
    let cases = [
        (counts(10, 9), "add up to 9"),
        (
            frame(&String::from_utf8_lossy(&counts(10, 10)[2..]).replace("\"a\":10", "\"b\":10")),
            "fewer events",
        ),
        (
            frame(&String::from_utf8_lossy(&events(CHANNEL, 4, 5, 1)[4..]).replace("\"to\":5", "\"to\":6")),
            "hold 2 events",
        ),
    ];
    for (doctored, words) in cases {
        let mut hall = hall();
        let mut client = client(&mut hall, &[0]);
        let stream = [upgraded(), subscribed(CHANNEL, 1), events(CHANNEL, 1, 3, 1), doctored].concat();
        let (gauge, _) = fed(&mut hall, &mut client, &[&stream]);
        assert_eq!(gauge.violations_n, 1, "{words}");
        assert!(gauge.violations[0].contains(words), "{words}: {:?}", gauge.violations);
    }
}

#[test]
fn a_client_of_several_channels_keeps_them_apart() {
    let mut hall = hall();
    let other = "load:test:1";
    let stream = [
        upgraded(),
        subscribed(CHANNEL, 1),
        subscribed(other, 1),
        events(other, 1, 2, 1),
        events(CHANNEL, 1, 1, 1),
        events(other, 3, 3, 1),
    ]
    .concat();
    for _known in [false, true] {
        let mut client = client(&mut hall, &[0, 1]);
        let (gauge, stood) = fed(&mut hall, &mut client, &[&stream]);
        assert_eq!((stood, gauge.violations_n, gauge.attached), (Ok(()), 0, 2));
        let cursors: Vec<u64> =
            client.subscriptions.iter().map(|it| it.account.as_ref().unwrap().cursor()).collect();
        assert_eq!(cursors, [1, 3]);
    }
}

#[test]
fn a_client_comes_back_with_its_ledger_and_a_replaced_one_without() {
    let mut hall = hall();
    let mut client = client(&mut hall, &[0]);
    fed(&mut hall, &mut client, &[&good()]).1.unwrap();
    let mut gauge = Gauge::new();
    gauge.attached = 1;
    gauge.rungs = [1, 0, 0];
    client.handle_disconnected(&mut gauge);
    assert_eq!((gauge.attached, gauge.rungs), (0, [0; 3]));
    let asked = client.ask(&client.subscriptions[0], &hall).after.unwrap();
    assert_eq!((asked.seq.get(), asked.epoch), (12, Epoch::new("e").unwrap()));
    client.handle_connected();
    let resumed = frame(&format!(
        r#"{{"type":"subscribed","id":1,"channel":"{CHANNEL}","epoch":"e","seq":11,"rung":"full","max_rate":200,"tick_ms":250,"resumed":true,"upstream":"up"}}"#
    ));
    let (gauge, _) = fed(&mut hall, &mut client, &[&upgraded(), &resumed]);
    assert!(gauge.violations[0].contains("resumed at seq 11 of epoch e, but the client holds seq 12"));
    client.handle_replaced(&mut hall);
    assert!(client.subscriptions[0].account.is_none());
    assert_eq!((hall.retired.ledgers, hall.retired.accounted, hall.retired.unclosed), (1, 12, 0));
    assert_eq!(hall.retired.counted["throttled"], 6);
}

#[test]
fn pings_are_answered_and_a_close_ends_the_connection() {
    let mut hall = hall();
    let mut client = client(&mut hall, &[0]);
    fed(&mut hall, &mut client, &[&upgraded()]).1.unwrap();
    client.out.clear();
    fed(&mut hall, &mut client, &[&[0x89, 2, b'h', b'i']]).1.unwrap();
    assert_eq!((client.out[0], client.out[1], client.out.len()), (0x8a, 0x82, 8));
    let ended = fed(&mut hall, &mut client, &[&[0x88, 5, 0x0f, 0xa0, b'b', b'y', b'e']]).1;
    assert_eq!(ended, Err("the server closed it with 4000 bye".to_owned()));
}

#[test]
fn a_floor_is_read_record_by_record() {
    let text = RawJson::string("not ours").as_str().to_owned();
    let mut hall = hall();
    hall.dialect = Dialect::Floor;
    let mut client = client(&mut hall, &[0]);
    let subscribed = frame(&format!(r#"{{"type":"subscribed","channel":"{CHANNEL}"}}"#));
    let (gauge, _) = fed(&mut hall, &mut client, &[&upgraded(), &subscribed]);
    assert_eq!(gauge.attached, 1);
    let mut binary = vec![0x82, text.len() as u8];
    binary.extend_from_slice(text.as_bytes());
    assert!(fed(&mut hall, &mut client, &[&binary]).1.unwrap_err().contains("not a record"));
}
