//! A client's account of one channel, and the check of laws 1 and 2 on every frame.
//!
//! At each moment, kind by kind: totals at attach + seen in full + counted + summarised = totals at the cursor. The
//! ledger keeps both sides, so that it can be shown to close, and refuses a frame that would break either law.
//! Bounded: at most as many kinds as the channel has (65) for full and for each (form, why).

use crate::frame::server::{Attach, Counts, Events, Reset, Subscribed, SummaryChannel};
use crate::name::ChannelName;
use crate::number::{Epoch, Seq};
use crate::rung::Why;
use crate::snapshot::{Position, State};
use crate::totals::Totals;
use std::collections::BTreeMap;
use std::fmt;

/// The law that a frame broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    Conservation,
    Order,
}

impl Law {
    /// The laws that a client can check.
    pub const ALL: [Self; 2] = [Self::Conservation, Self::Order];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conservation => "conservation",
            Self::Order => "order",
        }
    }
}

/// From a client's report, which may name anything.
impl std::str::FromStr for Law {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let law = Self::ALL.into_iter().find(|law| law.as_str() == word);
        law.ok_or_else(|| format!("{word:?} is none of conservation, order"))
    }
}

/// A frame that breaks a law. The ledger stays as it was before the frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the law of {} is broken on channel {channel}: {detail}", law.as_str())]
pub struct Violation {
    pub channel: ChannelName,
    pub law: Law,
    pub detail: String,
}

/// The account of one subscription, from its attach or last reset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    channel: ChannelName,
    epoch: Option<Epoch>,
    attached_seq: Seq,
    attached_totals: Totals,
    cursor: Seq,
    totals: Totals,
    full: Totals,
    counted: BTreeMap<Why, Totals>,
    summarised: BTreeMap<Why, Totals>,
    state: Option<State>,
}

impl Ledger {
    /// Opens the ledger of a fresh attach.
    ///
    /// # Errors
    /// [`Violation`] where the totals do not add up to the seq, or the state is not among them.
    pub fn open(channel: &ChannelName, position: &Position) -> Result<Self, Violation> {
        let ledger = Self {
            channel: channel.clone(),
            epoch: position.epoch.clone(),
            attached_seq: position.seq,
            attached_totals: position.totals.clone(),
            cursor: position.seq,
            totals: position.totals.clone(),
            full: Totals::new(),
            counted: BTreeMap::new(),
            summarised: BTreeMap::new(),
            state: position.state.clone(),
        };
        if position.totals.sum() != position.seq.get() {
            return Err(ledger.broken(
                Law::Conservation,
                format_args!(
                    "attached at seq {} with totals that add up to {}",
                    position.seq,
                    position.totals.sum()
                ),
            ));
        }
        if position.epoch.is_none() && position.seq != Seq::ZERO {
            return Err(
                ledger.broken(Law::Order, format_args!("attached at seq {} without an epoch", position.seq))
            );
        }
        if let Some(state) = &position.state {
            ledger.check_state(state, Seq::ZERO, position.seq, &position.totals)?;
        }
        Ok(ledger)
    }

    /// Opens the ledger that a `subscribed` frame starts: `None` while it is pending. A resumed attach goes on with
    /// `kept`, the client's own ledger.
    ///
    /// # Errors
    /// [`Violation`] where a resume does not repeat the cursor, or the totals do not add up.
    pub fn attach(frame: &Subscribed, kept: Option<Self>) -> Result<Option<Self>, Violation> {
        match &frame.attach {
            Attach::Pending => Ok(None),
            Attach::At(position) => Self::open(&frame.channel, position).map(Some),
            Attach::Resumed { epoch, seq } => match kept {
                Some(kept) if kept.epoch.as_ref() == Some(epoch) && kept.cursor == *seq => Ok(Some(kept)),
                kept => {
                    let held = kept.map_or_else(|| "nothing".into(), |kept| format!("seq {}", kept.cursor));
                    Err(Violation {
                        channel: frame.channel.clone(),
                        law: Law::Order,
                        detail: format!("resumed at seq {seq} of epoch {epoch}, but the client holds {held}"),
                    })
                }
            },
        }
    }

    /// Books an `events` frame.
    ///
    /// # Errors
    /// [`Violation`]; the ledger is unchanged then.
    pub fn handle_events(&mut self, frame: &Events) -> Result<(), Violation> {
        // Not `cursor.next()`, which stays where it is at the last seq of all.
        if frame.from.get() != self.cursor.get() + 1 {
            return Err(self.broken(
                Law::Order,
                format_args!("events {} to {} came at cursor {}", frame.from, frame.to, self.cursor),
            ));
        }
        if frame.to < frame.from || frame.events.len() as u64 != frame.to.since(self.cursor) {
            return Err(self.broken(
                Law::Conservation,
                format_args!("events {} to {} hold {} events", frame.from, frame.to, frame.events.len()),
            ));
        }
        for (i, event) in frame.events.iter().enumerate() {
            self.totals.add(&event.kind, 1);
            self.full.add(&event.kind, 1);
            if event.class == crate::Class::State {
                self.state = Some(State {
                    seq: frame.from.plus(i as u64),
                    kind: event.kind.clone(),
                    sent_as: event.sent_as.clone(),
                    at: event.at,
                    data: event.data.clone(),
                });
            }
        }
        self.cursor = frame.to;
        self.epoch = Some(frame.epoch.clone());
        Ok(())
    }

    /// Books a `counts` frame.
    ///
    /// # Errors
    /// [`Violation`]; the ledger is unchanged then.
    pub fn handle_counts(&mut self, frame: &Counts) -> Result<(), Violation> {
        let span = self.span(frame.seq, &frame.totals, frame.state.as_ref())?;
        if let Some(tail) = &frame.tail {
            let first = frame.seq.get().checked_sub(tail.len() as u64);
            let contiguous =
                |first: u64| tail.iter().zip(first + 1..).all(|(event, seq)| event.seq.get() == seq);
            if first.is_none_or(|first| first < self.cursor.get() || !contiguous(first)) {
                return Err(self.broken(
                    Law::Order,
                    format_args!(
                        "a tail of {} events up to {} at cursor {}",
                        tail.len(),
                        frame.seq,
                        self.cursor
                    ),
                ));
            }
        }
        self.counted.entry(frame.why).or_default().add_all(&span);
        self.advance(&frame.epoch, frame.seq, &frame.totals, frame.state.as_ref());
        Ok(())
    }

    /// Books one channel of a `summary` frame.
    ///
    /// # Errors
    /// [`Violation`]; the ledger is unchanged then.
    pub fn handle_summary(&mut self, why: Why, frame: &SummaryChannel) -> Result<(), Violation> {
        let span = self.span(frame.seq, &frame.totals, frame.state.as_ref())?;
        self.summarised.entry(why).or_default().add_all(&span);
        self.advance(&frame.epoch, frame.seq, &frame.totals, frame.state.as_ref());
        Ok(())
    }

    /// Closes this ledger and opens the next one; returns the closed one.
    ///
    /// # Errors
    /// [`Violation`] where the new totals do not add up; the ledger is unchanged then.
    pub fn handle_reset(&mut self, frame: &Reset) -> Result<Self, Violation> {
        let position = Position {
            epoch: frame.epoch.clone(),
            seq: frame.seq,
            totals: frame.totals.clone(),
            state: frame.state.clone(),
        };
        let next = Self::open(&self.channel, &position)?;
        Ok(std::mem::replace(self, next))
    }

    /// Law 1: whether both sides agree, kind by kind.
    #[must_use]
    pub fn closes(&self) -> bool {
        let mut sum = self.attached_totals.clone();
        sum.add_all(&self.full);
        for span in self.counted.values().chain(self.summarised.values()) {
            sum.add_all(span);
        }
        sum == self.totals && sum.sum() == self.cursor.get()
    }

    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    #[must_use]
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The seq up to which everything is accounted for.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Totals at the cursor.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    #[must_use]
    pub fn attached_seq(&self) -> Seq {
        self.attached_seq
    }

    #[must_use]
    pub fn attached_totals(&self) -> &Totals {
        &self.attached_totals
    }

    /// Seen in full, by kind.
    #[must_use]
    pub fn full(&self) -> &Totals {
        &self.full
    }

    /// Told by counts frames, by why and kind.
    #[must_use]
    pub fn counted(&self) -> &BTreeMap<Why, Totals> {
        &self.counted
    }

    /// Told by summaries, by why and kind.
    #[must_use]
    pub fn summarised(&self) -> &BTreeMap<Why, Totals> {
        &self.summarised
    }

    /// The newest state event that was told.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// What lies between the cursor and a position that a frame gives.
    fn span(&self, seq: Seq, totals: &Totals, state: Option<&State>) -> Result<Totals, Violation> {
        if seq <= self.cursor {
            return Err(
                self.broken(Law::Order, format_args!("totals at seq {seq} came at cursor {}", self.cursor))
            );
        }
        if totals.sum() != seq.get() {
            return Err(self.broken(
                Law::Conservation,
                format_args!("the totals at seq {seq} add up to {}", totals.sum()),
            ));
        }
        let span = totals.since(&self.totals).ok_or_else(|| {
            self.broken(
                Law::Conservation,
                format_args!("at seq {seq} some kind has fewer events than before"),
            )
        })?;
        if let Some(state) = state {
            self.check_state(state, self.cursor, seq, &span)?;
        }
        Ok(span)
    }

    /// A state event rides only in the frame whose span holds it, and is booked there.
    fn check_state(&self, state: &State, after: Seq, to: Seq, span: &Totals) -> Result<(), Violation> {
        if state.seq <= after || state.seq > to {
            return Err(self.broken(
                Law::Order,
                format_args!("a state of seq {} came with the span after {after} up to {to}", state.seq),
            ));
        }
        if span.get(state.kind.as_str()) == 0 {
            return Err(self.broken(
                Law::Conservation,
                format_args!("a state of kind {} came with a span that counts none of it", state.kind),
            ));
        }
        Ok(())
    }

    fn advance(&mut self, epoch: &Epoch, seq: Seq, totals: &Totals, state: Option<&State>) {
        self.epoch = Some(epoch.clone());
        self.cursor = seq;
        self.totals.clone_from(totals);
        if let Some(state) = state {
            self.state = Some(state.clone());
        }
    }

    fn broken(&self, law: Law, detail: fmt::Arguments<'_>) -> Violation {
        Violation { channel: self.channel.clone(), law, detail: detail.to_string() }
    }
}
