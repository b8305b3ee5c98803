//! Who gets an event without a number, who is only told how many there were, and what never comes.

use super::*;
use crate::limits::HubLimits;
use crate::session::ConnId;
use bytes::Bytes;
use std::time::Duration;
use tally_protocol::{ChannelName, ClientFrame, RawJson, Seq, UnixMs, UpstreamStatus};

struct Stage {
    hub: Hub,
    now: Time,
    number: u64,
}

impl Stage {
    fn new() -> Self {
        Self { hub: Hub::new(HubLimits::default()), now: Time::default(), number: 0 }
    }

    fn ask(&mut self, conn: ConnId, frame: &str) {
        self.hub.handle_frame(self.now, conn, ClientFrame::decode(frame).unwrap());
    }

    /// A listener at `full`, attached to a channel without events.
    fn listener(&mut self, more: &str) -> ConnId {
        let conn = self.waiting_listener(more);
        self.hub.handle_snapshot(self.now, &channel(), None, 0);
        assert_eq!(self.pull(conn), ["subscribed"]);
        conn
    }

    fn waiting_listener(&mut self, more: &str) -> ConnId {
        let conn = self.hub.handle_connect(self.now);
        self.ask(conn, &format!(r#"{{"type":"subscribe","id":1,"channels":[{{"channel":"a"{more}}}]}}"#));
        conn
    }

    fn publish(&mut self, text: &str) {
        self.number += 1;
        let events = vec![RawJson::new(&Bytes::from(text.to_owned())).unwrap()];
        let frame = Unnumbered { channel: channel(), events, dropped: 0 };
        self.hub.handle_unnumbered(self.now, self.number, &Arc::new(Shared::new(frame)));
    }

    /// Everything due to a connection: unnumbered frames as `text+dropped`, others by name.
    fn pull(&mut self, conn: ConnId) -> Vec<String> {
        let outputs = std::iter::from_fn(|| self.hub.poll_output(self.now, conn));
        let texts = outputs.map(|output| match output {
            Output::Unnumbered(frame) => {
                format!("{}+{}", frame.value().events[0].as_str(), frame.value().dropped)
            }
            Output::Subscribed(_) => "subscribed".into(),
            Output::Unsubscribed(_) => "unsubscribed".into(),
            Output::Rung(_) => "rung".into(),
            other => panic!("unexpected {other:?}"),
        });
        texts.collect()
    }
}

fn channel() -> ChannelName {
    ChannelName::new("a").unwrap()
}

#[test]
fn listeners_at_full_share_one_frame_as_it_came() {
    let mut stage = Stage::new();
    let (a, b) = (stage.listener(""), stage.waiting_listener(""));
    assert_eq!(stage.pull(b), ["subscribed"]);
    stage.publish("{ \"hello\" : 1 }");
    let (Some(Output::Unnumbered(of_a)), Some(Output::Unnumbered(of_b))) =
        (stage.hub.poll_output(stage.now, a), stage.hub.poll_output(stage.now, b))
    else {
        panic!("both get it")
    };
    assert!(Arc::ptr_eq(&of_a, &of_b));
    assert_eq!(of_a.value().events[0].as_str(), "{ \"hello\" : 1 }");
    assert_eq!(stage.hub.counters().unnumbered_delivered, 2);
}

#[test]
fn nothing_comes_before_the_attach_or_after_the_end() {
    let mut stage = Stage::new();
    let conn = stage.waiting_listener("");
    stage.publish("1");
    stage.hub.handle_upstream(stage.now, UpstreamStatus::Down, UnixMs::new(1));
    stage.hub.handle_upstream(stage.now, UpstreamStatus::Up, UnixMs::new(1));
    assert!(stage.pull(conn).is_empty());
    stage.hub.handle_snapshot(stage.now, &channel(), None, 0);
    stage.publish("2");
    assert_eq!(stage.pull(conn), ["subscribed"], "it was not attached when they came");
    stage.publish("3");
    stage.ask(conn, r#"{"type":"unsubscribe","id":2,"channels":["a"]}"#);
    assert_eq!(stage.pull(conn), ["unsubscribed"]);
    stage.ask(conn, r#"{"type":"subscribe","id":3,"channels":[{"channel":"a"}]}"#);
    assert_eq!(stage.pull(conn), ["subscribed"]);
    stage.publish("4");
    assert_eq!(stage.pull(conn), ["4+0"], "earlier ones are not owed");
}

#[test]
fn what_a_reduced_listener_missed_is_told_in_the_next_one() {
    let mut stage = Stage::new();
    let conn = stage.listener("");
    stage.publish("1");
    assert_eq!(stage.pull(conn), ["1+0"]);
    stage.publish("2");
    stage.ask(conn, r#"{"type":"rung","channel":"a","rung":"counts"}"#);
    assert_eq!(stage.pull(conn), ["rung"], "also what was queued is not for this rung");
    stage.publish("3");
    stage.ask(conn, r#"{"type":"rung","channel":"a","rung":"full"}"#);
    assert_eq!(stage.pull(conn), ["rung"]);
    stage.publish("4");
    stage.publish("5");
    assert_eq!(stage.pull(conn), ["4+2", "5+0"]);
    assert_eq!(stage.hub.counters().unnumbered_dropped, 2);
}

#[test]
fn what_was_lost_before_it_came_here_is_told_as_well() {
    let mut stage = Stage::new();
    stage.number = 40;
    let conn = stage.listener("");
    stage.publish("41");
    stage.number += 3;
    stage.publish("45");
    assert_eq!(stage.pull(conn), ["41+0", "45+3"]);
}

#[test]
fn a_full_socket_gets_none_and_holds_a_bounded_number() {
    let mut stage = Stage::new();
    let conn = stage.listener(r#","max_rate":10000"#);
    let text = format!("\"{}\"", "x".repeat(10_000));
    for _ in 0..100 {
        stage.publish(&text);
    }
    let waiting = stage.hub.conns[conn.index].unnumbered.bytes;
    assert!(waiting <= UNNUMBERED_BYTES_MAX, "{waiting}");
    stage.hub.handle_blocked(stage.now, conn);
    stage.publish("1");
    stage.hub.handle_drained(stage.now, conn);
    let got = stage.pull(conn).len() as u64;
    stage.publish("2");
    assert_eq!(stage.pull(conn), [format!("2+{}", 101 - got)]);
    let huge = format!("\"{}\"", "x".repeat(1_000_000));
    stage.publish(&huge);
    assert_eq!(stage.pull(conn).len(), 1, "one larger than the bound passes alone");
}

#[test]
fn they_come_no_faster_than_the_granted_rate_and_charge_no_event() {
    let mut stage = Stage::new();
    let conn = stage.listener(r#","max_rate":5"#);
    for _ in 0..100 {
        stage.publish("1");
    }
    assert_eq!(stage.pull(conn).len(), 10, "two seconds' worth");
    stage.now = stage.now + Duration::from_secs(1);
    for _ in 0..100 {
        stage.publish("1");
    }
    let got = stage.pull(conn);
    assert_eq!((got.len(), got[0].as_str()), (5, "1+90"));
    stage.ask(conn, r#"{"type":"rung","channel":"a","rung":"full","max_rate":20}"#);
    stage.now = stage.now + Duration::from_secs(1);
    for _ in 0..100 {
        stage.publish("1");
    }
    assert_eq!(stage.pull(conn).len(), 20, "another rate holds for them as well");
    let sub = *stage.hub.conns[conn.index].subscriptions.values().next().unwrap();
    assert!(stage.hub.subs[sub].bucket.is_full());
    assert_eq!(stage.hub.subs[sub].cursor, Seq::ZERO);
}
