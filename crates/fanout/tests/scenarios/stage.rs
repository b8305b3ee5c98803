//! A hub on a virtual clock, driven by hand; what comes out is one short line for each frame.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tally_fanout::{ChannelRecord, ConnId, Hub, HubLimits, Output, Request, Shared, Time};
use tally_protocol::{
    After, Attach, Body, ChannelName, Class, ClientFrame, Counts, Epoch, Kind, Position, Prev, RawJson,
    Record, RecordEvent, Rung, RungRequest, Seq, Snapshot, State, SubscribeChannel, SubscribeRequest, Totals,
    UnixMs, UnsubscribeRequest, Why,
};

pub(crate) struct Stage {
    pub(crate) hub: Hub,
    now: u64,
    next_id: u64,
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn epoch(name: &str) -> Epoch {
    Epoch::new(name).unwrap()
}

fn seq(seq: u64) -> Seq {
    Seq::new(seq).unwrap()
}

fn totals(n: u64) -> Totals {
    [(&Kind::new("k").unwrap(), n)].into_iter().collect()
}

pub(crate) fn state(at: u64) -> State {
    let data = RawJson::string("state");
    State { seq: seq(at), kind: Kind::new("k").unwrap(), sent_as: None, at: UnixMs::new(0), data }
}

pub(crate) fn snapshot(name: &str, at: u64) -> Snapshot {
    Snapshot { epoch: epoch(name), prev: None, seq: seq(at), totals: totals(at), state: None }
}

pub(crate) fn under(name: &str, at: u64, prev: &str, prev_seq: u64) -> Snapshot {
    Snapshot { prev: Some(Prev { epoch: epoch(prev), seq: seq(prev_seq) }), ..snapshot(name, at) }
}

/// What a client asks for a channel.
pub(crate) fn wish(name: &str) -> SubscribeChannel {
    SubscribeChannel { max_rate: Some(10_000), ..SubscribeChannel::new(&channel(name)) }
}

pub(crate) fn after(name: &str, of: &str, at: u64) -> SubscribeChannel {
    SubscribeChannel { after: Some(After { epoch: epoch(of), seq: seq(at) }), ..wish(name) }
}

impl Stage {
    pub(crate) fn new(limits: HubLimits) -> Self {
        Self { hub: Hub::new(limits), now: 0, next_id: 0 }
    }

    /// A client on channel `a`, which is at seq 0 of epoch `e`.
    pub(crate) fn with_client(limits: HubLimits, wish: SubscribeChannel) -> (Self, ConnId) {
        let mut stage = Self::new(limits);
        let conn = stage.connect();
        stage.subscribe(conn, wish);
        stage.snapshot("a", Some(snapshot("e", 0)), 0);
        stage.pull(conn);
        (stage, conn)
    }

    pub(crate) fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    pub(crate) fn connect(&mut self) -> ConnId {
        self.hub.handle_connect(self.time())
    }

    pub(crate) fn subscribe(&mut self, conn: ConnId, wish: SubscribeChannel) {
        self.next_id += 1;
        let request = SubscribeRequest { id: self.next_id, channels: vec![wish] };
        self.hub.handle_frame(self.time(), conn, ClientFrame::Subscribe(request));
    }

    pub(crate) fn unsubscribe(&mut self, conn: ConnId, name: &str) {
        let request = UnsubscribeRequest { id: 99, channels: vec![name.into()] };
        self.hub.handle_frame(self.time(), conn, ClientFrame::Unsubscribe(request));
    }

    pub(crate) fn rung(&mut self, conn: ConnId, name: Option<&str>, rung: Rung) {
        let request = RungRequest { channel: name.map(channel), rung, max_rate: None, tick_ms: None };
        self.hub.handle_frame(self.time(), conn, ClientFrame::Rung(request));
    }

    pub(crate) fn max_rate(&mut self, conn: ConnId, name: &str, rate: u64) {
        let channel = Some(channel(name));
        let request = RungRequest { channel, rung: Rung::Full, max_rate: Some(rate), tick_ms: None };
        self.hub.handle_frame(self.time(), conn, ClientFrame::Rung(request));
    }

    /// A record of `n` events that follow `from - 1`, each with `bytes` of data.
    pub(crate) fn record(&mut self, name: &str, of: &str, from: u64, n: u64, bytes: usize) {
        self.record_with(name, of, from, n, bytes, None);
    }

    /// The same with a state event at `state`.
    pub(crate) fn record_with(
        &mut self,
        name: &str,
        of: &str,
        from: u64,
        n: u64,
        bytes: usize,
        state: Option<u64>,
    ) {
        let event = |at: u64| RecordEvent {
            kind: Kind::new("k").unwrap(),
            sent_as: None,
            class: if state == Some(at) { Class::State } else { Class::Bulk },
            at: UnixMs::new(0),
            data: RawJson::new(&Bytes::from(format!("\"{}\"", "x".repeat(bytes)))).unwrap(),
        };
        let events = (from..from + n).map(event).collect();
        self.hand(name, of, from, n, Body::Events(events));
    }

    pub(crate) fn gap(&mut self, name: &str, of: &str, from: u64, n: u64, why: Why) {
        self.hand(name, of, from, n, Body::Counts { why, state: None });
    }

    /// A record without payloads of one event of each of these kinds.
    pub(crate) fn kinds(&mut self, name: &str, of: &str, from: u64, kinds: std::ops::Range<u64>) {
        let all: Vec<_> = kinds.map(|kind| Kind::new(&format!("k{kind}")).unwrap()).collect();
        let counts: Totals = all.iter().map(|kind| (kind, 1)).collect();
        let (epoch, sent_at, to) = (epoch(of), UnixMs::new(0), seq(from + all.len() as u64 - 1));
        let body = Body::Counts { why: Why::Upstream, state: None };
        let record = Record { epoch, from: seq(from), to, sent_at, counts, body };
        let record = Arc::new(Shared::new(ChannelRecord { channel: channel(name), record }));
        self.hub.handle_record(self.time(), &record);
    }

    fn hand(&mut self, name: &str, of: &str, from: u64, n: u64, body: Body) {
        let (epoch, sent_at) = (epoch(of), UnixMs::new(0));
        let record =
            Record { epoch, from: seq(from), to: seq(from + n - 1), sent_at, counts: totals(n), body };
        let record = Arc::new(Shared::new(ChannelRecord { channel: channel(name), record }));
        self.hub.handle_record(self.time(), &record);
    }

    pub(crate) fn snapshot(&mut self, name: &str, snapshot: Option<Snapshot>, read: u64) {
        self.hub.handle_snapshot(self.time(), &channel(name), snapshot, read);
    }

    pub(crate) fn requests(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.hub.poll_request())
            .map(|request| match request {
                Request::Watch(name) => format!("watch {name}"),
                Request::Unwatch(name) => format!("unwatch {name}"),
                Request::Reread(name, number) => format!("reread {name} {number}"),
            })
            .collect()
    }

    /// Lets `ms` pass, with everything that is due by the clock.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms * 1_000;
        while let Some(at) = self.hub.poll_timeout().filter(|at| at.as_micros() <= end) {
            assert!(at.as_micros() >= self.now, "a timer of the past");
            self.now = at.as_micros();
            self.hub.handle_timeout(at);
        }
        self.now = end;
    }

    pub(crate) fn block(&mut self, conn: ConnId) {
        self.hub.handle_blocked(self.time(), conn);
    }

    pub(crate) fn drain(&mut self, conn: ConnId) {
        self.hub.handle_drained(self.time(), conn);
    }

    pub(crate) fn pull_one(&mut self, conn: ConnId) -> Option<String> {
        self.hub.poll_output(self.time(), conn).as_ref().map(line)
    }

    pub(crate) fn pull(&mut self, conn: ConnId) -> Vec<String> {
        let lines: Vec<_> = std::iter::from_fn(|| self.pull_one(conn)).collect();
        while self.hub.poll_ready().is_some() {}
        let problems = self.hub.audit().problems;
        assert!(problems.is_empty(), "{problems:?}");
        let account = self.hub.look(self.time()).account;
        assert_eq!(account.residual(), 0, "the account does not close: {account:?}");
        lines
    }

    /// Blocked for a while with two records due, so that it is pressed.
    pub(crate) fn press(&mut self, conn: ConnId, from: u64) {
        self.block(conn);
        self.record("a", "e", from, 1, 1);
        self.record("a", "e", from + 1, 1, 1);
        self.pass(1_000);
        assert_eq!(self.hub.pressed(conn), Some(Rung::Summary));
        self.drain(conn);
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn position(position: &Position) -> String {
    let epoch = position.epoch.as_ref().map_or("-", |epoch| epoch.as_str());
    assert_eq!(position.totals.sum(), position.seq.get());
    format!("{epoch} {}{}", position.seq, state_of(position.state.as_ref()))
}

fn state_of(state: Option<&State>) -> String {
    state.map_or(String::new(), |state| format!(" state {}", state.seq))
}

fn line(output: &Output) -> String {
    match output {
        Output::Subscribed(frame) => match &frame.attach {
            Attach::Pending => format!("pending {}", frame.channel),
            Attach::Resumed { epoch, seq } => format!("resumed {} {epoch} {seq}", frame.channel),
            Attach::At(at) => format!("subscribed {} {}", frame.channel, position(at)),
        },
        Output::Unsubscribed(frame) => {
            let seq = frame.seq.map_or("-".into(), |seq| seq.to_string());
            let totals = frame.totals.as_ref().map_or("-".into(), |totals| totals.sum().to_string());
            format!("unsubscribed {} {seq} {totals}", frame.channel)
        }
        Output::Error(frame) => format!("error {}", frame.code),
        Output::Events(shared) => {
            let record = &shared.value().record;
            format!("events {} {} {}-{}", shared.value().channel, record.epoch, record.from, record.to)
        }
        Output::Counts(shared) => counts(shared.value()),
        Output::Summary(frame) => {
            let channels = frame.channels.iter();
            let channels: Vec<_> = channels
                .map(|one| format!(" {} {}{}", one.channel, one.seq, state_of(one.state.as_ref())))
                .collect();
            format!("summary {}:{}", frame.why, channels.join(","))
        }
        Output::Rung(frame) => {
            let channel = frame.channel.as_ref().map_or("*", |channel| channel.as_str());
            format!("rung {channel} {} {}", frame.rung, frame.why)
        }
        Output::Reset(frame) => {
            let (epoch, state) = (frame.epoch.clone(), frame.state.clone());
            let at = Position { epoch, seq: frame.seq, totals: frame.totals.clone(), state };
            format!("reset {} {}", frame.channel, position(&at))
        }
        Output::Upstream(frame) => format!("upstream {:?}", frame.status),
        other => format!("{other:?}"),
    }
}

fn counts(frame: &Counts) -> String {
    assert_eq!(frame.totals.sum(), frame.seq.get());
    let tail = frame.tail.as_ref().map_or(String::new(), |tail| {
        let seqs: Vec<_> = tail.iter().map(|event| event.seq.to_string()).collect();
        format!(" tail [{}]", seqs.join(" "))
    });
    let (channel, epoch) = (&frame.channel, &frame.epoch);
    format!("counts {channel} {epoch} {} {}{}{tail}", frame.seq, frame.why, state_of(frame.state.as_ref()))
}
