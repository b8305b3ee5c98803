//! Frames between gateways and clients: one JSON object per websocket text frame, told apart by `type`.

pub(crate) mod client;
pub(crate) mod error;
mod events;
pub(crate) mod server;

pub use events::write_events_frame;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The one field that every frame has.
#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow, rename = "type")]
    tag: Cow<'a, str>,
}

/// Writes `{"type":tag,` and then the fields of `body`.
fn tagged(tag: &str, body: &impl Serialize) -> String {
    let mut out = format!("{{\"type\":\"{tag}\",").into_bytes();
    let fields_at = out.len();
    serde_json::to_writer(&mut out, body).expect("frames have string keys only, and memory takes every byte");
    // The body starts with `{`; a body without fields leaves `{}`, and then the comma goes as well.
    out.remove(fields_at);
    if out.len() == fields_at + 1 {
        out.remove(fields_at - 1);
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}
