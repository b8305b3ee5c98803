//! The order of calls to the broker, and what shards are told, over a broker that writes down what it is asked.

use super::*;
use crate::inbox::{InboxReader, inbox};
use std::sync::Mutex;
use tally_backplane::{Publish, PublishError};
use tally_fanout::{Hub, HubLimits, Time};
use tally_protocol::{ClientFrame, Epoch, Published, Seq, SubscribeChannel, SubscribeRequest, Totals};

#[derive(Default)]
struct Broker(Mutex<Vec<String>>);

impl Broker {
    fn note(&self, call: &str, channels: &[ChannelName]) {
        let names: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
        self.0.lock().unwrap().push(format!("{call} {}", names.join(" ")));
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Backplane for Broker {
    fn publish(&self, _: Publish) -> BoxFuture<'_, Result<Published, PublishError>> {
        unreachable!("nothing is published here")
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.note("subscribe", &channels);
        Box::pin(std::future::ready(Ok(())))
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.note("unsubscribe", &channels);
        Box::pin(std::future::ready(Ok(())))
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        self.note("snapshot", &[channel]);
        let epoch = Epoch::new("e").unwrap();
        let snapshot = Snapshot { epoch, prev: None, seq: Seq::ZERO, totals: Totals::new(), state: None };
        Box::pin(std::future::ready(Ok(Some(snapshot))))
    }

    fn audit(&self, _: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        unreachable!("nothing is audited here")
    }
}

struct Bench {
    broker: Arc<Broker>,
    interest: Arc<Interest>,
    commands: Commands,
    readers: Vec<InboxReader>,
}

fn start(shards: usize) -> Bench {
    let (broker, interest) = (Arc::new(Broker::default()), Arc::new(Interest::default()));
    let (inboxes, readers) = (0..shards).map(|_| inbox(1 << 20)).unzip();
    let (commands, reader) = Commands::new();
    let metrics = Arc::new(Metrics::new());
    tokio::spawn(
        Reconcile::new(broker.clone(), interest.clone(), inboxes, metrics, Arc::default()).run(reader),
    );
    Bench { broker, interest, commands, readers }
}

impl Bench {
    fn watch(&self, shard: usize, name: &str) {
        let channel = ChannelName::new(name).unwrap();
        self.interest.add(shard, &channel);
        self.commands.send(Command::Watch(shard, channel));
    }

    async fn take_one(&mut self, shard: usize) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        self.readers[shard].take(1, &mut arrivals).await;
        arrivals
    }

    /// What the next arrivals at a shard are.
    async fn arrivals(&mut self, shard: usize, n: usize) -> Vec<String> {
        let mut words = Vec::new();
        while words.len() < n {
            words.extend(self.take_one(shard).await.into_iter().map(|arrival| match arrival {
                Arrival::Record(_) => "record".into(),
                Arrival::Snapshot { channel, .. } => format!("snapshot {channel}"),
                Arrival::Upstream { status, .. } => format!("{status:?}"),
                Arrival::Unnumbered { .. } => "unnumbered".into(),
                Arrival::HandOver { channel, to, .. } => format!("hand {channel} over to {to}"),
                Arrival::Backlog(_) => "backlog".into(),
            }));
        }
        words
    }
}

#[tokio::test]
async fn the_first_shard_subscribes_and_the_second_asks_it() {
    let mut bench = start(2);
    bench.watch(0, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["snapshot a"]);
    assert_eq!(bench.broker.calls(), ["subscribe a", "snapshot a"]);
    bench.watch(1, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["hand a over to 1"]);
    // It knows nothing that would do: then the broker is asked.
    let channel = ChannelName::new("a").unwrap();
    bench.commands.send(Command::HandedOver { to: 1, channel, head: None, backlog: None });
    assert_eq!(bench.arrivals(1, 1).await, ["snapshot a"]);
    assert_eq!(bench.broker.calls(), ["snapshot a"]);
}

/// What a shard knows that has come as far as `seq`.
fn backlog(seq: u64) -> Box<Backlog> {
    let (channel, kind) = (ChannelName::new("a").unwrap(), "ok".parse().unwrap());
    let mut hub = Hub::new(HubLimits::default());
    let conn = hub.handle_connect(Time::default());
    let request = SubscribeRequest { id: 1, channels: vec![SubscribeChannel::new(&channel)] };
    hub.handle_frame(Time::default(), conn, ClientFrame::Subscribe(request));
    let (epoch, seq) = (Epoch::new("e").unwrap(), Seq::new(seq).unwrap());
    let totals = [(&kind, seq.get())].into_iter().collect();
    let snapshot = Snapshot { epoch, prev: None, seq, totals, state: None };
    hub.handle_snapshot(Time::default(), &channel, Some(snapshot), 0);
    Box::new(hub.backlog(&channel).unwrap())
}

/// A record may be noted and still be on its way to the shard that is asked, or have found its inbox full.
#[tokio::test]
async fn a_backlog_that_misses_something_is_followed_by_a_snapshot() {
    let mut bench = start(2);
    let channel = ChannelName::new("a").unwrap();
    let head = |seq| Some(Head { epoch: Epoch::new("e").unwrap(), seq: Seq::new(seq).unwrap() });
    bench.watch(0, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["snapshot a"]);
    bench.interest.note_record(&channel, &Epoch::new("e").unwrap(), Seq::new(7).unwrap());
    bench.watch(1, "a");
    let asked = bench.take_one(0).await.remove(0);
    let Arrival::HandOver { head: told, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(told, head(7), "as far as the channel had come");
    bench.broker.calls();
    for (seq, wanted) in [(7, vec![]), (6, vec!["snapshot a"])] {
        let (channel, backlog) = (channel.clone(), Some(backlog(seq)));
        bench.commands.send(Command::HandedOver { to: 1, channel, head: head(7), backlog });
        assert_eq!(bench.arrivals(1, 1).await, ["backlog"]);
        assert_eq!(bench.arrivals(1, wanted.len()).await, wanted);
    }
    assert_eq!(bench.broker.calls(), ["snapshot a"]);
}

#[tokio::test]
async fn who_listens_again_is_not_unsubscribed() {
    let mut bench = start(1);
    bench.watch(0, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["snapshot a"]);
    let a = ChannelName::new("a").unwrap();
    bench.interest.remove(0, &a);
    bench.commands.send(Command::Unwatch(a.clone()));
    bench.watch(0, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["snapshot a"]);
    assert!(!bench.broker.calls().iter().any(|call| call.starts_with("unsubscribe")));
    // Nobody does: then it is, and a later listener subscribes anew.
    bench.interest.remove(0, &a);
    bench.commands.send(Command::Unwatch(a));
    while bench.broker.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    bench.watch(0, "a");
    assert_eq!(bench.arrivals(0, 1).await, ["snapshot a"]);
    assert_eq!(bench.broker.calls(), ["unsubscribe a", "subscribe a", "snapshot a"]);
}

#[tokio::test]
async fn a_link_that_comes_back_is_an_empty_applied_set() {
    let mut bench = start(1);
    bench.watch(0, "a");
    bench.watch(0, "b");
    bench.arrivals(0, 2).await;
    bench.broker.calls();
    bench.commands.send(Command::Down("planted".into()));
    assert_eq!(bench.arrivals(0, 1).await, ["Down"]);
    bench.commands.send(Command::Up);
    let arrivals = bench.arrivals(0, 3).await;
    assert_eq!(arrivals[0], "Up");
    assert_eq!(bench.broker.calls()[0], "subscribe a b");
}
