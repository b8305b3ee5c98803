//! Events without a number: what foreign programs published goes to listeners at `full` with room, outside every ledger.
//!
//! Bounded: for each connection [`UNNUMBERED_BYTES_MAX`] wait, and each subscription gets no more of them per second than
//! its `max_rate`. Beyond, a message is dropped for that listener, and its next frame says how many were. Listeners on a
//! reduced rung cost nothing: messages of a channel are numbered, and what they missed is a difference.

use super::Hub;
use crate::limits::UNNUMBERED_BYTES_MAX;
use crate::output::Output;
use crate::shared::Shared;
use crate::throttle::Bucket;
use crate::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use tally_protocol::{Rung, Unnumbered};

/// What a channel has had of them.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The number of the newest one; 0 before the first.
    newest: u64,
}

/// One subscription's part in them.
#[derive(Debug)]
pub(crate) struct Share {
    /// The number up to which it was told of them, or before which it came.
    told: u64,
    bucket: Bucket,
}

impl Share {
    pub(crate) fn new(rate: u64, now: Time) -> Self {
        Self { told: 0, bucket: Bucket::new(rate, now) }
    }

    pub(crate) fn change_rate(&mut self, rate: u64, now: Time) {
        self.bucket.change_rate(rate, now);
    }

    /// Before its attach it is owed nothing.
    pub(crate) fn attach(&mut self, passed: &Passed) {
        self.told = passed.newest;
    }
}

/// What waits for one connection.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    messages: VecDeque<Message>,
    bytes: u64,
}

#[derive(Debug)]
struct Message {
    sub: u32,
    number: u64,
    frame: Arc<Shared<Unnumbered>>,
}

impl Waiting {
    /// A subscription that has ended gets nothing more.
    pub(crate) fn forget(&mut self, sub: u32) {
        self.messages.retain(|message| message.sub != sub);
        self.bytes = self.messages.iter().map(Message::weight).sum();
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.weight();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }
}

impl Message {
    fn weight(&self) -> u64 {
        weight(self.frame.value())
    }
}

fn weight(frame: &Unnumbered) -> u64 {
    frame.events.iter().map(|event| event.len() as u64).sum::<u64>() + crate::limits::RECORD_OVERHEAD_BYTES
}

impl Hub {
    /// Something without a number came on a watched channel. `number` counts the channel's own from 1; numbers that are
    /// left out were lost before they came here. The frame's `dropped` is that of a listener who missed nothing: 0.
    pub fn handle_unnumbered(&mut self, now: Time, number: u64, frame: &Arc<Shared<Unnumbered>>) {
        let Some(channel) = self.names.get(&frame.value().channel).copied() else { return };
        let held = &mut self.channels[channel];
        if held.unnumbered.newest == 0 {
            // What came before this hub listened is nothing that its listeners missed.
            held.unnumbered.newest = number - 1;
            let listeners = held.unattached.iter().chain(&held.full).chain(held.reduced.iter().flatten());
            for sub in listeners {
                self.subs[*sub].unnumbered.told = number - 1;
            }
        }
        held.unnumbered.newest = number;
        for at in 0..self.channels[channel].full.len() {
            let sub = self.channels[channel].full[at];
            self.offer(sub, number, frame, now);
        }
    }

    /// Queues it for a listener with room; for any other it is dropped.
    fn offer(&mut self, sub: u32, number: u64, frame: &Arc<Shared<Unnumbered>>, now: Time) {
        let held = &mut self.subs[sub];
        let conn = &mut self.conns[held.conn];
        let due = conn.owed + conn.unnumbered.bytes;
        let has_room = due == 0 || due + weight(frame.value()) <= UNNUMBERED_BYTES_MAX;
        if conn.blocked_at.is_some() || !has_room || !held.unnumbered.bucket.can_pay(1, now) {
            return;
        }
        held.unnumbered.bucket.pay(1);
        conn.unnumbered.push(Message { sub, number, frame: Arc::clone(frame) });
        let conn = held.conn;
        self.wake(conn);
    }

    /// The next one that waits, for a connection with nothing else due.
    pub(super) fn next_unnumbered(&mut self, conn: u32) -> Option<Output> {
        loop {
            let message = self.conns[conn].unnumbered.pop()?;
            if self.effective_rung(message.sub) != Rung::Full {
                continue;
            }
            let told = std::mem::replace(&mut self.subs[message.sub].unnumbered.told, message.number);
            let dropped = message.number.saturating_sub(told + 1);
            self.counters.unnumbered_delivered += 1;
            self.counters.unnumbered_dropped += dropped;
            if dropped == 0 {
                return Some(Output::Unnumbered(message.frame));
            }
            let frame = Unnumbered { dropped, ..message.frame.value().clone() };
            return Some(Output::Unnumbered(Arc::new(Shared::new(frame))));
        }
    }
}

#[cfg(test)]
mod tests;
