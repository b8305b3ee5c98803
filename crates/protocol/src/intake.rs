//! What programs post or print, made into events: the rule for what is ours, what is wrapped, and what is dropped.
//!
//! An object is ours only if it has `kind` and no key beyond kind, class, data and at; then an invalid one is a bad
//! line. Any other value is wrapped whole as `data`; its kind is the first of its fields `event`, `kind`, `type` and
//! `status` that is a valid kind (from `status` it is class state), else `message`.

use crate::event::{Class, Event};
use crate::json::RawJson;
use crate::limits::{BATCH_EVENTS_MAX, EVENT_BYTES_MAX};
use crate::name::Kind;
use crate::number::UnixMs;
use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What to do with a line that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Nothing is published.
    #[default]
    Refuse,
    /// The line is left out and named.
    Skip,
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BadLine {
    /// From 1, counted over the whole body.
    pub line: usize,
    pub message: String,
}

/// The events of a body, and the lines that were skipped.
#[derive(Debug, Default)]
pub struct Intake {
    pub events: Vec<Event>,
    /// The first 100; `skipped_count` has the number of all.
    pub skipped: Vec<BadLine>,
    pub skipped_count: usize,
}

/// Why a body gives no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    #[error("the body is empty; send one JSON value, an array, or one JSON value per line")]
    Empty,
    #[error("line {}: {}", .0.line, .0.message)]
    BadLine(BadLine),
    #[error("the body has more than {BATCH_EVENTS_MAX} events; send it as several")]
    TooMany,
}

/// Bad lines that are named one by one; the rest is only counted.
const NAMED_LINES_MAX: usize = 100;

/// Reads a body: one JSON value, an array of values, concatenated values, or one value per line.
///
/// # Errors
/// [`IntakeError`] names the first bad line, unless lines are skipped.
pub fn read_events(
    body: &Bytes,
    now: UnixMs,
    drop: &[String],
    on_error: OnError,
) -> Result<Intake, IntakeError> {
    let mut intake = Intake::default();
    let mut at = 0;
    while let Some(start) = body[at..].iter().position(|b| !b.is_ascii_whitespace()).map(|skip| at + skip) {
        let mut values = serde_json::Deserializer::from_slice(&body[start..]).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                at = start + values.byte_offset();
                let whole = start == 0 || body[..start].iter().all(u8::is_ascii_whitespace);
                let alone = whole && body[at..].iter().all(u8::is_ascii_whitespace);
                take_value(
                    body,
                    value,
                    alone,
                    start,
                    &mut Sink { intake: &mut intake, now, drop, on_error },
                )?;
            }
            Some(Err(error)) => {
                let line = line_of(body, start) + error.line() - 1;
                let message = format!("not JSON: {error}");
                bad_line(&mut intake, on_error, line, message)?;
                // What cannot be read has no end; the next line is the next place where a value may begin.
                let bad_at = start + offset_of_line(&body[start..], error.line());
                at = body[bad_at..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(body.len(), |end| bad_at + end + 1);
            }
            None => break,
        }
    }
    if intake.events.is_empty() && intake.skipped_count == 0 {
        return Err(IntakeError::Empty);
    }
    Ok(intake)
}

struct Sink<'a> {
    intake: &'a mut Intake,
    now: UnixMs,
    drop: &'a [String],
    on_error: OnError,
}

/// An array that is the whole body is taken apart; anywhere else it is one event's data.
fn take_value(
    body: &Bytes,
    value: &RawValue,
    alone: bool,
    start: usize,
    sink: &mut Sink<'_>,
) -> Result<(), IntakeError> {
    if !(alone && value.get().starts_with('[')) {
        return take_event(body, value, start, sink);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(value.get()).expect("an array of valid JSON values");
    for element in elements {
        let offset = element.get().as_ptr() as usize - body.as_ptr() as usize;
        take_event(body, element, offset, sink)?;
    }
    Ok(())
}

fn take_event(body: &Bytes, value: &RawValue, offset: usize, sink: &mut Sink<'_>) -> Result<(), IntakeError> {
    let raw = RawJson::from_raw(body, value);
    match read_value(raw, sink.now, sink.drop) {
        Ok(_) if sink.intake.events.len() == BATCH_EVENTS_MAX => Err(IntakeError::TooMany),
        Ok(event) => {
            sink.intake.events.push(event);
            Ok(())
        }
        Err(message) => bad_line(sink.intake, sink.on_error, line_of(body, offset), message),
    }
}

fn bad_line(intake: &mut Intake, on_error: OnError, line: usize, message: String) -> Result<(), IntakeError> {
    let bad = BadLine { line, message };
    match on_error {
        OnError::Refuse => Err(IntakeError::BadLine(bad)),
        OnError::Skip => {
            intake.skipped_count += 1;
            if intake.skipped.len() < NAMED_LINES_MAX {
                intake.skipped.push(bad);
            }
            Ok(())
        }
    }
}

fn line_of(body: &[u8], offset: usize) -> usize {
    1 + body[..offset].iter().filter(|b| **b == b'\n').count()
}

/// Where line `line` (from 1) begins.
fn offset_of_line(body: &[u8], line: usize) -> usize {
    if line <= 1 {
        return 0;
    }
    body.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(line - 2).map_or(body.len(), |(at, _)| at + 1)
}

/// Makes one JSON value an event, by the rule of this module. `now` stands in for an `at` that is absent.
///
/// # Errors
/// The message says what is wrong with an object that is ours, or that it is too large.
pub fn read_value(value: RawJson, now: UnixMs, drop: &[String]) -> Result<Event, String> {
    let fields = Fields::of(&value);
    let event = match fields {
        Some(fields) if fields.are_ours() => own_event(&value, &fields, now)?,
        fields => {
            let (kind, class) = fields.as_ref().map_or_else(default_kind, Fields::wrapped_kind);
            Event { kind, class, at: now, data: value }
        }
    };
    let event = if drop.is_empty() { event } else { Event { data: drop_keys(&event.data, drop), ..event } };
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
        fields.get("kind").and_then(string).ok_or("kind must be a string; it names what happened")?;
    let kind = Kind::from_producer(&kind).map_err(|error| error.to_string())?;
    let class = match fields.get("class").map(|class| string(class).map(Cow::into_owned)) {
        None => Class::Bulk,
        Some(Some(class)) if class == "bulk" => Class::Bulk,
        Some(Some(class)) if class == "state" => Class::State,
        Some(_) => return Err("class must be \"bulk\" or \"state\"".into()),
    };
    let at = match fields.get("at") {
        None => now,
        Some(at) => {
            serde_json::from_str(at.get()).map_err(|_| "at must be milliseconds since 1970, below 2^53")?
        }
    };
    let data = match fields.get("data") {
        None => RawJson::new(&Bytes::from_static(b"null")).expect("null is JSON"),
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

/// The top-level fields of an object, in the order they came; a key that stands twice stands here twice.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// `None` for a value that is no object.
    fn of(value: &'a RawJson) -> Option<Self> {
        value.as_str().starts_with('{').then(|| serde_json::from_str(value.as_str()).ok()).flatten()
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    fn are_ours(&self) -> bool {
        let own = |key: &str| matches!(key, "kind" | "class" | "data" | "at");
        self.get("kind").is_some() && self.0.iter().all(|(key, _)| own(key))
    }

    fn wrapped_kind(&self) -> (Kind, Class) {
        for (field, class) in
            [("event", Class::Bulk), ("kind", Class::Bulk), ("type", Class::Bulk), ("status", Class::State)]
        {
            let kind = self.get(field).and_then(string).and_then(|name| Kind::from_producer(&name).ok());
            if let Some(kind) = kind {
                return (kind, class);
            }
        }
        default_kind()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for InOrder<'a> {
            type Value = Fields<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((key.0, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

/// The same object without the named top-level keys; the other values stay verbatim. Other values come back as
/// they are.
#[must_use]
pub fn drop_keys(data: &RawJson, keys: &[String]) -> RawJson {
    let Some(fields) = Fields::of(data) else { return data.clone() };
    let dropped = |key: &str| keys.iter().any(|one| one == key);
    if !fields.0.iter().any(|(key, _)| dropped(key)) {
        return data.clone();
    }
    let mut out = String::from("{");
    for (key, value) in fields.0.iter().filter(|(key, _)| !dropped(key)) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(RawJson::string(key).as_str());
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    RawJson::new(&Bytes::from(out)).expect("made of valid keys and values")
}

#[cfg(test)]
mod tests;
