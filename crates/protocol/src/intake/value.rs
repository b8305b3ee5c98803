//! The rule for one value: what is ours, what is wrapped, and what is dropped.
//!
//! An object is ours only if it has `kind` and no key beyond kind, class, data and at; then an invalid one is a bad
//! line. Any other value is wrapped whole as `data`; its kind is the first of its fields `event`, `kind`, `type` and
//! `status` that is a valid kind (from `status` it is class state), else `message`.

use crate::event::{Class, Event};
use crate::json::RawJson;
use crate::limits::EVENT_BYTES_MAX;
use crate::name::Kind;
use crate::number::UnixMs;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Makes one JSON value an event, by the rule of this module. `now` stands in for an `at` that is absent.
///
/// # Errors
/// The message says what is wrong with an object that is ours, or that it is too large or nested too deep.
pub fn read_value(value: RawJson, now: UnixMs, drop: &[String]) -> Result<Event, String> {
    let fields = Fields::of(&value);
    let event = match fields {
        Some(fields) if fields.are_ours() => own_event(&value, &fields, now)?,
        fields => {
            let (kind, class) = fields.as_ref().map_or_else(default_kind, Fields::wrapped_kind);
            Event { kind, class, at: now, data: value }
        }
    };
    let data = if drop.is_empty() { event.data } else { drop_keys(&event.data, drop) };
    let data = data.not_too_deep().map_err(|error| error.to_string())?;
    let event = Event { data, ..event };
    if event.data.len() > EVENT_BYTES_MAX {
        return Err(format!(
            "the event has {} bytes of data; at most {EVENT_BYTES_MAX} are allowed",
            event.data.len()
        ));
    }
    Ok(event)
}

fn default_kind() -> (Kind, Class) {
    (Kind::new("message").expect("message is a valid kind"), Class::Bulk)
}

fn own_event(value: &RawJson, fields: &Fields<'_>, now: UnixMs) -> Result<Event, String> {
    let kind: Cow<'_, str> =
        fields.kind.and_then(string).ok_or("kind must be a string; it names what happened")?;
    let kind = Kind::from_producer(&kind).map_err(|error| error.to_string())?;
    let class = match fields.class.map(|class| string(class).map(Cow::into_owned)) {
        None => Class::Bulk,
        Some(Some(class)) if class == "bulk" => Class::Bulk,
        Some(Some(class)) if class == "state" => Class::State,
        Some(_) => return Err("class must be \"bulk\" or \"state\"".into()),
    };
    let at = match fields.at {
        None => now,
        Some(at) => {
            serde_json::from_str(at.get()).map_err(|_| "at must be milliseconds since 1970, below 2^53")?
        }
    };
    let data = match fields.data {
        None => RawJson::from_valid("null".to_owned()),
        Some(data) => RawJson::from_raw(value.as_bytes(), data),
    };
    Ok(Event { kind, class, at, data })
}

fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    // `Cow` borrows only behind a wrapper with the attribute.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

/// What the rule needs of an object's top-level fields; of a key that stands twice, the last.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a RawValue>,
    class: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    at: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
    r#type: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    /// Whether there is a key beyond kind, class, data and at.
    has_others: bool,
}

impl<'a> Fields<'a> {
    /// `None` for a value that is no object.
    fn of(value: &'a RawJson) -> Option<Self> {
        let mut fields = Self::default();
        for_each_field(value, |key, value| fields.put(key, value))?;
        Some(fields)
    }

    fn put(&mut self, key: &'a RawValue, value: &'a RawValue) {
        let own = match string(key).as_deref() {
            Some("kind") => &mut self.kind,
            Some("class") => &mut self.class,
            Some("data") => &mut self.data,
            Some("at") => &mut self.at,
            other => {
                self.has_others = true;
                match other {
                    Some("event") => &mut self.event,
                    Some("type") => &mut self.r#type,
                    Some("status") => &mut self.status,
                    _ => return,
                }
            }
        };
        *own = Some(value);
    }

    fn are_ours(&self) -> bool {
        self.kind.is_some() && !self.has_others
    }

    fn wrapped_kind(&self) -> (Kind, Class) {
        for (field, class) in [
            (self.event, Class::Bulk),
            (self.kind, Class::Bulk),
            (self.r#type, Class::Bulk),
            (self.status, Class::State),
        ] {
            let kind = field.and_then(string).and_then(|name| Kind::from_producer(&name).ok());
            if let Some(kind) = kind {
                return (kind, class);
            }
        }
        default_kind()
    }
}

/// Calls `take` with each top-level key and value, verbatim; `None` for a value that is no object.
fn for_each_field<'a>(value: &'a RawJson, take: impl FnMut(&'a RawValue, &'a RawValue)) -> Option<()> {
    struct InOrder<F>(F);
    impl<'de, F: FnMut(&'de RawValue, &'de RawValue)> Visitor<'de> for InOrder<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
                (self.0)(key, value);
            }
            Ok(())
        }
    }
    if !value.as_bytes().starts_with(b"{") {
        return None;
    }
    serde_json::Deserializer::from_str(value.as_str()).deserialize_map(InOrder(take)).ok()
}

/// The same object without the named top-level keys; the other keys and values stay verbatim. Other values come back
/// as they are.
#[must_use]
pub fn drop_keys(data: &RawJson, keys: &[String]) -> RawJson {
    let mut out = String::from("{");
    let mut has_dropped = false;
    let object = for_each_field(data, |key, value| {
        if string(key).is_some_and(|key| keys.iter().any(|one| *one == key)) {
            has_dropped = true;
            return;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(key.get());
        out.push(':');
        out.push_str(value.get());
    });
    if object.is_none() || !has_dropped {
        return data.clone();
    }
    out.push('}');
    RawJson::from_valid(out)
}
