//! One gateway's last hours in bounded memory: 5 minutes by the second, an hour by ten, six hours by the minute.
//!
//! A point of a coarser step is the mean of its seconds; of the slowest deliveries and the probe the worst, of the link
//! whether it was up all the time, of what was lost the newest. Seconds are those of the gateway that remembers.

use crate::limits::HISTORY_POINTS;
use serde::Deserialize;
use std::collections::VecDeque;

/// What a point has, in the order of its values. `None`: nothing was there to measure.
pub(super) const SERIES: [(&str, Fold); 14] = [
    ("connections", Fold::Mean),
    ("events_in", Fold::Mean),
    ("deliveries", Fold::Mean),
    ("out_bytes", Fold::Mean),
    ("rung_full", Fold::Mean),
    ("rung_counts", Fold::Mean),
    ("rung_summary", Fold::Mean),
    ("p50", Fold::Mean),
    ("p99", Fold::Most),
    ("probe_ms", Fold::Most),
    ("up", Fold::Least),
    ("cpu", Fold::Mean),
    ("rss", Fold::Mean),
    ("lost", Fold::Newest),
];

/// Seconds between two points.
pub(super) const STEPS: [u64; 3] = [1, 10, 60];

pub(super) type Values = [Option<f64>; SERIES.len()];

/// How seconds become one point of a coarser step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Mean,
    Most,
    Least,
    Newest,
}

/// Of one gateway.
#[derive(Debug, Default)]
pub(super) struct History {
    rings: [Ring; 3],
}

#[derive(Debug, Default)]
struct Ring {
    points: VecDeque<(u64, Values)>,
    /// The slot under way: its beginning, its values so far, how many seconds had each.
    slot: Option<(u64, Values, [u32; SERIES.len()])>,
}

/// What of a sample is remembered.
#[derive(Debug, Deserialize)]
pub(super) struct Brief {
    pub(super) gateway: String,
    pub(super) name: String,
    connections: f64,
    connections_by_rung: BriefRungs,
    #[serde(rename = "in")]
    intake: BriefIn,
    out: BriefOut,
    latency_ms: BriefLatency,
    redis: Option<BriefLink>,
    account: BriefAccount,
    cpu_percent: Option<f64>,
    rss_bytes: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct BriefRungs {
    full: f64,
    counts: f64,
    summary: f64,
}

#[derive(Debug, Deserialize)]
struct BriefIn {
    events: f64,
}

#[derive(Debug, Deserialize)]
struct BriefOut {
    frames: f64,
    bytes: f64,
}

#[derive(Debug, Deserialize)]
struct BriefLatency {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct BriefLink {
    up: bool,
    probe_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct BriefAccount {
    lost: f64,
}

impl Brief {
    pub(super) fn values(&self) -> Values {
        let rungs = &self.connections_by_rung;
        [
            Some(self.connections),
            Some(self.intake.events),
            Some(self.out.frames),
            Some(self.out.bytes),
            Some(rungs.full),
            Some(rungs.counts),
            Some(rungs.summary),
            self.latency_ms.p50,
            self.latency_ms.p99,
            self.redis.as_ref().and_then(|link| link.probe_ms),
            self.redis.as_ref().map(|link| f64::from(u8::from(link.up))),
            self.cpu_percent,
            self.rss_bytes,
            Some(self.account.lost),
        ]
    }
}

impl History {
    pub(super) fn note(&mut self, at_s: u64, values: &Values) {
        for ((ring, step), max) in self.rings.iter_mut().zip(STEPS).zip(HISTORY_POINTS) {
            ring.note(at_s, step, max, values);
        }
    }

    /// Points of a step (an index into [`STEPS`]) from `from_s` to `to_s`, both included; the oldest first.
    pub(super) fn points(&self, step: usize, from_s: u64, to_s: u64) -> impl Iterator<Item = &(u64, Values)> {
        self.rings[step].points.iter().filter(move |(at, _)| (from_s..=to_s).contains(at))
    }
}

impl Ring {
    fn note(&mut self, at_s: u64, step: u64, points_max: usize, values: &Values) {
        let start = at_s - at_s % step;
        if step == 1 {
            return self.push(start, *values, points_max);
        }
        if let Some((began, folded, _)) = self.slot.take_if(|(began, ..)| *began != start) {
            self.push(began, folded, points_max);
        }
        let (_, folded, seen) = self.slot.get_or_insert((start, [None; SERIES.len()], [0; SERIES.len()]));
        for (n, (_, fold)) in SERIES.iter().enumerate() {
            let Some(value) = values[n] else { continue };
            seen[n] += 1;
            folded[n] = Some(match (folded[n], fold) {
                (None, _) | (_, Fold::Newest) => value,
                (Some(mean), Fold::Mean) => mean + (value - mean) / f64::from(seen[n]),
                (Some(most), Fold::Most) => most.max(value),
                (Some(least), Fold::Least) => least.min(value),
            });
        }
    }

    /// A clock that went back, or a second sample in one second, replaces nothing.
    fn push(&mut self, at: u64, values: Values, points_max: usize) {
        if self.points.back().is_some_and(|(newest, _)| *newest >= at) {
            return;
        }
        if self.points.len() == points_max {
            self.points.pop_front();
        }
        self.points.push_back((at, values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: f64) -> Values {
        [Some(n); SERIES.len()]
    }

    #[test]
    fn each_step_has_its_length_and_folds_as_it_says() {
        let mut history = History::default();
        for second in 0..7 * 3_600 {
            history.note(second, &values((second % 60) as f64));
        }
        for (step, max) in HISTORY_POINTS.into_iter().enumerate() {
            assert_eq!(history.points(step, 0, u64::MAX).count(), max, "step {step}");
        }
        let (at, minute) = history.points(2, 0, 7 * 3_600).last().unwrap();
        assert_eq!(*at, 7 * 3_600 - 120, "the minute under way is not told");
        for (n, (name, fold)) in SERIES.iter().enumerate() {
            let wanted = match fold {
                Fold::Mean => 29.5,
                Fold::Most | Fold::Newest => 59.0,
                Fold::Least => 0.0,
            };
            assert!((minute[n].unwrap() - wanted).abs() < 1e-9, "{name}: {:?}", minute[n]);
        }
        let seconds: Vec<_> = history.points(0, 7 * 3_600 - 5, 7 * 3_600 - 3).map(|(at, _)| *at).collect();
        assert_eq!(seconds, [25_195, 25_196, 25_197]);
    }

    #[test]
    fn what_was_not_there_to_measure_stays_away() {
        let mut history = History::default();
        let mut some = values(1.0);
        some[7] = None;
        for second in 0..25 {
            history.note(second, &some);
        }
        let points: Vec<_> = history.points(1, 0, 100).collect();
        assert_eq!((points.len(), points[0].1[7], points[0].1[8]), (2, None, Some(1.0)));
    }
}
