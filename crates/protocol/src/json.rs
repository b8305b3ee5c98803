//! One JSON value as the bytes that came, checked once and never rewritten.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// Why bytes are not one JSON value.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON value: {0}")]
pub struct JsonError(#[from] serde_json::Error);

/// Exactly one valid JSON value, verbatim, without white space around it. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// Takes the bytes of one JSON value; white space around it is left out.
    ///
    /// # Errors
    /// [`JsonError`] where the bytes are not UTF-8 or not exactly one JSON value.
    pub fn new(bytes: &Bytes) -> Result<Self, JsonError> {
        let value: &RawValue = serde_json::from_slice(bytes)?;
        Ok(Self(bytes.slice_ref(value.get().as_bytes())))
    }

    /// The JSON text of a value that serde can write.
    ///
    /// # Errors
    /// [`JsonError`] where serde refuses it (a map with keys that are not strings).
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, JsonError> {
        Ok(Self(serde_json::to_vec(value)?.into()))
    }

    /// A JSON string holding `text`.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let text = serde_json::to_vec(text).expect("a string always has a JSON form");
        Self(text.into())
    }

    /// A value that serde_json has just recognised inside `bytes`.
    pub(crate) fn from_raw(bytes: &Bytes, value: &RawValue) -> Self {
        Self(bytes.slice_ref(value.get().as_bytes()))
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
    fn refuses_what_is_not_one_value() {
        for bad in [&b""[..], b"{", b"1 2", b"\xff", b"nul", b"{'a':1}"] {
            assert!(RawJson::new(&Bytes::copy_from_slice(bad)).is_err());
        }
    }
}
