//! Positions and times that must not be swapped by mistake: seq, epoch, milliseconds since the epoch of Unix.

use crate::limits::{EPOCH_BYTES_MAX, SEQ_END};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Gapless position of an event in its channel: 1, 2, 3 …, below 2^53. 0 is the position before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
pub struct Seq(u64);

impl Seq {
    pub const ZERO: Self = Self(0);

    /// `None` at or above 2^53.
    #[must_use]
    pub fn new(seq: u64) -> Option<Self> {
        (seq < SEQ_END).then_some(Self(seq))
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one. Saturates just below 2^53, where publishing is refused anyway.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The position `n` further; saturates just below 2^53.
    #[must_use]
    pub fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n).min(SEQ_END - 1))
    }

    /// How many events lie after `earlier`, up to and including this one; 0 where `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seq = u64::deserialize(deserializer)?;
        Self::new(seq).ok_or_else(|| serde::de::Error::custom("a seq must be below 2^53"))
    }
}

/// Why an epoch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an epoch has 1 to 32 printable ASCII characters without quote or backslash")]
pub struct EpochError;

/// Identity of a channel's numbering: opaque, 1 to 32 printable ASCII characters, compared only for equality.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// # Errors
    /// [`EpochError`] where it is empty, too long, or holds other than printable ASCII.
    pub fn new(epoch: &str) -> Result<Self, EpochError> {
        let printable = |b: u8| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\';
        if epoch.is_empty() || epoch.len() > EPOCH_BYTES_MAX || !epoch.bytes().all(printable) {
            return Err(EpochError);
        }
        Ok(Self(epoch.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let epoch = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&epoch).map_err(serde::de::Error::custom)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z by somebody's clock. It never orders anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
pub struct UnixMs(u64);

impl UnixMs {
    /// Values at or above 2^53 are cut to the largest below it, so that every JSON reader holds them.
    #[must_use]
    pub fn new(ms: u64) -> Self {
        Self(ms.min(SEQ_END - 1))
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if ms >= SEQ_END {
            return Err(serde::de::Error::custom("a time is milliseconds since 1970, below 2^53"));
        }
        Ok(Self(ms))
    }
}
