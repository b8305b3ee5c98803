//! What the receipts say against what the broker took, and against who listened when.

use super::network::Entry;
use super::*;
use crate::limits::{HEARING_AGE_MAX, SLOW_EVENTS_MAX, SLOW_WINDOW};
use crate::receipt::Outcome;
use std::collections::{BTreeMap, HashSet};
use tally_backplane::Content;
use tally_protocol::{Body, Heard, Kind, Record, Why};

/// An event that `publish` accepted.
pub(super) struct Accepted {
    pub(super) at: Instant,
    pub(super) id: u64,
    pub(super) kind: Kind,
    pub(super) class: Class,
    pub(super) receipt: Receipt,
}

/// How much of everything a plan saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) full: u64,
    pub(super) counted: u64,
    pub(super) unheard: u64,
    pub(super) carried: u64,
    pub(super) carried_unheard: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) unknown_published: u64,
    pub(super) not_accepted: u64,
    /// Full events that came to a listener which had not been there all the time.
    pub(super) attached: u64,
}

impl Seen {
    pub(super) fn columns(&self) -> [u64; 10] {
        let Self { full, counted, unheard, carried, carried_unheard, .. } = *self;
        let Self { refused, unknown, unknown_published, not_accepted, attached, .. } = *self;
        [
            full,
            counted,
            unheard,
            carried,
            carried_unheard,
            refused,
            unknown,
            unknown_published,
            not_accepted,
            attached,
        ]
    }
}

/// When somebody listened to a channel.
#[derive(Debug, Default)]
pub(super) struct Presence(Vec<(Instant, Option<Instant>)>);

impl Presence {
    pub(super) fn is_there(&self) -> bool {
        self.0.last().is_some_and(|(_, until)| until.is_none())
    }

    pub(super) fn begin(&mut self) {
        self.0.push((Instant::now(), None));
    }

    pub(super) fn end(&mut self) {
        self.0.last_mut().expect("somebody is there").1 = Some(Instant::now());
    }

    /// For how long somebody had been there at `at`, and stayed until `until`.
    fn since(&self, at: Instant, until: Instant) -> Option<Duration> {
        let spans = self.0.iter().filter(|(since, end)| *since <= at && end.is_none_or(|end| end > until));
        spans.map(|(since, _)| at - *since).next()
    }
}

type Tally = BTreeMap<String, u64>;

/// What was published; numbers without a gap, and nothing twice.
#[derive(Default)]
struct Log {
    seq_of: HashMap<u64, u64>,
    /// By `from` and `to`: the kinds, and the state event that was carried.
    counts: BTreeMap<(u64, u64), (Tally, Option<u64>)>,
}

pub(super) fn id(data: &RawJson) -> u64 {
    let digits = data.as_str().strip_prefix("{\"id\":").unwrap();
    digits[..digits.find(',').unwrap()].parse().unwrap()
}

fn read_log(entries: &[Entry]) -> Log {
    let mut log = Log::default();
    let mut ids = HashSet::new();
    let mut head = 0;
    for Entry { content, result, .. } in entries {
        assert_eq!(result.from.get(), head + 1, "numbers without a gap");
        head = result.to.get();
        match content {
            Content::Events(batch) => {
                for (seq, event) in (result.from.get()..).zip(batch.events()) {
                    assert!(ids.insert(id(&event.data)), "nothing twice");
                    log.seq_of.insert(id(&event.data), seq);
                }
            }
            Content::Counts(counts) => {
                let state = counts.state().map(|state| id(&state.data));
                assert!(state.is_none_or(|id| ids.insert(id)), "nothing twice");
                let kinds = counts.counts().iter().map(|(kind, n)| (kind.to_string(), n)).collect();
                log.counts.insert((result.from.get(), head), (kinds, state));
            }
        }
    }
    log
}

/// Each receipt against the log; then what is left of the log against the unknown.
pub(super) fn check_receipts(accepted: &[Accepted], entries: &[Entry], seen: &mut Seen) {
    let mut log = read_log(entries);
    let mut told: BTreeMap<(u64, u64), (Tally, Option<u64>)> = BTreeMap::new();
    let mut unknown = Tally::new();
    let mut unknown_ids = HashSet::new();
    let mut cursor = (0, 0);
    for Accepted { id, kind, receipt, .. } in accepted {
        match receipt.peek().expect("a closed producer has told every outcome") {
            Outcome::Full { seq, .. } => {
                seen.full += 1;
                assert_eq!(log.seq_of.remove(id), Some(seq.get()), "full is there, once, at its seq");
                assert!(seq.get() > cursor.1, "order is kept");
                cursor = (seq.get(), seq.get());
            }
            Outcome::Counted { from, to, carried, why, .. } => {
                seen.counted += 1;
                seen.unheard += u64::from(why == Why::Unheard);
                seen.carried += u64::from(carried);
                seen.carried_unheard += u64::from(carried && why == Why::Unheard);
                let span = (from.get(), to.get());
                assert!(span == cursor || span.0 > cursor.1, "order is kept");
                cursor = span;
                let (counts, state) = told.entry(span).or_default();
                *counts.entry(kind.to_string()).or_default() += 1;
                if carried {
                    assert!(state.replace(*id).is_none(), "one state event is carried");
                }
            }
            Outcome::Refused { .. } => seen.refused += 1,
            Outcome::Unknown { .. } => {
                seen.unknown += 1;
                unknown_ids.insert(*id);
                *unknown.entry(kind.to_string()).or_default() += 1;
            }
        }
    }
    for (span, counts) in told {
        assert_eq!(log.counts.remove(&span), Some(counts), "counted is there, once, kind by kind");
    }
    // Whatever else was published has to be what nobody was sure of.
    for id in log.seq_of.keys() {
        assert!(unknown_ids.contains(id), "only the unknown is left");
        seen.unknown_published += 1;
    }
    for (counts, state) in log.counts.values() {
        assert!(state.is_none_or(|id| unknown_ids.contains(&id)), "only the unknown is left");
        for (kind, n) in counts {
            assert!(unknown.get(kind).is_some_and(|left| left >= n), "only the unknown is left");
        }
    }
}

/// Payloads are withheld only where that is allowed. `patience`: for how long a listener may be unknown.
pub(super) fn check_withheld(
    accepted: &[Accepted],
    entries: &[Entry],
    presence: &Presence,
    patience: Duration,
) {
    for (n, event) in accepted.iter().enumerate() {
        let Some(Outcome::Counted { why: Why::Unheard, from, to, carried, .. }) = event.receipt.peek() else {
            continue;
        };
        assert!(carried || event.class != Class::State, "every state event is sent whole");
        let at = entries.binary_search_by_key(&from, |entry| entry.result.from).unwrap();
        if carried {
            let next = accepted.get(n + 1).and_then(|next| next.receipt.peek());
            let is_last = !matches!(next, Some(Outcome::Counted { from: other, .. }) if other == from);
            assert!(is_last, "the state event carried is the last of its span");
        }
        let taken_at = entries[at].at;
        let there = presence.since(event.at, taken_at);
        assert!(there.is_none_or(|there| there < patience), "{from} to {to}: {there:?}");
        // The answer that it relies on was given within a second before.
        let mut answers = entries[..at].iter().filter(|entry| entry.at <= taken_at);
        let is_recent = |entry: &Entry| entry.at + HEARING_AGE_MAX > event.at;
        assert!(
            answers.any(|entry| entry.result.heard == Heard::No && is_recent(entry)),
            "answers are fresh"
        );
        let is_last = accepted
            .get(n + 1)
            .and_then(|next| next.receipt.peek())
            .is_none_or(|next| !matches!(next, Outcome::Counted { from: other, .. } if other == from));
        if is_last {
            let tenth = n.checked_sub(SLOW_EVENTS_MAX).map(|n| accepted[n].at);
            assert!(
                tenth.is_some_and(|tenth| event.at - tenth < SLOW_WINDOW),
                "slow channels are sent whole"
            );
        }
    }
}

/// What came to the listener is what the broker took.
pub(super) fn check_records(records: &[Record], entries: &[Entry], seen: &mut Seen) {
    let log = read_log(entries);
    let mut head = 0;
    for record in records {
        assert!(record.from.get() > head, "order is kept");
        head = record.to.get();
        match &record.body {
            Body::Events(events) => {
                for (seq, event) in (record.from.get()..).zip(events) {
                    assert_eq!(log.seq_of.get(&id(&event.data)), Some(&seq));
                }
                seen.attached += events.len() as u64;
            }
            Body::Counts { .. } => assert!(log.counts.contains_key(&(record.from.get(), head))),
        }
    }
}
