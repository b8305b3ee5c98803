//! The pure core of a producer: batching, numbering, retries and the account of every event; time is a value.
//!
//! It owns everything that waits and everything that is in flight. `handle_*` takes an input, `poll_*` says what to
//! do next. Law 1 lives in [`Pipeline::settle`] (each event gets exactly one outcome), law 2 in the one unanswered
//! batch per channel, law 3 in `room`.

mod agenda;
mod answer;
mod attempt;
mod channel;
mod ending;
mod hearing;
mod identity;
mod link;
mod room;
mod span;
#[cfg(test)]
mod tests;

pub(crate) use answer::Answer;

use crate::limits::{EVENT_COST_BYTES, IDENTITY_AGE_MAX, IDLE_CHANNELS_MAX, NOTICES_MAX, SPAN_COST_BYTES};
use crate::notice::Notice;
use crate::publish::PublishError;
use crate::receipt::{Receipt, SpanOutcome};
use crate::settings::Settings;
use crate::stats::Stats;
use agenda::Agenda;
use attempt::{hold_counts, release};
use channel::Channel;
use ending::Ending;
use identity::Identity;
use link::Link;
use room::{Cost, Room};
use span::Span;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use tally_backplane::{Content, ProducerBatch};
use tally_protocol::{ChannelName, EVENT_BYTES_MAX, Event, Why};

/// One attempt to publish one batch.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) ticket: Ticket,
    pub(crate) batch: ProducerBatch,
    pub(crate) content: Arc<Content>,
}

/// Which attempt an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) channel: ChannelName,
    span_no: u64,
    attempt: u32,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    settings: Settings,
    random: fastrand::Rng,
    channels: HashMap<ChannelName, Channel>,
    agenda: Agenda,
    room: Room,
    link: Link,
    on_wire: usize,
    spans: u64,
    stats: Stats,
    notices: VecDeque<Notice>,
    ending: Ending,
}

impl Pipeline {
    /// `seed` must differ between producers: random parts come from it.
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            random: fastrand::Rng::with_seed(seed),
            channels: HashMap::new(),
            agenda: Agenda::default(),
            room: Room::default(),
            link: Link::default(),
            on_wire: 0,
            spans: 0,
            stats: Stats::default(),
            notices: VecDeque::new(),
            ending: Ending::Open,
        }
    }

    /// Takes an event in: as a count where nobody listens, else in full where the buffer has room, else as a count;
    /// in any case in its place of the channel.
    pub(crate) fn handle_publish(
        &mut self,
        now: Instant,
        name: &ChannelName,
        event: Event,
    ) -> Result<Receipt, PublishError> {
        self.check(&event)?;
        let channel = self.channels.get(name);
        if channel.is_some_and(|channel| channel.withholds(now, &event))
            && let Ok(span) = self.counts_span(now, channel, &event, Why::Unheard)
        {
            return Ok(self.push(now, name, span, event));
        }
        let joins = channel.is_some_and(|channel| channel.takes_full(&event, &self.settings));
        let bytes = EVENT_COST_BYTES + event.data.len() + if joins { 0 } else { SPAN_COST_BYTES };
        let (in_full, notice) = self.room.admits(bytes, &self.settings);
        self.notices.extend(notice);
        if in_full {
            let span = (!joins).then(|| Span::full(self.spans, now));
            return Ok(self.push(now, name, span, event));
        }
        let span = self.counts_span(now, self.channels.get(name), &event, Why::Upstream)?;
        self.room.handle_counted();
        Ok(self.push(now, name, span, event))
    }

    /// The span of counts to be begun for an event, if it joins none and there is room.
    fn counts_span(
        &self,
        now: Instant,
        channel: Option<&Channel>,
        event: &Event,
        why: Why,
    ) -> Result<Option<Span>, PublishError> {
        let counted = channel.and_then(|channel| channel.counts_span(event, why));
        let before = counted.map_or(0, |span| span.cost().counts);
        let after = Span::counts_cost_with(counted, event);
        let is_new = channel.is_none_or(|channel| channel.counts_spans == 0);
        self.room.admits_counts(before, after, usize::from(is_new), &self.settings)?;
        Ok(counted.is_none().then(|| Span::counts(self.spans, now, why)))
    }

    fn check(&self, event: &Event) -> Result<(), PublishError> {
        if !matches!(self.ending, Ending::Open) {
            return Err(PublishError::Closed);
        }
        if event.data.len() > EVENT_BYTES_MAX {
            return Err(PublishError::EventTooLarge(event.data.len()));
        }
        if event.kind.as_str().starts_with('_') {
            return Err(PublishError::ReservedKind(event.kind.clone()));
        }
        Ok(())
    }

    /// Adds an event to the channel's last span, or to a new one.
    fn push(&mut self, now: Instant, name: &ChannelName, span: Option<Span>, event: Event) -> Receipt {
        if !self.channels.contains_key(name) {
            let identity = Identity::draw(&self.settings.name, &mut self.random);
            self.channels.insert(name.clone(), Channel::new(identity));
        }
        let channel = self.channels.get_mut(name).expect("it was put there above");
        if !channel.is_unheard(now) {
            // What is no answer now is none later.
            channel.hearing.forget();
        }
        if let Some(span) = span {
            self.spans += 1;
            if span.why().is_some() {
                hold_counts(channel, &mut self.room);
            }
            channel.queue.push_back(span);
        }
        let (receipt, before, after) = channel.push(now, event, &self.settings);
        self.room.release(before);
        self.room.hold(after);
        self.stats.accepted += 1;
        self.agenda.relist(now, name, channel, &self.settings);
        receipt
    }

    /// The next attempt to be made now. To be called until there is none.
    pub(crate) fn poll_send(&mut self, now: Instant) -> Option<Attempt> {
        self.expire(now);
        if self.on_wire >= self.settings.in_flight_max || self.link.gate().is_some_and(|gate| now < gate) {
            return None;
        }
        let (_, name) = self.agenda.first_due().filter(|(at, _)| *at <= now)?;
        let name = name.clone();
        let channel = self.channels.get_mut(&name).expect("the agenda lists channels that are there");
        let mut attempt = match channel.sent.take() {
            Some(sent) => attempt::again(now, channel, sent, &mut self.room, &self.settings),
            None => attempt::first(now, channel, &mut self.room, &self.settings),
        };
        // A batch in doubt keeps what it was sent with; any other goes out as what the broker accepts now.
        if attempt.doubt_since.is_none() {
            if channel.identity.is_stale(now) {
                channel.identity = Identity::draw(&self.settings.name, &mut self.random);
            }
            attempt.batch = channel.identity.next_batch();
        }
        let sent = channel.sent.insert(attempt);
        let ticket = Ticket { channel: name.clone(), span_no: sent.span_no, attempt: sent.attempt };
        let attempt =
            Attempt { ticket, batch: sent.batch.clone(), content: Arc::clone(&sent.sealed.content) };
        self.on_wire += 1;
        self.link.handle_sent(now, &mut self.random);
        self.agenda.relist(now, &name, channel, &self.settings);
        Some(attempt)
    }

    /// Batches in doubt whose retries are over.
    fn expire(&mut self, now: Instant) {
        while let Some((at, name)) = self.agenda.first_expiry()
            && *at <= now
        {
            let name = name.clone();
            let reason = "no attempt was answered within a minute".into();
            self.settle(now, &name, SpanOutcome::Unknown { reason });
        }
    }

    /// When `poll_send` has something to do again, if no input comes before.
    pub(crate) fn poll_deadline(&self) -> Option<Instant> {
        let due = self.agenda.first_due().map(|(at, _)| *at);
        let due = due.filter(|_| self.on_wire < self.settings.in_flight_max);
        let due = due.map(|due| self.link.gate().map_or(due, |gate| due.max(gate)));
        let expiry = self.agenda.first_expiry().map(|(at, _)| *at);
        [due, expiry, self.ending.deadline()].into_iter().flatten().min()
    }

    /// The next thing that a person should know.
    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(crate) fn stats(&self) -> Stats {
        let Stats { accepted, full, counted, refused, unknown, .. } = self.stats;
        let Cost { buffer, counts } = self.room.used();
        let waiting = accepted - full - counted - refused - unknown;
        Stats { waiting, buffer_bytes: buffer, counts_bytes: counts, ..self.stats }
    }

    /// Gives the channel's unanswered batch its outcome, and frees what it held.
    fn settle(&mut self, now: Instant, name: &ChannelName, outcome: SpanOutcome) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        let Some(sent) = channel.sent.take() else { return };
        match &outcome {
            SpanOutcome::Full(published) | SpanOutcome::Counted { published, .. } => {
                channel.identity.handle_accepted(sent.accepted_earliest());
                if self.settings.listener_aware {
                    channel.hearing.handle_answer(sent.accepted_earliest(), published.heard);
                }
            }
            SpanOutcome::Refused { .. } => {}
            // Whether the broker has this number, nobody knows: no later batch may depend on it.
            SpanOutcome::Unknown { .. } => {
                channel.identity = Identity::draw(&self.settings.name, &mut self.random);
            }
        }
        let events = sent.events();
        release(channel, &mut self.room, sent.sealed.cost);
        self.agenda.relist(now, name, channel, &self.settings);
        self.tell(name, &sent.verdict, events, outcome);
        let counting_ended = self.room.handle_released(&self.settings);
        self.notices.extend(counting_ended);
        self.forget_idle(now);
    }

    /// Books an outcome, in exactly one column.
    fn tell(
        &mut self,
        name: &ChannelName,
        verdict: &crate::receipt::Verdict,
        events: u64,
        outcome: SpanOutcome,
    ) {
        let channel = name.clone();
        match &outcome {
            SpanOutcome::Full(_) => self.stats.full += events,
            SpanOutcome::Counted { why, .. } => {
                self.stats.counted += events;
                self.stats.unheard += if *why == Why::Unheard { events } else { 0 };
            }
            SpanOutcome::Refused { code, message } => {
                self.stats.refused += events;
                let (code, message) = (Arc::clone(code), Arc::clone(message));
                self.notify(Notice::Refused { channel, events, code, message });
            }
            SpanOutcome::Unknown { reason } => {
                self.stats.unknown += events;
                self.notify(Notice::Unknown { channel, events, reason: Arc::clone(reason) });
            }
        }
        verdict.tell(outcome);
    }

    fn notify(&mut self, notice: Notice) {
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// An identity that is too old to go on with is worth nothing; nor is one too many.
    fn forget_idle(&mut self, now: Instant) {
        let before = now.checked_sub(IDENTITY_AGE_MAX);
        while let Some(name) = self.agenda.pop_idle(before, IDLE_CHANNELS_MAX) {
            self.channels.remove(&name);
        }
    }
}
