//! The session on a virtual clock, without sockets: scripts of frames, and what they must lead to.

mod law_tests;
mod link_tests;
mod request_tests;
mod resume_tests;

use super::{Connect, Session};
use crate::disconnect::Disconnect;
use crate::reconnect::Reconnect;
use crate::subscription::Subscription;
use crate::update::{FrameText, Update};
use std::time::{Duration, Instant};
use tally_protocol::{ChannelName, ClientFrame, Ledger, SubscribeChannel, Totals, UpstreamStatus};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A session, its clock, and what it sent last.
struct Bench {
    session: Session,
    now: Instant,
    /// Of the last `subscribe`: goes into `subscribed` frames in place of `$id`.
    subscribe_id: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(Reconnect::default())
    }

    fn with(policy: Reconnect) -> Self {
        Self { session: Session::new(policy, 42), now: Instant::now(), subscribe_id: 0 }
    }

    /// A bench with the channel `a` attached at seq `n`.
    fn attached_at(n: u64) -> Self {
        let mut bench = Self::new();
        bench.session.subscribe(Subscription::new(&a())).unwrap();
        bench.connect();
        bench.sent();
        assert_eq!(bench.frame(&at(n)), ["subscribed New"]);
        bench
    }

    fn connect(&mut self) {
        assert_eq!(self.session.poll_connect(self.now), Connect::Now);
        self.session.handle_open(self.now);
        assert_eq!(self.frame(HELLO), ["connected"]);
    }

    /// Loses the connection and comes back.
    fn reconnect(&mut self) {
        self.lose();
        self.await_retry();
        self.connect();
    }

    fn lose(&mut self) -> Vec<String> {
        self.session.handle_disconnect(Disconnect::Lost("gone".into()), self.now);
        self.told()
    }

    fn await_retry(&mut self) {
        if let Connect::At(at) = self.session.poll_connect(self.now) {
            self.now = at;
        }
        assert_eq!(self.session.poll_connect(self.now), Connect::Now);
    }

    /// Brings a frame and answers what was told, one word or two for each update.
    fn frame(&mut self, text: &str) -> Vec<String> {
        self.updates(text).iter().map(digest).collect()
    }

    fn updates(&mut self, text: &str) -> Vec<Update> {
        let text = text.replace("$id", &self.subscribe_id.to_string());
        self.session.handle_text(FrameText::new(text.into()), self.now);
        self.take()
    }

    fn take(&mut self) -> Vec<Update> {
        std::iter::from_fn(|| self.session.poll_update()).collect()
    }

    fn told(&mut self) -> Vec<String> {
        self.take().iter().map(digest).collect()
    }

    /// Everything that is due to the gateway now; each frame is one that the gateway can read.
    fn sent(&mut self) -> Vec<ClientFrame> {
        let texts = std::iter::from_fn(|| self.session.poll_transmit());
        let frames: Vec<_> = texts.map(|text| ClientFrame::decode(&text).unwrap()).collect();
        for frame in &frames {
            if let ClientFrame::Subscribe(request) = frame {
                self.subscribe_id = request.id;
            }
        }
        frames
    }

    fn asked(&mut self) -> Vec<SubscribeChannel> {
        let frames = self.sent().into_iter();
        let subscribes = frames.filter_map(|frame| match frame {
            ClientFrame::Subscribe(request) => Some(request.channels),
            _ => None,
        });
        subscribes.flatten().collect()
    }

    fn ledger(&self) -> &Ledger {
        self.session.account(&a()).and_then(|account| account.ledger()).expect("a is attached")
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
    }
}

fn a() -> ChannelName {
    ChannelName::new("a").unwrap()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

fn digest(update: &Update) -> String {
    match update {
        Update::Connected(_) => "connected".into(),
        Update::Disconnected { retry_in: Some(_), .. } => "disconnected".into(),
        Update::Disconnected { retry_in: None, .. } => "ended".into(),
        Update::Subscribed { continuity, .. } => format!("subscribed {continuity:?}"),
        Update::Events(frame) => format!("events {}-{}", frame.from, frame.to),
        Update::Counts(frame) => format!("counts {}", frame.seq),
        Update::Summary(_) => "summary".into(),
        Update::Rung(frame) => format!("rung {}", frame.rung),
        Update::Reset { frame, closed } => format!("reset {} after {}", frame.seq, closed.cursor()),
        Update::Unsubscribed { code, .. } => format!("unsubscribed {code}"),
        Update::Upstream(frame) if frame.status == UpstreamStatus::Up => "upstream up".into(),
        Update::Upstream(_) => "upstream down".into(),
        Update::Unnumbered(_) => "unnumbered".into(),
        Update::Error(frame) => format!("error {}", frame.code),
        Update::Violation { violation, .. } => format!("violation {}", violation.law.as_str()),
        Update::Goodbye(_) => "goodbye".into(),
        Update::Heartbeat(_) => "heartbeat".into(),
    }
}

const HELLO: &str = r#"{"type":"hello","protocol":"tally.v1","connection":"c1","heartbeat_ms":15000,
    "limits":{"frame_bytes":65536,"subscriptions":1000,"max_rate_default":200,"max_rate":10000,"last":1000}}"#;

/// A position where all events are of kind `k`.
fn position(n: u64) -> String {
    match n {
        0 => r#""epoch":null,"seq":0,"totals":{},"state":null"#.into(),
        n => format!(r#""epoch":"e1","seq":{n},"totals":{{"k":{n}}},"state":null"#),
    }
}

fn subscribed(fields: &str) -> String {
    format!(
        r#"{{"type":"subscribed","id":$id,"channel":"a",{fields},"rung":"full","max_rate":200,"tick_ms":250}}"#
    )
}

fn at(n: u64) -> String {
    subscribed(&format!(r#"{},"resumed":false,"upstream":"up""#, position(n)))
}

fn resumed(n: u64) -> String {
    subscribed(&format!(r#""epoch":"e1","seq":{n},"resumed":true,"upstream":"up""#))
}

fn pending() -> String {
    subscribed(r#""resumed":false,"upstream":"pending""#)
}

fn events(from: u64, to: u64) -> String {
    events_of("a", "e1", from, to, to + 1 - from)
}

fn events_of(channel: &str, epoch: &str, from: u64, to: u64, n: u64) -> String {
    let event = r#"{"kind":"k","at":1,"data":null}"#;
    let list = vec![event; usize::try_from(n).unwrap()].join(",");
    format!(
        r#"{{"type":"events","channel":"{channel}","epoch":"{epoch}","from":{from},"to":{to},"events":[{list}]}}"#
    )
}

fn counts(seq: u64, totals: &str) -> String {
    format!(
        r#"{{"type":"counts","channel":"a","epoch":"e1","seq":{seq},"totals":{totals},"why":"throttled"}}"#
    )
}

fn reset(n: u64) -> String {
    format!(r#"{{"type":"reset","channel":"a",{}}}"#, position(n))
}

fn unsubscribed(code: &str, n: u64) -> String {
    format!(
        r#"{{"type":"unsubscribed","id":null,"channel":"a","code":"{code}","epoch":"e1","seq":{n},"totals":{{"k":{n}}}}}"#
    )
}
