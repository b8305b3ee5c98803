//! The broker behind a network that loses, delays and refuses, and a log of what it took.

use super::*;
use tally_backplane::{
    Away, BoxFuture, Content, EmbeddedNode, Head, Publish, PublishError as CallError, Refusal,
};
use tally_protocol::{Heard, Published, Snapshot};

/// What may happen to a call, in percent; the rest go well.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    unavailable: u32,
    refused: u32,
    lost_request: u32,
    lost_reply: u32,
    delayed: u32,
    /// Of those without an answer: how many hang, and do not even fail.
    hangs: u32,
    /// The broker does not know who listens.
    unknown: u32,
    /// How long each way takes at most, in ms.
    latency_ms: u64,
    /// Nothing gets through in this part of the plan.
    pub(super) outage: Option<(u32, u32)>,
    /// The broker forgets the producers now and then. Only where nothing that was published is sent again: without
    /// its memory no broker can tell a first batch from its retry, which is why it keeps that for 120 s.
    pub(super) forgets: bool,
}

impl Weather {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        if random.u32(0..4) == 0 {
            return Self { latency_ms: 5, ..Self::default() };
        }
        let latency_ms = if random.bool() { 5 } else { 30 };
        let mut some = |max: u32| if random.bool() { random.u32(0..=max) } else { 0 };
        let mut weather = Self {
            unavailable: some(30),
            refused: some(10),
            lost_request: some(20),
            lost_reply: some(20),
            delayed: some(10),
            hangs: some(100),
            unknown: some(20),
            latency_ms,
            outage: None,
            forgets: false,
        };
        if random.u32(0..3) == 0 {
            let begins = random.u32(0..50);
            weather.outage = Some((begins, begins + random.u32(1..30)));
        }
        weather.forgets = weather.delayed == 0 && weather.lost_reply == 0 && random.bool();
        weather
    }

    /// Whether answers come, and so soon that a listener is known within 300 ms of its attaching.
    pub(super) fn is_good(&self) -> bool {
        let bad = [self.unavailable, self.refused, self.lost_request, self.lost_reply, self.delayed];
        bad == [0; 5] && self.outage.is_none() && !self.forgets && self.latency_ms <= 5
    }
}

/// The broker, behind a bad network.
pub(super) struct Unreliable {
    broker: Arc<Broker>,
    pub(super) network: Mutex<Network>,
}

struct Broker {
    node: EmbeddedNode,
    log: Mutex<HashMap<ChannelName, Vec<Entry>>>,
}

/// What the broker took in one call.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: Instant,
    pub(super) content: Content,
    pub(super) result: Published,
}

pub(super) struct Network {
    pub(super) random: fastrand::Rng,
    /// `None`: it has cleared up.
    pub(super) weather: Option<Weather>,
    pub(super) outage: bool,
}

impl Broker {
    async fn publish(&self, publish: Publish) -> Result<Published, CallError> {
        let (channel, content) = (publish.channel.clone(), publish.content.clone());
        let result = self.node.publish(publish).await?;
        let mut log = self.log.lock().unwrap();
        let entries = log.entry(channel).or_default();
        if entries.last().is_none_or(|last| last.result.to < result.from) {
            entries.push(Entry { at: Instant::now(), content, result: result.clone() });
        }
        Ok(result)
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    /// Published; who listens is not known.
    NotKnown,
    Unavailable,
    Refused,
    LostRequest,
    LostReply,
    Delayed(Duration),
}

impl Network {
    fn fate(&mut self) -> (Fate, Duration, bool) {
        let latency_ms = self.weather.map_or(30, |weather| weather.latency_ms);
        let latency = Duration::from_millis(self.random.u64(0..latency_ms));
        let Some(weather) = self.weather else { return (Fate::Good, latency, false) };
        let hangs = self.random.u32(0..100) < weather.hangs;
        if self.outage {
            let fate = if self.random.bool() { Fate::Unavailable } else { Fate::LostRequest };
            return (fate, latency, hangs);
        }
        let mut drawn = self.random.u32(0..100);
        let delay = Duration::from_millis(self.random.u64(0..40_000));
        let fates = [
            (weather.unavailable, Fate::Unavailable),
            (weather.refused, Fate::Refused),
            (weather.lost_request, Fate::LostRequest),
            (weather.lost_reply, Fate::LostReply),
            (weather.delayed, Fate::Delayed(delay)),
            (weather.unknown, Fate::NotKnown),
        ];
        for (percent, fate) in fates {
            if drawn < percent {
                return (fate, latency, hangs);
            }
            drawn -= percent;
        }
        (Fate::Good, latency, hangs)
    }
}

impl Unreliable {
    pub(super) fn new(node: EmbeddedNode, network: Network) -> Self {
        let broker = Broker { node, log: Mutex::default() };
        Self { broker: Arc::new(broker), network: Mutex::new(network) }
    }

    /// What the broker took so far, by channel.
    pub(super) fn log(&self) -> HashMap<ChannelName, Vec<Entry>> {
        self.broker.log.lock().unwrap().clone()
    }

    async fn call(&self, publish: Publish) -> Result<Published, CallError> {
        let (fate, latency, hangs) = self.network.lock().unwrap().fate();
        sleep(latency).await;
        match fate {
            Fate::Good => {
                let answer = self.broker.publish(publish).await;
                sleep(latency).await;
                return answer;
            }
            Fate::NotKnown => {
                let answer = self.broker.publish(publish).await;
                sleep(latency).await;
                return answer.map(|published| Published { heard: Heard::Unknown, ..published });
            }
            Fate::Unavailable => return Err(CallError::Unavailable("away".into())),
            Fate::Refused => return Err(Refusal::ChannelFull.into()),
            Fate::LostRequest => {}
            Fate::LostReply => drop(self.broker.publish(publish).await),
            Fate::Delayed(delay) => {
                let broker = Arc::clone(&self.broker);
                tokio::spawn(async move {
                    sleep(delay).await;
                    drop(broker.publish(publish).await);
                });
            }
        }
        if hangs {
            std::future::pending::<()>().await;
        }
        Err(CallError::Unknown("no answer".into()))
    }
}

impl Backplane for Unreliable {
    fn publish(&self, publish: Publish) -> BoxFuture<'_, Result<Published, CallError>> {
        Box::pin(self.call(publish))
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.broker.node.subscribe(channels)
    }

    fn unsubscribe(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<(), Away>> {
        self.broker.node.unsubscribe(channels)
    }

    fn snapshot(&self, channel: ChannelName) -> BoxFuture<'_, Result<Option<Snapshot>, Away>> {
        self.broker.node.snapshot(channel)
    }

    fn audit(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<Option<Head>>, Away>> {
        self.broker.node.audit(channels)
    }
}
