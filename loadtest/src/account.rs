//! One client's account of one channel: laws 1 and 2 as `tally_protocol::Ledger` has them, at the cost of one
//! addition per frame that is known already.
//!
//! The ledger of the protocol books event by event. Here a frame that another client has received too is booked as
//! its span: from, to and counts. A test feeds both with the same frames and compares their verdicts. Bounded: kinds
//! of the channel (65) for each column.

use crate::known::Known;
use std::collections::BTreeMap;
use tally_protocol::{Counts, Epoch, Position, State, SummaryChannel, Totals, Why};

/// A broken law, in words.
pub(crate) type Broken = String;

#[derive(Debug, Clone)]
pub(crate) struct Account {
    epoch: Option<Epoch>,
    attached: Totals,
    cursor: u64,
    /// Totals as they were last told, and what was seen in full since then: together the totals at the cursor.
    told: Totals,
    since: Totals,
    /// Seen in full before `told`.
    full: Totals,
    counted: BTreeMap<Why, Totals>,
    summarised: BTreeMap<Why, Totals>,
    /// Seq of the newest state event that was told.
    state: Option<u64>,
}

impl Account {
    /// Opens the account of a fresh attach, or of a reset.
    pub(crate) fn open(position: &Position) -> Result<Self, Broken> {
        let seq = position.seq.get();
        if position.totals.sum() != seq {
            return Err(format!(
                "attached at seq {seq} with totals that add up to {}",
                position.totals.sum()
            ));
        }
        if position.epoch.is_none() && seq != 0 {
            return Err(format!("attached at seq {seq} without an epoch"));
        }
        if let Some(state) = &position.state {
            check_state(state, 0, seq, &position.totals)?;
        }
        Ok(Self {
            epoch: position.epoch.clone(),
            attached: position.totals.clone(),
            cursor: seq,
            told: position.totals.clone(),
            since: Totals::new(),
            full: Totals::new(),
            counted: BTreeMap::new(),
            summarised: BTreeMap::new(),
            state: position.state.as_ref().map(|state| state.seq.get()),
        })
    }

    /// Books a frame of events whose span is known.
    pub(crate) fn handle_events(&mut self, known: &Known) -> Result<(), Broken> {
        if known.from != self.cursor + 1 {
            return Err(format!("events {} to {} came at cursor {}", known.from, known.to, self.cursor));
        }
        self.since.add_all(&known.counts);
        self.cursor = known.to;
        if known.state.is_some() {
            self.state = known.state;
        }
        if self.epoch.as_ref() != Some(&known.epoch) {
            self.epoch = Some(known.epoch.clone());
        }
        Ok(())
    }

    pub(crate) fn handle_counts(&mut self, frame: &Counts) -> Result<(), Broken> {
        let span = self.span(frame.seq.get(), &frame.totals, frame.state.as_ref())?;
        if let Some(tail) = &frame.tail {
            let first = frame.seq.get().checked_sub(tail.len() as u64);
            let contiguous =
                |first: u64| tail.iter().zip(first + 1..).all(|(event, seq)| event.seq.get() == seq);
            if first.is_none_or(|first| first < self.cursor || !contiguous(first)) {
                return Err(format!(
                    "a tail of {} events up to {} at cursor {}",
                    tail.len(),
                    frame.seq,
                    self.cursor
                ));
            }
        }
        self.counted.entry(frame.why).or_default().add_all(&span);
        self.advance(&frame.epoch, frame.seq.get(), &frame.totals, frame.state.as_ref());
        Ok(())
    }

    pub(crate) fn handle_summary(&mut self, why: Why, frame: &SummaryChannel) -> Result<(), Broken> {
        let span = self.span(frame.seq.get(), &frame.totals, frame.state.as_ref())?;
        self.summarised.entry(why).or_default().add_all(&span);
        self.advance(&frame.epoch, frame.seq.get(), &frame.totals, frame.state.as_ref());
        Ok(())
    }

    /// Whether a resume repeats what this account holds.
    pub(crate) fn resumes_at(&self, epoch: &Epoch, seq: u64) -> Result<(), Broken> {
        if self.epoch.as_ref() == Some(epoch) && self.cursor == seq {
            return Ok(());
        }
        Err(format!("resumed at seq {seq} of epoch {epoch}, but the client holds seq {}", self.cursor))
    }

    /// Law 1: whether what was told is what was attached with and the three columns.
    pub(crate) fn closes(&self) -> bool {
        let mut sum = self.attached.clone();
        sum.add_all(&self.full);
        sum.add_all(&self.since);
        for span in self.counted.values().chain(self.summarised.values()) {
            sum.add_all(span);
        }
        sum == self.totals() && sum.sum() == self.cursor
    }

    /// What differs from the channel as the gateway tells it at the end; `None` where nothing does.
    pub(crate) fn differs_from(&self, end: &Position) -> Option<String> {
        let totals = self.totals();
        if self.epoch != end.epoch {
            return Some(format!("epoch {:?} in place of {:?}", self.epoch, end.epoch));
        }
        if self.cursor != end.seq.get() {
            return Some(format!("cursor {} in place of {}", self.cursor, end.seq));
        }
        if totals != end.totals {
            return Some(format!("totals {totals:?} in place of {:?}", end.totals));
        }
        let state = end.state.as_ref().map(|state| state.seq.get());
        (self.state != state).then(|| format!("state of seq {:?} in place of {state:?}", self.state))
    }

    /// Totals at the cursor.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.told.clone();
        totals.add_all(&self.since);
        totals
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    pub(crate) fn accounted(&self) -> u64 {
        self.cursor.saturating_sub(self.attached.sum())
    }

    pub(crate) fn full(&self) -> u64 {
        self.full.sum() + self.since.sum()
    }

    pub(crate) fn counted(&self) -> &BTreeMap<Why, Totals> {
        &self.counted
    }

    pub(crate) fn summarised(&self) -> &BTreeMap<Why, Totals> {
        &self.summarised
    }

    fn span(&self, seq: u64, totals: &Totals, state: Option<&State>) -> Result<Totals, Broken> {
        if seq <= self.cursor {
            return Err(format!("totals at seq {seq} came at cursor {}", self.cursor));
        }
        if totals.sum() != seq {
            return Err(format!("the totals at seq {seq} add up to {}", totals.sum()));
        }
        let span = totals.since(&self.totals());
        let span = span.ok_or_else(|| format!("at seq {seq} some kind has fewer events than before"))?;
        if let Some(state) = state {
            check_state(state, self.cursor, seq, &span)?;
        }
        Ok(span)
    }

    fn advance(&mut self, epoch: &Epoch, seq: u64, totals: &Totals, state: Option<&State>) {
        self.full.add_all(&self.since);
        self.since = Totals::new();
        self.told.clone_from(totals);
        self.epoch = Some(epoch.clone());
        self.cursor = seq;
        if let Some(state) = state {
            self.state = Some(state.seq.get());
        }
    }
}

/// A state event rides only in the frame whose span holds it.
fn check_state(state: &State, after: u64, to: u64, span: &Totals) -> Result<(), Broken> {
    let seq = state.seq.get();
    if seq <= after || seq > to {
        return Err(format!("a state of seq {seq} came with the span after {after} up to {to}"));
    }
    if span.get(state.kind.as_str()) == 0 {
        return Err(format!("a state of kind {} came with a span that counts none of it", state.kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
