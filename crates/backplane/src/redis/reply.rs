//! What Redis replies, taken apart: errors, texts, hashes.
//!
//! Replies are read raw, because only there an error that Redis answered differs from one of the connection: the
//! first says that a command was not run, the second says nothing.
//!
//! fred takes an *array* of 3 or 4 whose first element reads `message`, `subscribe` … for a pub/sub push and drops it;
//! the replies of all callers behind it shift. So no array that is read here begins with what others choose.

use bytes::Bytes;
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

/// The first element of an array; `Some(None)` where it is null.
pub(super) fn first(reply: &Resp3Frame) -> Option<Option<Bytes>> {
    match reply {
        Resp3Frame::Array { data, .. } => match data.first()? {
            Resp3Frame::BlobString { data, .. } => Some(Some(data.clone())),
            Resp3Frame::Null => Some(None),
            _ => None,
        },
        _ => None,
    }
}

/// The fields of a hash.
pub(super) fn fields(reply: &Resp3Frame) -> Option<HashMap<String, Bytes>> {
    let Resp3Frame::Map { data, .. } = reply else { return None };
    let field = |(name, value): (&Resp3Frame, &Resp3Frame)| match value {
        Resp3Frame::BlobString { data, .. } => Some((text(name)?, data.clone())),
        _ => None,
    };
    data.iter().map(field).collect()
}

/// The value of a line `name:value` of `INFO`.
pub(super) fn info<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
