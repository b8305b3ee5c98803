//! The stream of what arrives at one node, and the bounded queue behind it.
//!
//! The queue is Law 3 and Law 4 at this seam: whoever publishes never waits for a node. A message that has no room is
//! dropped, and a gap stands in its place. While a channel's gap waits, further messages of that channel are dropped
//! too: the snapshot that is read because of the gap is newer than all of them.

use crate::Incoming;
use crate::limits::MESSAGE_COST;
use bytes::Bytes;
use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tally_protocol::ChannelName;
use tokio::sync::Notify;

/// What arrives at one node. Dropping it ends the node's subscriptions.
pub struct Stream {
    queue: Arc<Queue>,
    /// Ends the subscriptions when it is dropped.
    _link: Box<dyn Any + Send + Sync>,
}

impl Stream {
    pub(crate) fn new(queue: Arc<Queue>, link: impl Any + Send + Sync) -> Self {
        Self { queue, _link: Box::new(link) }
    }

    /// The next arrival, in the order published within each channel; `None` when the node is gone and everything
    /// was taken. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.queue.pop() {
                Popped::Incoming(incoming) => return Some(incoming),
                Popped::Closed => return None,
                Popped::Empty => self.queue.arrived.notified().await,
            }
        }
    }
}

impl Stream {
    /// As [`Stream::next`], but everything that is there, at most `max`; false when the node is gone and everything
    /// was taken.
    pub async fn next_batch(&mut self, max: usize, into: &mut Vec<Incoming>) -> bool {
        loop {
            match self.queue.pop_batch(max, into) {
                Taken::Some => return true,
                Taken::Closed => return false,
                Taken::None => self.queue.arrived.notified().await,
            }
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("queue", &self.queue).finish_non_exhaustive()
    }
}

enum Popped {
    Incoming(Incoming),
    Empty,
    Closed,
}

enum Taken {
    Some,
    None,
    Closed,
}

/// What waits for one node: messages within their limits, at most one gap per subscribed channel, and at most two
/// changes of the link.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    bytes_max: usize,
    messages_max: usize,
    /// Messages that never came here.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    /// By their place among the messages.
    gaps: BTreeMap<u64, ChannelName>,
    /// The place of a channel's gap; the other direction of `gaps`.
    gapped: HashMap<ChannelName, u64>,
    /// Changes of the link by their place: none, one, or a down and an up.
    links: VecDeque<(u64, LinkChange)>,
    /// The place of what comes next: messages and gaps leave in the order they came.
    place: u64,
    closed: bool,
}

#[derive(Debug)]
enum LinkChange {
    Up,
    Down(String),
}

#[derive(Debug)]
struct Message {
    place: u64,
    channel: ChannelName,
    payload: Bytes,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, messages_max: usize) -> Self {
        let (waiting, lost) = (Mutex::default(), AtomicU64::new(0));
        Self { waiting, arrived: Notify::new(), bytes_max, messages_max, lost }
    }

    /// Never waits: what has no room leaves a gap. A closed queue takes nothing.
    pub(crate) fn push(&self, channel: &ChannelName, payload: &Bytes) {
        let mut waiting = self.lock();
        if waiting.closed || waiting.gapped.contains_key(channel) {
            return;
        }
        let cost = payload.len() + MESSAGE_COST;
        let has_room = waiting.bytes + cost <= self.bytes_max && waiting.messages.len() < self.messages_max;
        if has_room {
            let place = waiting.take_place();
            waiting.bytes += cost;
            waiting.messages.push_back(Message { place, channel: channel.clone(), payload: payload.clone() });
        } else {
            waiting.add_gap(channel);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Messages of the channel were lost before they came here.
    pub(crate) fn push_gap(&self, channel: &ChannelName) {
        let mut waiting = self.lock();
        if waiting.closed || waiting.gapped.contains_key(channel) {
            return;
        }
        waiting.add_gap(channel);
        drop(waiting);
        self.arrived.notify_one();
    }

    pub(crate) fn count_lost(&self, messages: u64) {
        self.lost.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The link is up.
    pub(crate) fn push_up(&self) {
        let mut waiting = self.lock();
        if waiting.closed || matches!(waiting.links.back(), Some((_, LinkChange::Up))) {
            return;
        }
        let place = waiting.take_place();
        waiting.links.push_back((place, LinkChange::Up));
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The link is down. An up that nobody has read is forgotten, so that a reader who stays away finds no more than
    /// a down and an up.
    pub(crate) fn push_down(&self, reason: String) {
        let mut waiting = self.lock();
        if waiting.closed {
            return;
        }
        if matches!(waiting.links.back(), Some((_, LinkChange::Up))) {
            waiting.links.pop_back();
        }
        if let Some((_, LinkChange::Down(waiting))) = waiting.links.back_mut() {
            *waiting = reason;
        } else {
            let place = waiting.take_place();
            waiting.links.push_back((place, LinkChange::Down(reason)));
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Forgets a channel's gap, which nobody needs once the channel is not subscribed: so gaps are bounded by
    /// subscriptions.
    pub(crate) fn forget_gap(&self, channel: &ChannelName) {
        let mut waiting = self.lock();
        if let Some(place) = waiting.gapped.remove(channel) {
            waiting.gaps.remove(&place);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Nothing more is taken; what waits may still be read.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    fn pop(&self) -> Popped {
        self.lock().pop()
    }

    fn pop_batch(&self, max: usize, into: &mut Vec<Incoming>) -> Taken {
        let mut waiting = self.lock();
        for n in 0..max {
            match waiting.pop() {
                Popped::Incoming(incoming) => into.push(incoming),
                Popped::Empty if n == 0 => return Taken::None,
                Popped::Closed if n == 0 => return Taken::Closed,
                Popped::Empty | Popped::Closed => break,
            }
        }
        Taken::Some
    }

    /// Every step under the lock leaves the queue whole, so a poisoned lock is of no concern.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn pop(&mut self) -> Popped {
        if self.gaps.is_empty()
            && self.links.is_empty()
            && let Some(message) = self.messages.pop_front()
        {
            return self.hand_out(message);
        }
        let message_place = self.messages.front().map(|message| message.place);
        let gap_place = self.gaps.first_key_value().map(|(place, _)| *place);
        let link_place = self.links.front().map(|(place, _)| *place);
        let Some(next) = [message_place, gap_place, link_place].into_iter().flatten().min() else {
            return if self.closed { Popped::Closed } else { Popped::Empty };
        };
        if link_place == Some(next) {
            let (_, change) = self.links.pop_front().expect("its place was just read");
            return Popped::Incoming(match change {
                LinkChange::Up => Incoming::Up,
                LinkChange::Down(reason) => Incoming::Down { reason },
            });
        }
        if gap_place == Some(next) {
            let (_, channel) = self.gaps.pop_first().expect("its place was just read");
            self.gapped.remove(&channel);
            return Popped::Incoming(Incoming::Gap { channel });
        }
        let message = self.messages.pop_front().expect("its place was just read");
        self.hand_out(message)
    }

    fn hand_out(&mut self, message: Message) -> Popped {
        let Message { channel, payload, .. } = message;
        self.bytes -= payload.len() + MESSAGE_COST;
        Popped::Incoming(Incoming::Message { channel, payload })
    }

    fn take_place(&mut self) -> u64 {
        self.place += 1;
        self.place - 1
    }

    fn add_gap(&mut self, channel: &ChannelName) {
        let place = self.take_place();
        self.gaps.insert(place, channel.clone());
        self.gapped.insert(channel.clone(), place);
    }
}

#[cfg(test)]
mod tests;
