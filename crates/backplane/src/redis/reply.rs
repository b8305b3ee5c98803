//! What Redis replies, taken apart: errors, texts, hashes.
//!
//! Replies are read raw, because only there an error that Redis answered differs from one of the connection: the
//! first says that a command was not run, the second says nothing.
//!
//! fred takes an *array* of 3 or 4 whose first element reads `message`, `subscribe` … for a pub/sub push and drops it;
//! the replies of all callers behind it shift. So no array that is read here begins with what others choose.

use fred::interfaces::Resp3Frame;
use std::collections::HashMap;

/// The text of an error reply.
pub(super) fn error(reply: &Resp3Frame) -> Option<String> {
    match reply {
        Resp3Frame::SimpleError { data, .. } => Some(data.to_string()),
        Resp3Frame::BlobError { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
        _ => None,
    }
}

pub(super) fn text(reply: &Resp3Frame) -> Option<String> {
    match reply {
        Resp3Frame::BlobString { data, .. }
        | Resp3Frame::SimpleString { data, .. }
        | Resp3Frame::VerbatimString { data, .. } => String::from_utf8(data.to_vec()).ok(),
        Resp3Frame::Number { data, .. } => Some(data.to_string()),
        _ => None,
    }
}

/// All elements of an array of texts.
pub(super) fn texts(reply: &Resp3Frame) -> Option<Vec<String>> {
    match reply {
        Resp3Frame::Array { data, .. } => data.iter().map(text).collect(),
        _ => None,
    }
}

/// Elements of an array; `None` where an element is null.
pub(super) fn optional_texts(reply: &Resp3Frame) -> Option<Vec<Option<String>>> {
    match reply {
        Resp3Frame::Array { data, .. } => Some(data.iter().map(text).collect()),
        _ => None,
    }
}

/// The fields of a hash.
pub(super) fn fields(reply: &Resp3Frame) -> Option<HashMap<String, String>> {
    match reply {
        Resp3Frame::Map { data, .. } => {
            data.iter().map(|(field, value)| Some((text(field)?, text(value)?))).collect()
        }
        _ => None,
    }
}

/// The value of a line `name:value` of `INFO`.
pub(super) fn info<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
