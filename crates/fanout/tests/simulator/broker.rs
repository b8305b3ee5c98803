//! The truth: every event that the broker ever numbered, by channel and epoch, with totals and newest state at each seq.

use crate::random::Random;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tally_protocol::{
    Body, ChannelName, Class, Epoch, Kind, Prev, RawJson, Record, RecordEvent, Seq, Snapshot, State, Totals,
    UnixMs, Why,
};

/// One event as it was published. Without data: it came as a count only.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) sent_as: Option<Kind>,
    pub(crate) class: Class,
    pub(crate) at: UnixMs,
    pub(crate) data: Option<RawJson>,
}

/// One numbering of a channel, from its first event: what came before a `prev` is in it as well.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) prev: Option<Prev>,
    pub(crate) events: Vec<Arc<Event>>,
    /// At each seq, beginning with 0.
    pub(crate) totals: Vec<Totals>,
    /// The seq of the newest state event at each seq; 0 where there is none.
    states: Vec<u64>,
    /// The first seq of the record that each event came in, and the why of a counts-only record.
    pub(crate) records: Vec<(u64, Option<Why>)>,
}

impl History {
    fn new() -> Self {
        Self { prev: None, events: vec![], totals: vec![Totals::new()], states: vec![0], records: vec![] }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn event(&self, seq: u64) -> &Event {
        &self.events[seq as usize - 1]
    }

    /// The newest state event up to `seq`.
    pub(crate) fn state(&self, seq: u64) -> Option<State> {
        let at = self.states[seq as usize];
        let event = (at > 0).then(|| self.event(at))?;
        Some(State {
            seq: Seq::new(at).unwrap(),
            kind: event.kind.clone(),
            sent_as: event.sent_as.clone(),
            at: event.at,
            data: event.data.clone().unwrap(),
        })
    }

    fn push(&mut self, event: Event, from: u64, why: Option<Why>) {
        let mut totals = self.totals[self.events.len()].clone();
        totals.add(&event.kind, 1);
        self.totals.push(totals);
        let newest = self.states[self.events.len()];
        let is_state = event.class == Class::State && event.data.is_some();
        self.states.push(if is_state { self.seq() + 1 } else { newest });
        self.records.push((from, why));
        self.events.push(Arc::new(event));
    }

    /// A record of what lies from `from` to `to`; its boundaries need not be those it was published with.
    pub(crate) fn record(&self, epoch: &Epoch, from: u64, to: u64) -> Record {
        let mut counts = Totals::new();
        for seq in from..=to {
            counts.add(&self.event(seq).kind, 1);
        }
        let why = (from..=to).find_map(|seq| self.records[seq as usize - 1].1);
        let body = match why {
            Some(why) => Body::Counts { why, state: self.state(to).filter(|state| state.seq.get() == to) },
            None => Body::Events((from..=to).map(|seq| record_event(self.event(seq))).collect()),
        };
        let seq = |seq| Seq::new(seq).unwrap();
        let (from, to) = (seq(from), seq(to));
        Record { epoch: epoch.clone(), from, to, sent_at: UnixMs::new(0), counts, body }
    }
}

fn record_event(event: &Event) -> RecordEvent {
    RecordEvent {
        kind: event.kind.clone(),
        sent_as: event.sent_as.clone(),
        class: event.class,
        at: event.at,
        data: event.data.clone().unwrap(),
    }
}

/// What a publish is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish {
    pub(crate) events: u64,
    pub(crate) data_bytes: u64,
    pub(crate) kinds: u64,
    /// Percent of the events that are of class state.
    pub(crate) states: u64,
    pub(crate) counts: Option<Why>,
}

#[derive(Debug, Default)]
pub(crate) struct Broker {
    channels: BTreeMap<ChannelName, BrokerChannel>,
    epochs: u64,
}

#[derive(Debug, Default)]
struct BrokerChannel {
    now: Option<Epoch>,
    histories: BTreeMap<Epoch, History>,
}

impl Broker {
    pub(crate) fn history(&self, channel: &ChannelName, epoch: &Epoch) -> Option<&History> {
        self.channels.get(channel)?.histories.get(epoch)
    }

    pub(crate) fn current(&self, channel: &ChannelName) -> Option<(&Epoch, &History)> {
        let held = self.channels.get(channel)?;
        let epoch = held.now.as_ref()?;
        Some((epoch, &held.histories[epoch]))
    }

    pub(crate) fn epochs_of(&self, channel: &ChannelName) -> usize {
        self.channels.get(channel).map_or(0, |held| held.histories.len())
    }

    pub(crate) fn snapshot(&self, channel: &ChannelName) -> Option<Snapshot> {
        let (epoch, history) = self.current(channel)?;
        Some(Snapshot {
            epoch: epoch.clone(),
            prev: history.prev.clone(),
            seq: Seq::new(history.seq()).unwrap(),
            totals: history.totals[history.events.len()].clone(),
            state: history.state(history.seq()),
        })
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::new(&format!("e{}", self.epochs)).unwrap()
    }

    /// Numbers events and gives the record that goes out.
    pub(crate) fn publish(&mut self, channel: &ChannelName, publish: Publish, random: &mut Random) -> Record {
        let fresh = self.next_epoch();
        let held = self.channels.entry(channel.clone()).or_default();
        let epoch = held.now.get_or_insert(fresh).clone();
        let history = held.histories.entry(epoch.clone()).or_insert_with(History::new);
        let from = history.seq() + 1;
        let state_last = publish.counts.is_some() && random.chance(publish.states);
        for i in 0..publish.events {
            let is_last_state = state_last && i + 1 == publish.events;
            let class = match publish.counts {
                Some(_) if is_last_state => Class::State,
                None if random.chance(publish.states) => Class::State,
                _ => Class::Bulk,
            };
            let has_data = publish.counts.is_none() || is_last_state;
            let wanted = Kind::new(&format!("k{}", random.below(publish.kinds))).unwrap();
            let (kind, sent_as) = fold(&history.totals[history.events.len()], wanted);
            let bytes = if random.chance(5) { publish.data_bytes * 4 } else { publish.data_bytes };
            let data = format!("\"{}{}\"", history.seq() + 1, "x".repeat(random.below(bytes) as usize));
            let data = has_data.then(|| RawJson::new(&Bytes::from(data)).unwrap());
            let at = UnixMs::new(random.below(1_000_000));
            history.push(Event { kind, sent_as, class, at, data }, from, publish.counts);
        }
        history.record(&epoch, from, history.seq())
    }

    /// A restart from a dump that lacks the newest `lost` events: a new epoch that goes on from there.
    pub(crate) fn fail_over(&mut self, channel: &ChannelName, lost: u64) {
        let fresh = self.next_epoch();
        let Some((epoch, history)) = self.current(channel) else { return };
        let keep = history.seq().saturating_sub(lost) as usize;
        // A dump never ends inside a record.
        let keep = if keep == 0 || keep == history.events.len() {
            keep
        } else {
            history.records[keep].0 as usize - 1
        };
        let prev = Prev { epoch: epoch.clone(), seq: Seq::new(keep as u64).unwrap() };
        let next = History {
            prev: Some(prev),
            events: history.events[..keep].to_vec(),
            totals: history.totals[..=keep].to_vec(),
            states: history.states[..=keep].to_vec(),
            records: history.records[..keep].to_vec(),
        };
        let held = self.channels.get_mut(channel).unwrap();
        held.histories.insert(fresh.clone(), next);
        held.now = Some(fresh);
    }

    /// The broker restarts empty, or the channel expires.
    pub(crate) fn vanish(&mut self, channel: &ChannelName) {
        if let Some(held) = self.channels.get_mut(channel) {
            held.now = None;
        }
    }

    /// How a cursor of one epoch stands in another.
    pub(crate) fn relation(&self, channel: &ChannelName, from: &Epoch, cursor: u64, to: &Epoch) -> Relation {
        if from == to {
            return Relation::Same;
        }
        let (mut at, mut floor, mut hops) = (to.clone(), u64::MAX, 0);
        while let Some(prev) = self.history(channel, &at).and_then(|history| history.prev.as_ref()) {
            (floor, hops) = (floor.min(prev.seq.get()), hops + 1);
            if prev.epoch == *from {
                return match (cursor <= floor, hops) {
                    (false, _) => Relation::Broken,
                    (true, 1) => Relation::Continues,
                    (true, _) => Relation::ContinuesOverSeveral,
                };
            }
            at = prev.epoch.clone();
        }
        Relation::Broken
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Same,
    /// Directly under `prev`: must go on.
    Continues,
    /// Exact, but over epochs that a hub may have missed: may go on.
    ContinuesOverSeveral,
    Broken,
}

/// The 65th kind of a channel and those after it are tallied as `_other`.
fn fold(totals: &Totals, wanted: Kind) -> (Kind, Option<Kind>) {
    let own = totals.iter().filter(|(kind, _)| **kind != Kind::other()).count();
    if totals.get(wanted.as_str()) > 0 || own < 64 { (wanted, None) } else { (Kind::other(), Some(wanted)) }
}
