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

/// What waits for one node: messages within their limits, and at most one gap per subscribed channel.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    bytes_max: usize,
    messages_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    /// By their place among the messages.
    gaps: BTreeMap<u64, ChannelName>,
    /// The place of a channel's gap; the other direction of `gaps`.
    gapped: HashMap<ChannelName, u64>,
    /// The place of what comes next: messages and gaps leave in the order they came.
    place: u64,
    closed: bool,
}

#[derive(Debug)]
struct Message {
    place: u64,
    channel: ChannelName,
    payload: Bytes,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, messages_max: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), bytes_max, messages_max }
    }

    /// Never waits: what has no room leaves a gap. A closed queue takes nothing.
    pub(crate) fn push(&self, channel: &ChannelName, payload: &Bytes) {
        let mut waiting = self.lock();
        if waiting.closed || waiting.gapped.contains_key(channel) {
            return;
        }
        let cost = payload.len() + MESSAGE_COST;
        let has_room = waiting.bytes + cost <= self.bytes_max && waiting.messages.len() < self.messages_max;
        let place = waiting.place;
        waiting.place += 1;
        if has_room {
            waiting.bytes += cost;
            waiting.messages.push_back(Message { place, channel: channel.clone(), payload: payload.clone() });
        } else {
            waiting.gaps.insert(place, channel.clone());
            waiting.gapped.insert(channel.clone(), place);
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
        let mut waiting = self.lock();
        let message_place = waiting.messages.front().map(|message| message.place);
        let gap_place = waiting.gaps.first_key_value().map(|(place, _)| *place);
        let gap_is_next = match (message_place, gap_place) {
            (None, None) if waiting.closed => return Popped::Closed,
            (None, None) => return Popped::Empty,
            (message, Some(gap)) => message.is_none_or(|message| gap < message),
            (Some(_), None) => false,
        };
        if gap_is_next {
            let (_, channel) = waiting.gaps.pop_first().expect("its place was just read");
            waiting.gapped.remove(&channel);
            return Popped::Incoming(Incoming::Gap { channel });
        }
        let Message { channel, payload, .. } = waiting.messages.pop_front().expect("its place was just read");
        waiting.bytes -= payload.len() + MESSAGE_COST;
        Popped::Incoming(Incoming::Message { channel, payload })
    }

    /// Every step under the lock leaves the queue whole, so a poisoned lock is of no concern.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
