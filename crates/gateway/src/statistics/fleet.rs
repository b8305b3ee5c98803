//! What a gateway remembers of every gateway: its own samples at once, those of others as they come on `$gateways`.
//!
//! Bounded: [`FLEET_MAX`] gateways, the longest silent go first; each has a bounded history, and is forgotten when
//! nothing came from it for as long as that reaches.

use super::history::{Brief, History, SERIES, STEPS};
use super::sample::Sample;
use crate::limits::{ANSWER_BYTES_MAX, FLEET_MAX, HISTORY_TIME};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Fleet(BTreeMap<String, Member>);

#[derive(Debug, Default)]
struct Member {
    name: String,
    heard_at_s: u64,
    history: History,
}

impl Fleet {
    /// The gateway's own sample, also where the broker is away.
    pub(super) fn note_own(&mut self, id: &str, name: &str, sample: &Sample, at_s: u64) {
        let json = serde_json::to_value(sample).unwrap_or_default();
        if let Ok(brief) = serde_json::from_value::<Brief>(json) {
            debug_assert!(brief.gateway == id && brief.name == name);
            self.put(&brief, at_s);
        }
        self.0.retain(|_, member| at_s.saturating_sub(member.heard_at_s) <= HISTORY_TIME.as_secs());
    }

    /// Another gateway's sample; `own` comes back from the broker as well, and is known already.
    pub(crate) fn note(&mut self, own: &str, sample: &str, at_s: u64) -> Result<(), serde_json::Error> {
        let brief: Brief = serde_json::from_str(sample)?;
        if brief.gateway != own {
            self.put(&brief, at_s);
        }
        Ok(())
    }

    fn put(&mut self, brief: &Brief, at_s: u64) {
        if !self.0.contains_key(&brief.gateway) && self.0.len() == FLEET_MAX {
            let silent = self.0.iter().min_by_key(|(_, member)| member.heard_at_s);
            if let Some(silent) = silent.map(|(id, _)| id.clone()) {
                self.0.remove(&silent);
            }
        }
        let member = self.0.entry(cut(&brief.gateway)).or_default();
        if member.name.is_empty() {
            member.name = cut(&brief.name);
        }
        member.heard_at_s = at_s;
        member.history.note(at_s, &brief.values());
    }

    pub(crate) fn knows(&self, gateway: &str) -> bool {
        self.0.contains_key(gateway)
    }

    /// The history of all gateways as `gateways` objects of answers, each within [`ANSWER_BYTES_MAX`]. `step` is an index
    /// into [`STEPS`].
    pub(super) fn history(&self, step: usize, from_s: u64, to_s: u64) -> Vec<Value> {
        let mut parts = Vec::new();
        let mut part = Part::default();
        for (id, member) in &self.0 {
            let mut lines = Lines::default();
            for (at, values) in member.history.points(step, from_s, to_s) {
                let texts = values.map(text);
                let bytes = 12 + texts.iter().map(|text| text.1 + 1).sum::<usize>();
                if part.bytes + lines.bytes + bytes > ANSWER_BYTES_MAX - PART_BYTES {
                    part.put(id, &member.name, std::mem::take(&mut lines));
                    parts.push(std::mem::take(&mut part).gateways.into());
                }
                lines.push(*at, texts.map(|text| text.0), bytes);
            }
            part.put(id, &member.name, lines);
        }
        if !part.gateways.is_empty() || parts.is_empty() {
            parts.push(part.gateways.into());
        }
        parts
    }
}

/// What an answer has around its lines: its own fields, and per gateway names and keys.
const PART_BYTES: usize = 4 * 1024;
const MEMBER_BYTES: usize = 512;

/// An answer's `gateways` as far as it is filled.
#[derive(Default)]
struct Part {
    gateways: Map<String, Value>,
    bytes: usize,
}

/// One gateway's points by series.
#[derive(Default)]
struct Lines {
    at: Vec<u64>,
    series: [Vec<Value>; SERIES.len()],
    bytes: usize,
}

impl Lines {
    fn push(&mut self, at: u64, values: [Value; SERIES.len()], bytes: usize) {
        self.at.push(at);
        for (series, value) in self.series.iter_mut().zip(values) {
            series.push(value);
        }
        self.bytes += bytes;
    }
}

impl Part {
    fn put(&mut self, id: &str, name: &str, lines: Lines) {
        if lines.at.is_empty() {
            return;
        }
        let series: Map<_, _> = SERIES
            .iter()
            .zip(lines.series)
            .map(|((name, _), values)| ((*name).to_owned(), values.into()))
            .collect();
        self.bytes += MEMBER_BYTES + lines.bytes;
        self.gateways.insert(id.to_owned(), json!({ "name": name, "at": lines.at, "series": series }));
    }
}

/// A value with at most two decimals, and the bytes of its text.
fn text(value: Option<f64>) -> (Value, usize) {
    let value = match value.map(|value| (value * 100.0).round() / 100.0) {
        None => Value::Null,
        Some(whole) if whole.fract() == 0.0 && whole.abs() < 9e15 => (whole as i64).into(),
        Some(value) => value.into(),
    };
    let bytes = value.to_string().len();
    (value, bytes)
}

/// Names come from other processes.
fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The index of a step of so many seconds.
pub(super) fn step_index(seconds: u64) -> Option<usize> {
    STEPS.iter().position(|step| *step == seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(gateway: &str, connections: u64) -> String {
        json!({
            "gateway": gateway, "name": "n", "connections": connections,
            "connections_by_rung": {"full": 1, "counts": 2, "summary": 3},
            "in": {"events": 123_456}, "out": {"frames": 12_345_678, "bytes": 123_456_789_012_u64},
            "latency_ms": {"p50": 1, "p99": null}, "redis": {"up": true, "probe_ms": 0.123_456},
            "account": {"lost": 0}, "cpu_percent": 12.5, "rss_bytes": 123_456_789_012_u64,
        })
        .to_string()
    }

    #[test]
    fn the_longest_silent_go_first_and_the_own_one_is_known_already() {
        let mut fleet = Fleet::default();
        for n in 0..FLEET_MAX as u64 + 3 {
            fleet.note("own", &sample(&format!("g{n}"), n), 100 + n).unwrap();
        }
        fleet.note("own", &sample("own", 1), 500).unwrap();
        assert_eq!(fleet.0.len(), FLEET_MAX);
        assert!(!fleet.knows("g2") && fleet.knows("g3") && !fleet.knows("own"));
        assert!(fleet.note("own", "{\"gateway\":7}", 501).is_err());
    }

    #[test]
    fn history_comes_in_parts_that_fit_and_lose_nothing() {
        let mut fleet = Fleet::default();
        for second in 0..300 {
            for n in 0..FLEET_MAX {
                fleet
                    .note("own", &sample(&format!("gateway-number-{n}"), second), 1_700_000_000 + second)
                    .unwrap();
            }
        }
        let parts = fleet.history(0, 0, u64::MAX);
        assert!(parts.len() > 10, "{}", parts.len());
        let mut points = 0;
        for part in &parts {
            let bytes = part.to_string().len();
            assert!(bytes <= ANSWER_BYTES_MAX - 512, "{bytes}");
            for member in part.as_object().unwrap().values() {
                let at = member["at"].as_array().unwrap().len();
                for (name, _) in SERIES {
                    assert_eq!(member["series"][name].as_array().unwrap().len(), at, "{name}");
                }
                points += at;
            }
        }
        assert_eq!(points, 300 * FLEET_MAX);
        assert_eq!(fleet.history(1, 0, 5), [json!({})]);
    }
}
