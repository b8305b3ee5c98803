//! The virtual clock and everything on it: plan, broker, network, two hubs in their shells, sockets.

mod drive;

use crate::broker::{Broker, Publish};
use crate::client::{Checked, Client, Context};
use crate::coverage::Coverage;
use crate::laws;
use crate::listener::Listener;
use crate::plan::{Action, CALM_SECONDS, From, Plan, SECOND, Wish};
use crate::random::Random;
use crate::shell::Shell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tally_fanout::{ChannelRecord, ConnId, Shared, Time};
use tally_protocol::{
    After, ChannelName, ClientFrame, Epoch, ErrorCode, Record, Rung, RungRequest, Seq, Snapshot,
    SubscribeChannel, SubscribeRequest, UnixMs, UnsubscribeRequest, UpstreamStatus,
};

/// Frames that a shell pulls for one connection before it looks at another.
const BUDGET: usize = 16;
const AUDIT_EVERY: u64 = 4 * SECOND;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    pub(crate) broker: Broker,
    pub(crate) shells: Vec<Shell>,
    pub(crate) clients: Vec<Client>,
    pub(crate) upstream: UpstreamStatus,
    pub(crate) coverage: Coverage,
    /// Left out of the plan, to see what it changes for the others.
    absent: Option<usize>,
    trace: bool,
    random: Random,
    steps: u64,
    turns: u64,
}

#[derive(Debug)]
enum Event {
    Plan(usize),
    Message { hub: usize, record: Arc<Shared<ChannelRecord>> },
    Subscribed { hub: usize, channel: ChannelName, life: u64 },
    Read { hub: usize, channel: ChannelName, life: u64, read: u64 },
    Answer { hub: usize, channel: ChannelName, life: u64, snapshot: Option<Snapshot>, read: u64 },
    Drained { client: usize, conn: ConnId },
    Audit,
}

pub(crate) fn name(channel: usize) -> ChannelName {
    ChannelName::new(&format!("job:{channel}")).unwrap()
}

impl World {
    pub(crate) fn new(plan: Plan, absent: Option<usize>, trace: bool) -> Self {
        let mut world = Self {
            now: 0,
            queue: BTreeMap::new(),
            queued: 0,
            broker: Broker::default(),
            shells: (0..2)
                .map(|hub| Shell::new(plan.limits.clone(), Random::of(plan.seed, 10 + hub)))
                .collect(),
            clients: plan.clients.iter().map(|r| Client::new(*r, plan.limits.connection_max_rate)).collect(),
            upstream: UpstreamStatus::Up,
            coverage: Coverage::default(),
            absent,
            trace,
            random: Random::of(plan.seed, 20),
            steps: 0,
            turns: 0,
            plan,
        };
        for action in 0..world.plan.actions.len() {
            world.at(world.plan.actions[action].0, Event::Plan(action));
        }
        world.at(AUDIT_EVERY, Event::Audit);
        world
    }

    /// The whole plan, then calm, then one event on each channel, then everybody leaves.
    pub(crate) fn run(&mut self) -> Checked {
        self.until(self.plan.calm_at)?;
        for client in 0..self.clients.len() {
            self.act(Action::Speed { client, bytes_per_second: 1_000_000_000 });
        }
        self.plan.net =
            crate::plan::Net { lost: 0, late: 0, straddling: 0, foreign: 0, twice: 0, ..self.plan.net };
        self.until(self.plan.calm_at + CALM_SECONDS * SECOND)?;
        laws::recovery(self)?;
        let full: Vec<u64> = self.full_events();
        for channel in 0..self.plan.channels {
            let publish = Publish { events: 1, data_bytes: 10, kinds: 1, states: 100, counts: None };
            self.act(Action::Publish { channel, publish });
        }
        self.until(self.now + 10 * SECOND)?;
        laws::recovery(self)?;
        if self.full_events().iter().zip(full).any(|(now, before)| *now != before + 1) {
            return Err("after calm, one event did not come in full".into());
        }
        for client in 0..self.clients.len() {
            self.act(Action::Disconnect { client });
        }
        self.until(self.now + 60 * SECOND)?;
        for hub in 0..2 {
            laws::no_residue(&self.shells[hub].hub.audit())?;
            self.note_counters(hub);
        }
        Ok(())
    }

    /// Seen in full by every subscription that asked for it.
    fn full_events(&self) -> Vec<u64> {
        let clients = self.clients.iter().filter(|client| client.asked == Rung::Full);
        let held = clients.flat_map(|client| client.listeners.values());
        let full = held.filter(|held| held.asked == Rung::Full);
        full.filter_map(|held| Some(held.ledger.as_ref()?.full().sum())).collect()
    }

    fn note_counters(&mut self, hub: usize) {
        let counters = self.shells[hub].hub.counters();
        for (what, times) in [
            ("misfits", counters.misfits),
            ("rereads", counters.rereads),
            ("waiting overflows", counters.waiting_overflows),
            ("resets", counters.resets),
            ("jumps", counters.jumps),
            ("evicted", counters.evicted),
            ("events full", counters.events_full),
            ("events counted", counters.events_counted()),
            ("events summarised", counters.events_summarised()),
        ] {
            self.coverage.add(what, times);
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    /// Time itself comes first: at one moment, what is due by the clock is done before anything else.
    fn until(&mut self, end: u64) -> Checked {
        self.settle()?;
        loop {
            self.turns += 1;
            if self.turns > 3_000_000 {
                return Err("no end".into());
            }
            let timeouts = self.shells.iter().filter_map(|shell| shell.hub.poll_timeout());
            let timeout = timeouts.min().map_or(u64::MAX, Time::as_micros);
            let event = self.queue.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let next = timeout.min(event);
            if next > end {
                self.now = end;
                return Ok(());
            }
            self.now = self.now.max(next);
            if timeout <= event {
                let now = self.time();
                for shell in &mut self.shells {
                    if shell.hub.poll_timeout().is_some_and(|at| at <= now) {
                        shell.hub.handle_timeout(now);
                    }
                }
            } else if let Some((_, event)) = self.queue.pop_first() {
                self.apply(event);
            }
            self.settle()?;
        }
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6} {}", self.now as f64 / 1e6, what());
        }
    }

    fn apply(&mut self, event: Event) {
        let now = self.time();
        match event {
            Event::Plan(action) => self.act(self.plan.actions[action].1.clone()),
            Event::Message { hub, record } => self.message(hub, &record),
            Event::Subscribed { hub, channel, life } => {
                if let Some(watch) = self.shells[hub].watches.get_mut(&channel).filter(|one| one.life == life)
                    && self.upstream == UpstreamStatus::Up
                {
                    (watch.is_subscribed, watch.wants_read) = (true, true);
                    self.read(hub, &channel);
                }
            }
            Event::Read { hub, channel, life, read } => {
                let snapshot = self.broker.snapshot(&channel);
                let delay = self.delay(hub, self.plan.net.read_ms);
                let Some(watch) = self.shells[hub].watches.get_mut(&channel).filter(|one| one.life == life)
                else {
                    return;
                };
                if self.upstream == UpstreamStatus::Down {
                    (watch.is_reading, watch.wants_read) = (false, true);
                    return;
                }
                watch.has_lost = false;
                self.at(self.now + delay, Event::Answer { hub, channel, life, snapshot, read });
            }
            Event::Answer { hub, channel, life, snapshot, read } => {
                self.say(|| format!("hub {hub}: {channel} read {read}: {snapshot:?}"));
                if let Some(snapshot) = &snapshot {
                    let one = (self.now, snapshot.epoch.clone(), snapshot.seq.get());
                    self.shells[hub].delivered.entry(channel.clone()).or_default().snapshots.push(one);
                }
                let shell = &mut self.shells[hub];
                shell.hub.handle_snapshot(now, &channel, snapshot, read);
                if let Some(watch) = shell.watches.get_mut(&channel).filter(|one| one.life == life) {
                    watch.is_reading = false;
                    self.read(hub, &channel);
                }
            }
            Event::Drained { client, conn } => self.drained(client, conn),
            Event::Audit => self.audit(),
        }
    }

    /// The channels that have been quiet are compared with the broker, epoch and head only.
    fn audit(&mut self) {
        for hub in 0..2 {
            let names: Vec<_> = self.shells[hub].watches.keys().cloned().collect();
            for channel in names {
                let truly = self.broker.current(&channel).map(|(epoch, history)| (epoch, history.seq()));
                let shell = &mut self.shells[hub];
                let head = shell.hub.head(&channel).and_then(|(epoch, seq)| Some((epoch?, seq.get())));
                let watch = shell.watches.get_mut(&channel).expect("it is listed");
                watch.has_lost &= head != truly;
                if head != truly && (watch.has_lost || watch.newest_at + AUDIT_EVERY < self.now) {
                    watch.wants_read = true;
                    self.read(hub, &channel);
                }
            }
        }
        self.at(self.now + AUDIT_EVERY, Event::Audit);
    }

    fn delay(&mut self, hub: usize, ms: u64) -> u64 {
        self.shells[hub].random.range(100, ms * 1_000)
    }

    /// One read of a channel at a time; what is asked for meanwhile is merged into the next one.
    fn read(&mut self, hub: usize, channel: &ChannelName) {
        let delay = self.delay(hub, self.plan.net.read_ms);
        let read = self.shells[hub].polled(channel);
        let is_up = self.upstream == UpstreamStatus::Up;
        let Some(watch) = self.shells[hub].watches.get_mut(channel) else { return };
        if !watch.wants_read || watch.is_reading || !watch.is_subscribed || !is_up {
            return;
        }
        (watch.is_reading, watch.wants_read) = (true, false);
        let life = watch.life;
        self.at(self.now + delay, Event::Read { hub, channel: channel.clone(), life, read });
    }

    fn subscribe_upstream(&mut self, hub: usize, channel: ChannelName) {
        let delay = self.delay(hub, self.plan.net.read_ms);
        if let Some(watch) = self.shells[hub].watches.get(&channel) {
            let life = watch.life;
            self.at(self.now + delay, Event::Subscribed { hub, channel, life });
        }
    }

    fn message(&mut self, hub: usize, record: &Arc<Shared<ChannelRecord>>) {
        let value = record.value();
        self.say(|| {
            format!(
                "hub {hub}: {} {} {}..{}",
                value.channel, value.record.epoch, value.record.from, value.record.to
            )
        });
        let key = (value.record.epoch.clone(), value.record.to.get());
        let delivered = self.shells[hub].delivered.entry(value.channel.clone()).or_default();
        delivered.records.entry(key).or_insert(self.now);
        let now = self.time();
        self.shells[hub].hub.handle_record(now, record);
    }

    fn publish(&mut self, channel: usize, publish: Publish) {
        let name = name(channel);
        let record = self.broker.publish(&name, publish, &mut self.random);
        let epoch = record.epoch.clone();
        let to = record.to.get();
        let shared = |record: Record| Arc::new(Shared::new(ChannelRecord { channel: name.clone(), record }));
        let net = self.plan.net;
        let straddling = {
            let from = record.from.get().saturating_sub(self.random.range(1, 5)).max(1);
            let current = self.broker.current(&name).filter(|(_, history)| {
                // One of counts only has its state last, and cannot be merged with what came before.
                (from..=to).all(|seq| history.records[seq as usize - 1].1.is_none())
            });
            current.map(|(epoch, history)| shared(history.record(epoch, from, to)))
        };
        let foreign = Epoch::new("foreign").unwrap();
        let foreign = shared(Record {
            epoch: foreign,
            from: Seq::ZERO.plus(7),
            to: Seq::ZERO.plus(7),
            ..record.clone()
        });
        let record = shared(record);
        for hub in 0..2 {
            let far = self.delay(hub, 4_000);
            let delay = self.delay(hub, net.message_ms[hub]);
            let fate = self.shells[hub].random.clone();
            self.shells[hub].random.next();
            let mut fate = fate;
            let Some(watch) = self.shells[hub].watches.get_mut(&name) else { continue };
            if self.upstream == UpstreamStatus::Down || !watch.is_subscribed {
                watch.has_lost = true;
                continue;
            }
            let at = watch.newest_at.max(self.now + delay);
            let far = self.now + far;
            watch.newest_at = at;
            let mut send = |record: &Arc<_>, at| self.queued_message(hub, record, at);
            if fate.chance(net.lost) {
                send(&record, None);
            } else if fate.chance(net.late) {
                send(&record, None);
                send(&record, Some(far));
            } else if let Some(straddling) = straddling.as_ref().filter(|_| fate.chance(net.straddling)) {
                send(&record, None);
                send(straddling, Some(at));
            } else {
                send(&record, Some(at));
                if fate.chance(net.twice) {
                    send(&record, Some(far));
                }
            }
            if fate.chance(net.foreign) {
                send(&foreign, Some(at));
            }
            debug_assert!(self.broker.history(&name, &epoch).is_some());
        }
    }

    fn queued_message(&mut self, hub: usize, record: &Arc<Shared<ChannelRecord>>, at: Option<u64>) {
        match at {
            Some(at) => self.at(at, Event::Message { hub, record: Arc::clone(record) }),
            None => {
                let watch = self.shells[hub].watches.get_mut(&record.value().channel);
                watch.expect("the caller saw that it is watched").has_lost = true;
            }
        }
    }
}
