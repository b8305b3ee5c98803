//! One JSON value as the bytes that came, checked once and never rewritten.

use crate::limits::JSON_DEPTH_MAX;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// Why bytes are not one JSON value that can be sent.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("not a JSON value: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("the JSON value is nested deeper than {JSON_DEPTH_MAX}")]
    TooDeep,
}

/// Exactly one valid JSON value, verbatim, without white space around it. Cloning shares the bytes.
///
/// Strings may hold escapes of lone surrogates and numbers may exceed every machine type: JSON's grammar allows both,
/// and nothing here rewrites them.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// Takes the bytes of one JSON value; white space around it is left out.
    ///
    /// # Errors
    /// [`JsonError`] where the bytes are not UTF-8, not exactly one JSON value, or nested too deep.
    pub fn new(bytes: &Bytes) -> Result<Self, JsonError> {
        let value: &RawValue = serde_json::from_slice(bytes)?;
        Self::from_raw(bytes, value).not_too_deep()
    }

    /// The JSON text of a value that serde can write.
    ///
    /// # Errors
    /// [`JsonError`] where serde refuses it (a map with keys that are not strings), or it is nested too deep.
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, JsonError> {
        Self(serde_json::to_vec(value)?.into()).not_too_deep()
    }

    /// A JSON string holding `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let text = serde_json::to_vec(text).expect("a string always has a JSON form");
        Self(text.into())
    }

    /// A value that is known to be valid, and nested no deeper than what it was made of.
    pub(crate) fn from_valid(json: String) -> Self {
        Self(json.into_bytes().into())
    }

    /// A value that serde_json has just recognised inside `bytes`; its depth is not checked yet.
    pub(crate) fn from_raw(bytes: &Bytes, value: &RawValue) -> Self {
        Self(bytes.slice_ref(value.get().as_bytes()))
    }

    /// The same value where `bytes` hold it: they are a copy of its own.
    pub(crate) fn moved(&self, bytes: Bytes) -> Self {
        debug_assert!(self.0 == bytes, "a value is moved, never changed");
        Self(bytes)
    }

    /// Itself, unless it is nested too deep.
    pub(crate) fn not_too_deep(self) -> Result<Self, JsonError> {
        // Most values have so few brackets that the exact walk is not needed.
        let opening = self.0.iter().filter(|b| matches!(b, b'[' | b'{')).count();
        if opening > JSON_DEPTH_MAX && depth(&self.0) > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        Ok(self)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked to be JSON, which is UTF-8, when it was made")
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: a JSON value has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How deep the brackets of a valid JSON value nest.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0usize, 0, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// From a frame: its depth is not checked again, so that a listener takes whatever its server sends.
impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(value)).into_bytes().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_bytes_as_they_came() {
        let raw = RawJson::new(&Bytes::from_static(b" {\"a\" :1.0e2,\"\\u0041\":[ ]}\n")).unwrap();
        assert_eq!(raw.as_str(), "{\"a\" :1.0e2,\"\\u0041\":[ ]}");
        assert_eq!(serde_json::to_string(&raw).unwrap(), raw.as_str());
    }

    #[test]
    fn refuses_what_would_break_a_listeners_parser() {
        let nested = |n: usize| Bytes::from("[".repeat(n) + &"]".repeat(n));
        assert!(RawJson::new(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(matches!(RawJson::new(&nested(JSON_DEPTH_MAX + 1)), Err(JsonError::TooDeep)));
        let flat = format!("[{}\"\\\"[[\"]", "[],{},".repeat(JSON_DEPTH_MAX));
        assert!(RawJson::new(&Bytes::from(flat)).is_ok());
        let text = Bytes::from(format!("\"{}\"", "[".repeat(200)));
        assert!(RawJson::new(&text).is_ok());
    }

    #[test]
    fn refuses_what_is_not_one_value() {
        for bad in [&b""[..], b"{", b"1 2", b"\xff", b"nul", b"{'a':1}"] {
            assert!(RawJson::new(&Bytes::copy_from_slice(bad)).is_err());
        }
    }
}
