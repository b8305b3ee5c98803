//! The newest things that happened, oldest first: events, spans that were only counted, and turns of fate.
//!
//! A ring of [`ENTRIES_MAX`] entries. Spans of one channel that were counted for the same reason, with nothing else of
//! the channel between them, are one entry that grows and stays the newest.

use crate::watch::text::data_line;
use std::collections::VecDeque;
use tally_client::protocol::{RawJson, UnixMs};
use tally_client::{Kind, Rung, Totals, Why};

/// The oldest one makes room.
const ENTRIES_MAX: usize = 500;

#[derive(Debug, Clone)]
pub(in crate::watch) struct Entry {
    /// The channel, by its place; `None` for what concerns all.
    pub(in crate::watch) channel: Option<usize>,
    /// When it happened: the producer's clock for events, this machine's for all else.
    pub(in crate::watch) at: UnixMs,
    pub(in crate::watch) what: What,
}

#[derive(Debug, Clone)]
pub(in crate::watch) enum What {
    Event {
        kind: Kind,
        is_state: bool,
        data: String,
    },
    /// A courtesy copy: it is part of a counted span.
    Sample {
        kind: Kind,
        data: String,
    },
    /// Events that came as numbers, by a counts (`Rung::Counts`) or summary frame.
    Counted {
        form: Rung,
        why: Why,
        span: Totals,
    },
    /// In words, and whether they are bad news.
    Turn {
        words: String,
        bad: bool,
    },
}

#[derive(Debug, Clone, Default)]
pub(in crate::watch) struct Recent {
    entries: VecDeque<Entry>,
    /// How many there ever were.
    pushed: u64,
}

impl Recent {
    pub(in crate::watch) fn newest(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    pub(in crate::watch) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::watch) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(super) fn push_event(
        &mut self,
        channel: usize,
        at: UnixMs,
        kind: &Kind,
        is_state: bool,
        data: &RawJson,
    ) {
        let what = What::Event { kind: kind.clone(), is_state, data: data_line(data.as_str()) };
        self.push(Entry { channel: Some(channel), at, what });
    }

    pub(super) fn push_sample(&mut self, channel: usize, at: UnixMs, kind: &Kind, data: &RawJson) {
        let what = What::Sample { kind: kind.clone(), data: data_line(data.as_str()) };
        self.push(Entry { channel: Some(channel), at, what });
    }

    pub(super) fn push_turn(&mut self, channel: Option<usize>, at: UnixMs, words: String, bad: bool) {
        self.push(Entry { channel, at, what: What::Turn { words, bad } });
    }

    /// Takes the span that is still growing out of the ring, so that it can be put back as the newest.
    pub(super) fn take_counted(&mut self, channel: usize, form: Rung, why: Why) -> Totals {
        for (i, entry) in self.entries.iter().enumerate().rev() {
            let own = entry.channel.is_none_or(|of| of == channel);
            match &entry.what {
                _ if !own => {}
                What::Sample { .. } => {}
                What::Counted { form: f, why: w, span } if *f == form && *w == why => {
                    let span = span.clone();
                    self.entries.remove(i);
                    self.pushed -= 1;
                    return span;
                }
                What::Counted { .. } | What::Event { .. } | What::Turn { .. } => break,
            }
        }
        Totals::new()
    }

    pub(super) fn push_counted(&mut self, channel: usize, at: UnixMs, form: Rung, why: Why, span: Totals) {
        self.push(Entry { channel: Some(channel), at, what: What::Counted { form, why, span } });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.pushed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(n: u64) -> Totals {
        [(&Kind::new("ok").unwrap(), n)].into_iter().collect()
    }

    fn count(recent: &mut Recent, channel: usize, why: Why) {
        let mut span = recent.take_counted(channel, Rung::Counts, why);
        span.add_all(&totals(1));
        recent.push_counted(channel, UnixMs::new(1), Rung::Counts, why, span);
    }

    fn spans(recent: &Recent) -> Vec<(Option<usize>, u64)> {
        let spans = recent.entries.iter().filter_map(|entry| match &entry.what {
            What::Counted { span, .. } => Some((entry.channel, span.sum())),
            _ => None,
        });
        spans.collect()
    }

    #[test]
    fn counted_spans_grow_until_something_else_comes() {
        let mut recent = Recent::default();
        let (kind, data) = (Kind::new("ok").unwrap(), RawJson::string("x"));
        count(&mut recent, 0, Why::Throttled);
        recent.push_sample(0, UnixMs::new(1), &kind, &data);
        count(&mut recent, 0, Why::Throttled);
        count(&mut recent, 1, Why::Throttled);
        count(&mut recent, 0, Why::Throttled);
        assert_eq!(spans(&recent), [(Some(1), 1), (Some(0), 3)]);
        count(&mut recent, 0, Why::Replay);
        recent.push_event(0, UnixMs::new(1), &kind, false, &data);
        count(&mut recent, 0, Why::Replay);
        recent.push_turn(None, UnixMs::new(1), "reconnected".into(), false);
        count(&mut recent, 1, Why::Throttled);
        assert_eq!(spans(&recent), [(Some(1), 1), (Some(0), 3), (Some(0), 1), (Some(0), 1), (Some(1), 1)]);
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut recent = Recent::default();
        for n in 0..2_000 {
            recent.push_turn(None, UnixMs::new(n), "x".into(), false);
        }
        assert_eq!((recent.entries.len(), recent.pushed()), (ENTRIES_MAX, 2_000));
        assert_eq!(recent.newest().next().unwrap().at, UnixMs::new(1_999));
    }
}
