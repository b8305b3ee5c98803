//! A channel handed from one hub to another: the same position, the same replay, and nothing twice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use tally_fanout::{ChannelRecord, ConnId, Hub, HubLimits, Output, Shared, Time};
use tally_protocol::{
    Attach, Batch, ChannelName, Class, ClientFrame, Draft, Epoch, Event, RawJson, Record, Seq,
    SubscribeChannel, SubscribeRequest, UnixMs,
};

const NOW: Time = Time::from_micros(1_000);

fn channel() -> ChannelName {
    ChannelName::new("job:1").unwrap()
}

/// A record of two events, the second one a state.
fn record(from: u64) -> Arc<Shared<ChannelRecord>> {
    let event = |kind: &str, class| Event {
        kind: kind.parse().unwrap(),
        class,
        at: UnixMs::new(0),
        data: RawJson::string(&from.to_string()),
    };
    let batch = Batch::new(vec![event("ok", Class::Bulk), event("progress", Class::State)]).unwrap();
    let draft = Draft::from_batch(&batch, UnixMs::new(0)).remove(0);
    let bytes = draft.assemble(&Epoch::new("e").unwrap(), Seq::new(from).unwrap(), &[]);
    Arc::new(Shared::new(ChannelRecord { channel: channel(), record: Record::decode(&bytes).unwrap() }))
}

fn subscribe(hub: &mut Hub, last: Option<u64>) -> ConnId {
    let conn = hub.handle_connect(NOW);
    let mut asked = SubscribeChannel::new(&channel());
    asked.last = last;
    hub.handle_frame(NOW, conn, ClientFrame::Subscribe(SubscribeRequest { id: 1, channels: vec![asked] }));
    conn
}

/// A hub with a listener that has taken the records from 1 to 10.
fn holder() -> Hub {
    let mut hub = Hub::new(HubLimits::default());
    subscribe(&mut hub, None);
    hub.handle_snapshot(NOW, &channel(), None, 0);
    for from in [1, 3, 5, 7, 9] {
        hub.handle_record(NOW, &record(from));
    }
    hub
}

/// Attach position, and the seqs of the records that follow.
fn outputs(hub: &mut Hub, conn: ConnId) -> (Option<u64>, Vec<(u64, u64)>) {
    let (mut attached, mut spans) = (None, Vec::new());
    while let Some(output) = hub.poll_output(NOW, conn) {
        match output {
            Output::Subscribed(frame) => {
                let Attach::At(position) = frame.attach else { panic!("an attach") };
                assert_eq!(position.totals.sum(), position.seq.get());
                attached = Some(position.seq.get());
            }
            Output::Events(frame) => {
                let record = &frame.value().record;
                spans.push((record.from.get(), record.to.get()));
            }
            other => panic!("{other:?}"),
        }
    }
    (attached, spans)
}

#[test]
fn a_hub_begins_where_another_one_is() {
    let first = holder();
    let mut second = Hub::new(HubLimits::default());
    let conn = subscribe(&mut second, Some(7));
    // Records go to both hubs from before the hand-over: this one is known to the first, that one is not yet.
    second.handle_record(NOW, &record(9));
    second.handle_record(NOW, &record(11));
    second.handle_backlog(NOW, first.backlog(&channel()).unwrap());
    second.handle_record(NOW, &record(13));
    assert_eq!(outputs(&mut second, conn), (Some(6), vec![(7, 8), (9, 10), (11, 12), (13, 14)]));
    assert!(second.stats().log_bytes > first.stats().log_bytes, "what was handed over is charged");
}

#[test]
fn what_comes_late_is_a_snapshot() {
    let first = holder();
    let backlog = first.backlog(&channel()).unwrap();
    let mut second = Hub::new(HubLimits::default());
    second.handle_backlog(NOW, backlog.clone());
    assert_eq!(second.stats().channels, 0, "nobody listens");
    let conn = subscribe(&mut second, None);
    second.handle_snapshot(NOW, &channel(), None, 0);
    second.handle_record(NOW, &record(1));
    second.handle_record(NOW, &record(3));
    assert_eq!(outputs(&mut second, conn), (Some(4), vec![]));
    // It is ahead: what lies between is a gap, exact by kind. A second time it is known.
    second.handle_backlog(NOW, backlog.clone());
    second.handle_backlog(NOW, backlog);
    let Some(Output::Counts(frame)) = second.poll_output(NOW, conn) else { panic!("counts") };
    assert_eq!((frame.value().seq.get(), frame.value().totals.get("ok")), (10, 5));
    second.handle_record(NOW, &record(11));
    assert_eq!(outputs(&mut second, conn), (None, vec![(11, 12)]));
}

#[test]
fn a_hub_that_waits_for_the_broker_hands_nothing_over() {
    let mut hub = Hub::new(HubLimits::default());
    assert!(hub.backlog(&channel()).is_none());
    subscribe(&mut hub, None);
    assert!(hub.backlog(&channel()).is_none(), "its snapshot has not come");
    hub.handle_snapshot(NOW, &channel(), None, 0);
    assert!(hub.backlog(&channel()).is_none(), "the broker has no such channel");
    hub.handle_record(NOW, &record(1));
    hub.handle_record(NOW, &record(5));
    assert!(hub.backlog(&channel()).is_none(), "it misses a record");
}
