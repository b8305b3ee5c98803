//! One part of the broker under one lock: channels by name, who subscribed to them, and what expires next.
//!
//! A publish call is one step under this lock: decided, written, and put into every subscriber's queue before the next
//! one begins, so that the order of a channel's messages is the order of its numbers.

use super::call::Call;
use super::channel::{Channel, Plan};
use crate::limits::Limits;
use crate::stream::Queue;
use crate::{Head, Refusal};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tally_protocol::{ChannelName, Heard, Published, Snapshot};
use tokio::time::Instant;

/// Channels whose expiry one sweep looks at.
const SWEEP_MAX: usize = 4;

/// What all shards hold together, against the broker's limits.
#[derive(Debug)]
pub(super) struct Account {
    limits: Limits,
    pub(super) channels: AtomicUsize,
    pub(super) bytes: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    channels: HashMap<ChannelName, Held>,
    /// When to look at a channel next; one entry for each.
    expiries: BTreeSet<(Instant, ChannelName)>,
    /// No entry is empty. Bounded by what nodes subscribe to.
    subscribers: HashMap<ChannelName, Vec<Arc<Queue>>>,
}

#[derive(Debug)]
struct Held {
    channel: Channel,
    /// Its entry in `expiries`: never later than its next expiry.
    look_at: Instant,
}

impl Account {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, channels: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    pub(super) fn is_out_of_channels(&self) -> bool {
        self.channels.load(Ordering::Relaxed) >= self.limits.channels_max
    }

    fn charge_channel(&self) -> Result<(), Refusal> {
        let max = self.limits.channels_max;
        charge(&self.channels, 1, max).then_some(()).ok_or(Refusal::TooManyChannels(max))
    }

    fn charge_bytes(&self, bytes: usize) -> Result<(), Refusal> {
        let max = self.limits.bytes_max;
        charge(&self.bytes, bytes, max).then_some(()).ok_or(Refusal::BrokerFull(max))
    }

    fn release_channel(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    fn release_bytes(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Adds only what fits; adding nothing always fits.
fn charge(held: &AtomicUsize, more: usize, max: usize) -> bool {
    let fits = |held: usize| held.checked_add(more).filter(|sum| more == 0 || *sum <= max);
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

impl Shard {
    /// # Errors
    /// [`Refusal`]; then nothing was written.
    pub(super) fn publish(
        &mut self,
        call: Call,
        account: &Account,
        now: Instant,
    ) -> Result<Published, Refusal> {
        let name = call.channel.clone();
        self.expire(&name, account, now);
        let heard = self.heard(&name);
        let mut fresh = None;
        let channel = match self.channels.get_mut(&name) {
            Some(held) => {
                // Before anything is remembered, so that it goes into the generation of now.
                account.release_bytes(held.channel.expire_producers(now));
                &mut held.channel
            }
            None => fresh.insert(Channel::new(call.epoch.clone(), now)),
        };
        let numbering = match channel.plan(&call)? {
            Plan::Repeated(first) => return Ok(first),
            Plan::Publish(numbering) => numbering,
        };
        account.charge_bytes(numbering.growth)?;
        if channel.is_new()
            && let Err(refusal) = account.charge_channel()
        {
            account.release_bytes(numbering.growth);
            return Err(refusal);
        }
        let (published, records, released) = channel.apply(call, numbering, heard, now);
        account.release_bytes(released);
        let next_expiry = channel.next_expiry();
        if let Some(channel) = fresh {
            self.channels.insert(name.clone(), Held { channel, look_at: next_expiry });
            self.expiries.insert((next_expiry, name.clone()));
        } else {
            self.look_by(&name, next_expiry);
        }
        self.deliver(&name, &records);
        Ok(published)
    }

    /// Every live node counts, also one whose queue is full.
    fn heard(&self, name: &ChannelName) -> Heard {
        let queues = self.subscribers.get(name).map_or(&[][..], Vec::as_slice);
        if queues.iter().any(|queue| !queue.is_closed()) { Heard::Yes } else { Heard::No }
    }

    fn deliver(&self, name: &ChannelName, records: &[Bytes]) {
        for queue in self.subscribers.get(name).into_iter().flatten() {
            for record in records {
                queue.push(name, record);
            }
        }
    }

    pub(super) fn snapshot(
        &mut self,
        name: &ChannelName,
        account: &Account,
        now: Instant,
    ) -> Option<Snapshot> {
        self.expire(name, account, now);
        self.channels.get(name).map(|held| held.channel.snapshot())
    }

    /// Renews the channel's expiry.
    pub(super) fn audit(&mut self, name: &ChannelName, account: &Account, now: Instant) -> Option<Head> {
        self.expire(name, account, now);
        self.channels.get_mut(name).map(|held| held.channel.audit(now))
    }

    /// `false` where the node is gone.
    pub(super) fn subscribe(&mut self, name: &ChannelName, queue: &Arc<Queue>) -> bool {
        if queue.is_closed() {
            return false;
        }
        let queues = self.subscribers.entry(name.clone()).or_default();
        if !queues.iter().any(|known| Arc::ptr_eq(known, queue)) {
            queues.push(queue.clone());
        }
        true
    }

    pub(super) fn unsubscribe(&mut self, name: &ChannelName, queue: &Arc<Queue>) {
        if let Some(queues) = self.subscribers.get_mut(name) {
            queues.retain(|known| !Arc::ptr_eq(known, queue));
            if queues.is_empty() {
                self.subscribers.remove(name);
            }
        }
        queue.forget_gap(name);
    }

    /// Ends all subscriptions of a node.
    pub(super) fn unsubscribe_all(&mut self, queue: &Arc<Queue>) {
        self.subscribers.retain(|_, queues| {
            queues.retain(|known| !Arc::ptr_eq(known, queue));
            !queues.is_empty()
        });
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.subscribers.values().map(Vec::len).sum()
    }

    #[cfg(test)]
    pub(super) fn counted_bytes(&self) -> usize {
        self.channels.values().map(|held| held.channel.counted_bytes()).sum()
    }

    #[cfg(feature = "conformance")]
    pub(super) fn forget_producers(&mut self, name: &ChannelName, account: &Account) {
        if let Some(held) = self.channels.get_mut(name) {
            account.release_bytes(held.channel.forget_producers());
        }
    }

    /// Looks at the channels that are due, a bounded number of them.
    pub(super) fn sweep(&mut self, account: &Account, now: Instant) {
        for _ in 0..SWEEP_MAX {
            match self.expiries.first() {
                Some((at, name)) if *at <= now => {
                    let name = name.clone();
                    self.expire(&name, account, now);
                }
                _ => return,
            }
        }
    }

    /// Drops what has expired of a channel, which may be all of it.
    fn expire(&mut self, name: &ChannelName, account: &Account, now: Instant) {
        let Some(held) = self.channels.get_mut(name) else { return };
        if now < held.look_at {
            return;
        }
        self.expiries.remove(&(held.look_at, name.clone()));
        if held.channel.is_expired(now) {
            account.release_bytes(held.channel.bytes());
            account.release_channel();
            self.channels.remove(name);
            return;
        }
        account.release_bytes(held.channel.expire_producers(now));
        held.look_at = held.channel.next_expiry();
        self.expiries.insert((held.look_at, name.clone()));
    }

    /// Makes sure that the channel is looked at no later than `at`.
    fn look_by(&mut self, name: &ChannelName, at: Instant) {
        let held = self.channels.get_mut(name).expect("the caller has just published to it");
        if at < held.look_at {
            self.expiries.remove(&(held.look_at, name.clone()));
            held.look_at = at;
            self.expiries.insert((at, name.clone()));
        }
    }
}
