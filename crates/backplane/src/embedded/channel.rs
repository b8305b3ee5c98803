//! One channel as the broker holds it: numbering, totals, state, and what it remembers of producers.
//!
//! A publish call is judged and planned first, without a write, and then applied, which cannot fail.

use super::call::Call;
use super::producers::{Judgement, Producers};
use crate::limits::{CHANNEL_COST, CHANNEL_EXPIRY, KIND_COST, PRODUCER_COST, STATE_COST};
use crate::{Head, Refusal};
use bytes::Bytes;
use tally_protocol::{
    CHANNEL_KINDS_MAX, DraftState, Epoch, Heard, Kind, Published, Seq, Snapshot, State, Totals,
};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Channel {
    epoch: Epoch,
    seq: Seq,
    /// Adds up to `seq`. A kind in it keeps its place; once 64 are in, further ones are folded: nothing ever leaves.
    totals: Totals,
    state: Option<State>,
    producers: Producers,
    /// The last publish or audit.
    touched: Instant,
    /// What it is charged with.
    bytes: usize,
}

/// What a call would do, decided without a write.
#[derive(Debug)]
pub(super) enum Plan {
    /// It was published before, with this result.
    Repeated(Published),
    Publish(Numbering),
}

/// How a call will be numbered.
#[derive(Debug)]
pub(super) struct Numbering {
    to: Seq,
    /// For each draft the ascending indexes of its kinds that are folded.
    folded: Vec<Vec<u16>>,
    /// Bytes that the channel will grow by before anything is released.
    pub(super) growth: usize,
}

impl Channel {
    /// Nothing published yet, and nothing charged.
    pub(super) fn new(epoch: Epoch, now: Instant) -> Self {
        let producers = Producers::new(now);
        Self { epoch, seq: Seq::ZERO, totals: Totals::new(), state: None, producers, touched: now, bytes: 0 }
    }

    /// Nothing was published to it yet.
    pub(super) fn is_new(&self) -> bool {
        self.seq == Seq::ZERO
    }

    /// What it is charged with.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it should be charged with, counted anew.
    #[cfg(test)]
    pub(super) fn counted_bytes(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| STATE_COST + state.data.len());
        CHANNEL_COST + self.totals.len() * KIND_COST + state + self.producers.len() * PRODUCER_COST
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.touched + CHANNEL_EXPIRY
    }

    /// When something of it, or all of it, will have expired.
    pub(super) fn next_expiry(&self) -> Instant {
        let whole = self.touched + CHANNEL_EXPIRY;
        self.producers.next_expiry().map_or(whole, |records| records.min(whole))
    }

    /// Lets producers' records expire; answers the bytes released.
    pub(super) fn expire_producers(&mut self, now: Instant) -> usize {
        let released = self.producers.expire(now) * PRODUCER_COST;
        self.bytes -= released;
        released
    }

    /// Answers the bytes released.
    #[cfg(feature = "conformance")]
    pub(super) fn forget_producers(&mut self) -> usize {
        let released = self.producers.forget() * PRODUCER_COST;
        self.bytes -= released;
        released
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.state.clone();
        Snapshot { epoch: self.epoch.clone(), prev: None, seq: self.seq, totals: self.totals.clone(), state }
    }

    /// Its head; renews its expiry.
    pub(super) fn audit(&mut self, now: Instant) -> Head {
        self.touched = now;
        Head { epoch: self.epoch.clone(), seq: self.seq }
    }

    /// Checks everything about the call that concerns this channel, and writes nothing.
    ///
    /// # Errors
    /// [`Refusal`]: the number does not fit, a retry was changed, too many producers, seq at its end.
    pub(super) fn plan(&self, call: &Call) -> Result<Plan, Refusal> {
        let mut growth = if self.is_new() { CHANNEL_COST } else { 0 };
        if let Some((batch, kinds)) = &call.batch {
            match self.producers.judge(batch, *kinds)? {
                Judgement::Repeated(first) => return Ok(Plan::Repeated(first)),
                Judgement::Next => {}
                Judgement::First => growth += PRODUCER_COST,
            }
        }
        let to = self.seq.get().checked_add(call.len).and_then(Seq::new).ok_or(Refusal::ChannelFull)?;
        let (folded, added) = self.fold(call);
        growth += added * KIND_COST;
        growth += call.state.as_ref().map_or(0, |state| STATE_COST + state.data.len());
        Ok(Plan::Publish(Numbering { to, folded, growth }))
    }

    /// Which kinds of the call are folded, and how many get a place.
    fn fold(&self, call: &Call) -> (Vec<Vec<u16>>, usize) {
        // `_other` is among the totals only when all places are taken: it never takes one.
        let mut free = CHANNEL_KINDS_MAX.saturating_sub(self.totals.len());
        let mut added: Vec<&Kind> = Vec::new();
        let mut folded = Vec::with_capacity(call.drafts.len());
        for draft in &call.drafts {
            let mut indexes = Vec::new();
            for (index, (kind, _)) in (0..).zip(draft.kinds()) {
                if self.totals.get(kind.as_str()) > 0 || added.contains(&kind) {
                    continue;
                }
                if free > 0 {
                    free -= 1;
                    added.push(kind);
                } else {
                    indexes.push(index);
                }
            }
            folded.push(indexes);
        }
        let has_other = self.totals.len() > CHANNEL_KINDS_MAX;
        let other_added = !has_other && folded.iter().any(|indexes| !indexes.is_empty());
        (folded, added.len() + usize::from(other_added))
    }

    /// Numbers and counts the call as planned; answers its result, the records to publish, and the bytes released.
    pub(super) fn apply(
        &mut self,
        call: Call,
        numbering: Numbering,
        heard: Heard,
        now: Instant,
    ) -> (Published, Vec<Bytes>, usize) {
        let Numbering { to, folded, growth } = numbering;
        let other = Kind::other();
        let first = self.seq.next();
        let mut records = Vec::with_capacity(call.drafts.len());
        for (draft, folded) in call.drafts.iter().zip(folded) {
            records.push(draft.assemble(&self.epoch, self.seq.next(), &folded));
            self.seq = self.seq.plus(draft.len());
            for (index, (kind, n)) in (0..).zip(draft.kinds()) {
                let is_folded = folded.binary_search(&index).is_ok();
                self.totals.add(if is_folded { &other } else { kind }, *n);
            }
        }
        debug_assert_eq!(self.seq, to, "a plan numbers what is applied");
        let published = Published { epoch: self.epoch.clone(), from: first, to: self.seq, heard };
        self.bytes += growth;
        let released = call.state.map_or(0, |state| self.keep_state(state, first));
        self.bytes -= released;
        if let Some((batch, kinds)) = call.batch {
            self.producers.remember(batch, kinds, published.clone());
        }
        self.touched = now;
        (published, records, released)
    }

    /// Answers what the state before it was charged with.
    fn keep_state(&mut self, state: DraftState, first: Seq) -> usize {
        let DraftState { offset, kind, at, data } = state;
        let has_place = self.totals.get(kind.as_str()) > 0;
        let (kind, sent_as) = if has_place { (kind, None) } else { (Kind::other(), Some(kind)) };
        let state = State { seq: first.plus(offset), kind, sent_as, at, data };
        self.state.replace(state).map_or(0, |old| STATE_COST + old.data.len())
    }
}
