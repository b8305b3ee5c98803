//! A listener on a virtual clock for the tests of model and view: frames as JSON, booked as the client books them.

use super::*;
use std::collections::BTreeMap;
use tally_client::protocol::ServerFrame;

pub(in crate::watch) struct Listener {
    pub(in crate::watch) model: Model,
    pub(in crate::watch) ledgers: BTreeMap<ChannelName, Ledger>,
    pub(in crate::watch) now: Now,
}

impl Listener {
    pub(in crate::watch) fn new(channels: &[&str]) -> Self {
        let channels: Vec<_> = channels.iter().map(|name| ChannelName::new(name).unwrap()).collect();
        let now = Now { instant: Instant::now(), unix: UnixMs::new(1_700_000_000_000) };
        let mut model = Model::new("127.0.0.1:8420", &channels, Rung::Full, now.instant);
        model.handle_connected(now);
        Self { model, ledgers: BTreeMap::new(), now }
    }

    pub(in crate::watch) fn attach(&mut self, channel: &str, seq: u64) {
        let totals = if seq == 0 { String::new() } else { format!(r#""ok":{seq}"#) };
        self.frame(&format!(
            r#"{{"type":"subscribed","id":1,"channel":"{channel}","epoch":"7f3a9c12e0","seq":{seq},
            "totals":{{{totals}}},"state":null,"rung":"full","max_rate":200,"tick_ms":250,"resumed":false,
            "upstream":"up"}}"#
        ));
    }

    /// Events of one kind, the first of them at seq `from`.
    pub(in crate::watch) fn events(&mut self, channel: &str, from: u64, kind: &str, data: &[&str]) {
        let at = self.now.unix.get();
        let events: Vec<_> =
            data.iter().map(|data| format!(r#"{{"kind":"{kind}","at":{at},"data":{data}}}"#)).collect();
        let (to, events) = (from + data.len() as u64 - 1, events.join(","));
        self.frame(&format!(
            r#"{{"type":"events","channel":"{channel}","epoch":"7f3a9c12e0","from":{from},"to":{to},
            "events":[{events}]}}"#
        ));
    }

    pub(in crate::watch) fn counts(&mut self, channel: &str, seq: u64, totals: &str, why: &str) {
        self.frame(&format!(
            r#"{{"type":"counts","channel":"{channel}","epoch":"7f3a9c12e0","seq":{seq},"totals":{totals},
            "why":"{why}"}}"#
        ));
    }

    pub(in crate::watch) fn frame(&mut self, json: &str) {
        let Self { model, ledgers, now } = self;
        match ServerFrame::decode(json).unwrap() {
            ServerFrame::Subscribed(frame) => {
                let continuity = match Ledger::attach(&frame, ledgers.get(&frame.channel).cloned()).unwrap() {
                    Some(ledger) => {
                        ledgers.insert(frame.channel.clone(), ledger);
                        Continuity::New
                    }
                    None => Continuity::Pending,
                };
                model.handle_subscribed(&frame, continuity, ledgers.get(&frame.channel), *now);
            }
            ServerFrame::Events(frame) => {
                ledgers.get_mut(&frame.channel).unwrap().handle_events(&frame).unwrap();
                model.handle_events(&frame, ledgers.get(&frame.channel), *now);
            }
            ServerFrame::Counts(frame) => {
                ledgers.get_mut(&frame.channel).unwrap().handle_counts(&frame).unwrap();
                model.handle_counts(&frame, ledgers.get(&frame.channel), *now);
            }
            ServerFrame::Summary(frame) => {
                for part in &frame.channels {
                    ledgers.get_mut(&part.channel).unwrap().handle_summary(frame.why, part).unwrap();
                }
                model.handle_summary(&frame, |name| ledgers.get(name), *now);
            }
            ServerFrame::Reset(frame) => {
                let closed = ledgers.get_mut(&frame.channel).unwrap().handle_reset(&frame).unwrap();
                model.handle_reset(&frame, closed.cursor().get(), *now);
            }
            ServerFrame::Rung(frame) => {
                model.handle_rung(frame.channel.as_ref(), frame.rung, frame.why, *now);
            }
            ServerFrame::Upstream(frame) => model.handle_upstream(&frame, *now),
            other => panic!("not used in these tests: {other:?}"),
        }
    }

    pub(in crate::watch) fn wait(&mut self, ms: u64) {
        self.now.instant += Duration::from_millis(ms);
        self.now.unix = UnixMs::new(self.now.unix.get() + ms);
        self.model.handle_time(self.now.instant);
    }

    pub(in crate::watch) fn lose_connection(&mut self, cause: &str, retry_in_ms: Option<u64>) {
        self.model.handle_disconnected(cause, retry_in_ms.map(Duration::from_millis), self.now);
    }

    pub(in crate::watch) fn violate(&mut self, channel: &str, detail: &str) {
        let channel = ChannelName::new(channel).unwrap();
        let violation = Violation { channel, law: tally_client::Law::Order, detail: detail.into() };
        self.model.handle_violation(&violation, self.now);
    }
}

#[test]
fn the_rate_leaves_out_what_lies_in_the_past() {
    let mut listener = Listener::new(&["job:42"]);
    listener.attach("job:42", 1_000);
    listener.counts("job:42", 500_000, r#"{"ok":500000}"#, "replay");
    listener.wait(1_000);
    listener.counts("job:42", 500_010, r#"{"ok":500010}"#, "throttled");
    listener.wait(1_000);
    let rate = listener.model.channels[0].rate.sum(Rung::Full, listener.now.instant);
    assert!((rate - 5.0).abs() < 0.1, "10 events in 2 s, not {rate}");
}

#[test]
fn the_ceiling_of_the_connection_holds_for_every_channel() {
    let mut listener = Listener::new(&["a", "b"]);
    listener.attach("a", 1);
    listener.attach("b", 1);
    listener.frame(r#"{"type":"rung","channel":"b","rung":"counts","why":"throttled"}"#);
    listener.frame(r#"{"type":"rung","channel":null,"rung":"summary","why":"backpressure"}"#);
    let rungs = |listener: &Listener| {
        let model = &listener.model;
        model.channels.iter().map(|one| model.rung(one)).collect::<Vec<_>>()
    };
    assert_eq!(rungs(&listener), [(Rung::Summary, Why::Backpressure); 2]);
    listener.frame(r#"{"type":"rung","channel":null,"rung":"full","why":"backpressure"}"#);
    assert_eq!(rungs(&listener), [(Rung::Full, Why::Asked), (Rung::Counts, Why::Throttled)]);
}

#[test]
fn a_paused_view_stands_still_while_the_account_goes_on() {
    let mut listener = Listener::new(&["a"]);
    listener.attach("a", 0);
    listener.model.toggle_pause();
    listener.events("a", 1, "ok", &["1", "2"]);
    let paused = listener.model.paused.as_ref().unwrap();
    assert_eq!(listener.model.recent.pushed() - paused.pushed(), 2);
    assert_eq!(listener.ledgers.values().next().unwrap().cursor().get(), 2);
    listener.model.toggle_pause();
    assert!(listener.model.paused.is_none());
}
