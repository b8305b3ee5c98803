//! A span: neighbouring events of one channel that share one publish call and one outcome, in full or as counts.

use super::room::Cost;
use crate::limits::{COUNTS_EVENTS_MAX, EVENT_COST_BYTES, KIND_COST_BYTES, SPAN_COST_BYTES};
use crate::receipt::{Receipt, Verdict};
use crate::settings::Settings;
use std::sync::Arc;
use std::time::Instant;
use tally_backplane::Content;
use tally_protocol::{Batch, COUNTS_KINDS_MAX, Class, CountsOnly, Event, Totals, Why};

/// An event never moves to another span, so a receipt is its span's verdict and an index.
#[derive(Debug)]
pub(super) struct Span {
    /// Ascending over all channels: what was accepted before a flush.
    pub(super) no: u64,
    pub(super) opened_at: Instant,
    /// No further event joins, and it need not wait for age.
    pub(super) sealed: bool,
    /// The channel was fast when the last event came.
    pub(super) is_fast: bool,
    pub(super) verdict: Arc<Verdict>,
    load: Load,
}

#[derive(Debug)]
enum Load {
    Full { events: Vec<Event>, data_bytes: usize },
    Counts(Tally),
}

/// Events told by number, with the newest state event among them and its index.
#[derive(Debug)]
struct Tally {
    why: Why,
    counts: Totals,
    events: u32,
    state: Option<(u32, Event)>,
}

/// A span as one publish call takes it.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) content: Arc<Content>,
    pub(super) cost: Cost,
    /// The index of the state event that goes with counts.
    pub(super) carried: Option<u32>,
}

impl Span {
    pub(super) fn full(no: u64, now: Instant) -> Self {
        Self::open(no, now, Load::Full { events: Vec::new(), data_bytes: 0 })
    }

    pub(super) fn counts(no: u64, now: Instant, why: Why) -> Self {
        Self::open(no, now, Load::Counts(Tally::new(why)))
    }

    fn open(no: u64, now: Instant, load: Load) -> Self {
        Self { no, opened_at: now, sealed: false, is_fast: false, verdict: Arc::default(), load }
    }

    /// Why its events are counted, if they are.
    pub(super) fn why(&self) -> Option<Why> {
        match &self.load {
            Load::Full { .. } => None,
            Load::Counts(tally) => Some(tally.why),
        }
    }

    /// The number of events.
    pub(super) fn len(&self) -> u64 {
        match &self.load {
            Load::Full { events, .. } => events.len() as u64,
            Load::Counts(tally) => u64::from(tally.events),
        }
    }

    pub(super) fn takes_full(&self, event: &Event, settings: &Settings) -> bool {
        match &self.load {
            Load::Full { events, data_bytes } => {
                !self.sealed
                    && events.len() < settings.batch_events_max
                    && (events.is_empty() || data_bytes + event.data.len() <= settings.batch_bytes_max)
            }
            Load::Counts(_) => false,
        }
    }

    pub(super) fn takes_count(&self, event: &Event, why: Why) -> bool {
        match &self.load {
            Load::Full { .. } => false,
            Load::Counts(tally) => !self.sealed && tally.why == why && tally.takes(event),
        }
    }

    /// Whether it says as much without payloads, where nobody listens: counts carry one state event, as their last.
    pub(super) fn may_be_withheld(&self) -> bool {
        match &self.load {
            Load::Full { events, .. } => match events.split_last() {
                Some((_, before)) if self.is_fast && !before.is_empty() => {
                    before.iter().all(|event| event.class != Class::State)
                }
                _ => false,
            },
            Load::Counts(_) => false,
        }
    }

    /// Adds an event that [`Span::takes_full`] or [`Span::takes_count`] agreed to.
    pub(super) fn push(&mut self, event: Event, settings: &Settings) -> Receipt {
        let index = match &mut self.load {
            Load::Full { events, data_bytes } => {
                *data_bytes += event.data.len();
                events.push(event);
                self.sealed =
                    events.len() >= settings.batch_events_max || *data_bytes >= settings.batch_bytes_max;
                u32::try_from(events.len() - 1).expect("a batch has at most 65,536 events")
            }
            Load::Counts(tally) => {
                // What nobody listens to ends with a state event, so that each is sent.
                self.sealed |= tally.why == Why::Unheard && event.class == Class::State;
                tally.push(event)
            }
        };
        Receipt::new(Arc::clone(&self.verdict), index)
    }

    pub(super) fn cost(&self) -> Cost {
        match &self.load {
            Load::Full { events, data_bytes } => {
                Cost::of_buffer(SPAN_COST_BYTES + events.len() * EVENT_COST_BYTES + data_bytes)
            }
            Load::Counts(tally) => Cost::of_counts(tally.cost(None)),
        }
    }

    /// Bytes that the span would cost with `event` counted in it; a new span where there is none.
    pub(super) fn counts_cost_with(span: Option<&Self>, event: &Event) -> usize {
        match span.map(|span| &span.load) {
            Some(Load::Counts(tally)) => tally.cost(Some(event)),
            _ => Tally::new(Why::Upstream).cost(Some(event)),
        }
    }

    /// Takes the events out, for the publish call.
    pub(super) fn seal(self) -> Sealed {
        let cost = self.cost();
        match self.load {
            Load::Full { events, .. } => {
                let batch = Batch::new(events).expect("a span keeps within the limits of a batch");
                Sealed { content: Arc::new(Content::Events(batch)), cost, carried: None }
            }
            Load::Counts(tally) => tally.seal(),
        }
    }
}

impl Sealed {
    /// The same events without their data, for a batch that surely was not published yet. `None` where it is
    /// counts already, or has more kinds than counts may name.
    pub(super) fn without_payloads(&self, why: Why) -> Option<Self> {
        let Content::Events(batch) = &*self.content else { return None };
        let mut tally = Tally::new(why);
        for event in batch.events() {
            if !tally.takes(event) {
                return None;
            }
            tally.push(event.clone());
        }
        Some(tally.seal())
    }
}

impl Tally {
    fn new(why: Why) -> Self {
        Self { why, counts: Totals::new(), events: 0, state: None }
    }

    fn takes(&self, event: &Event) -> bool {
        let known = self.counts.get(event.kind.as_str()) > 0;
        self.events < COUNTS_EVENTS_MAX && (known || self.counts.len() < COUNTS_KINDS_MAX)
    }

    fn push(&mut self, event: Event) -> u32 {
        let index = self.events;
        self.counts.add(&event.kind, 1);
        self.events += 1;
        if event.class == Class::State {
            self.state = Some((index, event));
        }
        index
    }

    /// With `event` added, if there is one.
    fn cost(&self, event: Option<&Event>) -> usize {
        let new_kinds = event.is_some_and(|event| self.counts.get(event.kind.as_str()) == 0);
        let state = event.filter(|event| event.class == Class::State);
        let state = state.or(self.state.as_ref().map(|(_, event)| event));
        let state_cost = state.map_or(0, |event| EVENT_COST_BYTES + event.data.len());
        SPAN_COST_BYTES + (self.counts.len() + usize::from(new_kinds)) * KIND_COST_BYTES + state_cost
    }

    fn seal(self) -> Sealed {
        let cost = Cost::of_counts(self.cost(None));
        let (carried, state) = self.state.unzip();
        let counts = CountsOnly::new(self.counts, self.why, state)
            .expect("a tally keeps within the limits of counts, and counts its state event");
        Sealed { content: Arc::new(Content::Counts(counts)), cost, carried }
    }
}
