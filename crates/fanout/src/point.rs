//! A channel as it was at one moment, with the counts frames made of it: one for each form, shared by all listeners.

use crate::shared::Shared;
use crate::time::Time;
use std::sync::Arc;
use tally_protocol::{ChannelName, Counts, Epoch, Seq, State, TailEvent, Totals, Why};

/// The totals at a seq. Bounded: at most one frame for each why, with or without state, and length of the tail.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
    pub(crate) totals: Totals,
    pub(crate) state: Option<State>,
    /// The newest events up to `seq`, for those who asked for a tail.
    pub(crate) tail: Vec<TailEvent>,
    /// The log entry that follows.
    pub(crate) next: u64,
    pub(crate) made_at: Time,
    /// The hub's count of ticks when it was made by one.
    pub(crate) tick: u64,
    frames: Vec<(Form, Arc<Shared<Counts>>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    why: Why,
    with_state: bool,
    /// `None`: no tail was asked for.
    tail_len: Option<usize>,
}

impl Point {
    pub(crate) fn new(
        epoch: Epoch,
        seq: Seq,
        totals: Totals,
        state: Option<State>,
        next: u64,
        made_at: Time,
    ) -> Self {
        Self { epoch, seq, totals, state, tail: Vec::new(), next, made_at, tick: 0, frames: Vec::new() }
    }

    /// The counts frame for a cursor before this point: state and tail ride only as far as they are new to it.
    pub(crate) fn frame(
        &mut self,
        channel: &ChannelName,
        cursor: Seq,
        why: Why,
        wants_tail: bool,
    ) -> Arc<Shared<Counts>> {
        let form = Form {
            why,
            with_state: self.state.as_ref().is_some_and(|state| cursor < state.seq && state.seq <= self.seq),
            tail_len: wants_tail.then(|| self.tail.iter().filter(|event| event.seq > cursor).count()),
        };
        if let Some((_, frame)) = self.frames.iter().find(|(made, _)| *made == form) {
            return Arc::clone(frame);
        }
        let frame = Arc::new(Shared::new(Counts {
            channel: channel.clone(),
            epoch: self.epoch.clone(),
            seq: self.seq,
            totals: self.totals.clone(),
            why,
            state: self.state.clone().filter(|_| form.with_state),
            tail: form.tail_len.map(|len| self.tail[self.tail.len() - len..].to_vec()),
        }));
        self.frames.push((form, Arc::clone(&frame)));
        frame
    }
}
