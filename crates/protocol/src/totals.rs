//! How many events of each kind: a channel's totals, or those of a span; kinds with 0 are absent.

use crate::limits::{COUNTS_KINDS_MAX, SEQ_END};
use crate::name::Kind;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts by kind, sorted by kind. A channel's totals have at most 65 entries (64 kinds and `_other`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals(Vec<(Kind, u64)>);

impl Totals {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn get(&self, kind: &str) -> u64 {
        self.find(kind).map_or(0, |at| self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Kind, u64)> {
        self.0.iter().map(|(kind, n)| (kind, *n))
    }

    /// The number of kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All kinds together; saturates.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// Adds `n` events of `kind`; saturates.
    pub fn add(&mut self, kind: &Kind, n: u64) {
        if n == 0 {
            return;
        }
        match self.find(kind.as_str()) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(n),
            Err(at) => self.0.insert(at, (kind.clone(), n)),
        }
    }

    pub fn add_all(&mut self, other: &Self) {
        for (kind, n) in other.iter() {
            self.add(kind, n);
        }
    }

    /// What has come since `earlier`, kind by kind; `None` where a kind has become fewer.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut span = self.clone();
        for (kind, n) in earlier.iter() {
            let at = span.find(kind.as_str()).ok()?;
            span.0[at].1 = span.0[at].1.checked_sub(n)?;
        }
        span.0.retain(|(_, n)| *n > 0);
        Some(span)
    }

    fn find(&self, kind: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, _)| k.as_str().cmp(kind))
    }
}

impl<'a> FromIterator<(&'a Kind, u64)> for Totals {
    fn from_iter<I: IntoIterator<Item = (&'a Kind, u64)>>(counts: I) -> Self {
        let mut totals = Self::new();
        for (kind, n) in counts {
            totals.add(kind, n);
        }
        totals
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (kind, n) in &self.0 {
            map.serialize_entry(kind, n)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Totals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Totals;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of kinds with counts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Totals, A::Error> {
                let mut totals = Totals::new();
                while let Some((kind, n)) = map.next_entry::<Kind, u64>()? {
                    if totals.get(kind.as_str()) > 0 {
                        return Err(serde::de::Error::custom(format!("kind {kind} stands twice")));
                    }
                    if n == 0 || n >= SEQ_END {
                        return Err(serde::de::Error::custom(format!(
                            "the count of {kind} is not from 1 to 2^53-1"
                        )));
                    }
                    if totals.len() == COUNTS_KINDS_MAX {
                        return Err(serde::de::Error::custom(format!("more than {COUNTS_KINDS_MAX} kinds")));
                    }
                    totals.add(&kind, n);
                }
                Ok(totals)
            }
        }
        deserializer.deserialize_map(Counts)
    }
}
