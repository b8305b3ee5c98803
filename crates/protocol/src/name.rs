//! Names that come from outside: channels, kinds and producers, checked once and cheap to clone.

use crate::limits::{CHANNEL_BYTES_MAX, KIND_BYTES_MAX, PRODUCER_BYTES_MAX};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// Why a name was refused; the message says what the rule is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} {rule}")]
pub struct NameError {
    what: &'static str,
    name: String,
    rule: String,
}

impl NameError {
    fn new(what: &'static str, name: &str, rule: impl Into<String>) -> Self {
        let shown: String = name.chars().take(80).collect();
        Self { what, name: shown, rule: rule.into() }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the rules of this name.
            ///
            /// # Errors
            /// [`NameError`] says which rule does not hold.
            pub fn new(name: &str) -> Result<Self, NameError> {
                $check(name)?;
                Ok(Self(name.into()))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// A channel: 1 to 200 bytes of `A-Z a-z 0-9 . _ : @ ~ = + , -`; with a leading `$` it is Tally's own.
    ChannelName, check_channel
}

name! {
    /// A kind: 1 to 64 bytes of `A-Z a-z 0-9 . _ : -`. One that starts with `_` is Tally's own (`_other`) and is
    /// refused from producers by [`Kind::from_producer`].
    Kind, check_kind
}

name! {
    /// A producer: its name and a random part, 1 to 100 bytes of the alphabet of channels.
    ProducerId, check_producer
}

impl ChannelName {
    /// Whether the channel is Tally's own (`$…`): clients reach those on the admin port only.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl Kind {
    /// What events of kinds beyond the 64th are tallied as.
    #[must_use]
    pub fn other() -> Self {
        static OTHER: LazyLock<Kind> = LazyLock::new(|| Kind("_other".into()));
        OTHER.clone()
    }

    /// Whether the kind is Tally's own (`_…`), which no producer may use.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.starts_with('_')
    }

    /// A kind as a producer may give it: not starting with `_`.
    ///
    /// # Errors
    /// [`NameError`] says which rule does not hold.
    pub fn from_producer(name: &str) -> Result<Self, NameError> {
        let kind = Self::new(name)?;
        if kind.is_own() {
            return Err(NameError::new(
                "kind",
                name,
                "starts with `_`, which is reserved; choose another name",
            ));
        }
        Ok(kind)
    }
}

fn check_channel(name: &str) -> Result<(), NameError> {
    let rest = name.strip_prefix('$').unwrap_or(name);
    if rest.is_empty() {
        return Err(NameError::new("channel", name, "is empty"));
    }
    check("channel", name, rest, CHANNEL_BYTES_MAX, ". _ : @ ~ = + , -", |b| b".:@~=+,-_".contains(&b))
}

fn check_kind(name: &str) -> Result<(), NameError> {
    check("kind", name, name, KIND_BYTES_MAX, ". _ : -", |b| b".:-_".contains(&b))
}

fn check_producer(name: &str) -> Result<(), NameError> {
    check("producer", name, name, PRODUCER_BYTES_MAX, ". _ : @ ~ = + , -", |b| b".:@~=+,-_".contains(&b))
}

fn check(
    what: &'static str,
    name: &str,
    rest: &str,
    bytes_max: usize,
    marks: &str,
    is_mark: impl Fn(u8) -> bool,
) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::new(what, name, "is empty"));
    }
    if name.len() > bytes_max {
        let rule = format!("has {} bytes; at most {bytes_max} are allowed", name.len());
        return Err(NameError::new(what, name, rule));
    }
    match rest.bytes().find(|b| !b.is_ascii_alphanumeric() && !is_mark(*b)) {
        None => Ok(()),
        Some(_) => Err(NameError::new(what, name, format!("may only contain A-Z a-z 0-9 {marks}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_keep_their_rules() {
        for good in ["job:42", "$node:a", "a", "A.z_0:@~=+,-", &"x".repeat(200)] {
            assert!(ChannelName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "$", "a b", "a/b", "a{b}", "ä", "a$", &"x".repeat(201)] {
            assert!(ChannelName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_keep_their_rules() {
        for good in ["ok", "runner_on_ok", "a.b:c-d", &"k".repeat(64)] {
            assert!(Kind::from_producer(good).is_ok(), "{good}");
        }
        for bad in ["", "_other", "_x", "a b", "a,b", &"k".repeat(65)] {
            assert!(Kind::from_producer(bad).is_err(), "{bad}");
        }
        assert_eq!(Kind::new("_other").unwrap(), Kind::other());
    }
}
