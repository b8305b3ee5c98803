//! How much detail a subscription gets (rung), the reason for a reduced form (why), and the ticks to choose from.

use serde::{Deserialize, Serialize};
use std::fmt;

/// From the least detail to the most, so that the lowest of several is their minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    Summary,
    Counts,
    #[default]
    Full,
}

impl Rung {
    pub const ALL: [Self; 3] = [Self::Summary, Self::Counts, Self::Full];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Counts => "counts",
            Self::Full => "full",
        }
    }

    /// One rung up; `full` stays.
    #[must_use]
    pub const fn up(self) -> Self {
        match self {
            Self::Summary => Self::Counts,
            Self::Counts | Self::Full => Self::Full,
        }
    }
}

/// Why a listener got a reduced form. (`filtered` is reserved.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The client asked for this rung.
    Asked,
    /// More events came than the granted rate.
    Throttled,
    /// The client's connection did not take what was due to it.
    Backpressure,
    /// The producer withheld payloads because nobody listened.
    Unheard,
    /// The gateway or the producer could not reach the broker, or payloads were lost on the way.
    Upstream,
    /// The span is older than what a resume or `last` replays.
    Replay,
}

impl Why {
    pub const ALL: [Self; 6] =
        [Self::Asked, Self::Throttled, Self::Backpressure, Self::Unheard, Self::Upstream, Self::Replay];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Throttled => "throttled",
            Self::Backpressure => "backpressure",
            Self::Unheard => "unheard",
            Self::Upstream => "upstream",
            Self::Replay => "replay",
        }
    }
}

/// How often a subscription at `counts` may get a frame: 250, 1,000 or 5,000 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub enum TickMs {
    #[default]
    Ms250,
    Ms1000,
    Ms5000,
}

impl TickMs {
    pub const ALL: [Self; 3] = [Self::Ms250, Self::Ms1000, Self::Ms5000];

    #[must_use]
    pub const fn as_millis(self) -> u64 {
        match self {
            Self::Ms250 => 250,
            Self::Ms1000 => 1_000,
            Self::Ms5000 => 5_000,
        }
    }
}

impl TryFrom<u64> for TickMs {
    type Error = String;
    fn try_from(ms: u64) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tick| tick.as_millis() == ms)
            .ok_or_else(|| format!("tick_ms is {ms}; it must be 250, 1000 or 5000"))
    }
}

impl From<TickMs> for u64 {
    fn from(tick: TickMs) -> Self {
        tick.as_millis()
    }
}

macro_rules! words {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    format!("{word:?} is none of {}", words.join(", "))
                })
            }
        }
    )*};
}

words!(Rung, Why);
