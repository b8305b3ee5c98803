//! Frames between gateways and clients: one JSON object per websocket text frame, told apart by `type`.

pub(crate) mod client;
pub(crate) mod error;
mod events;
mod object;
pub(crate) mod server;

pub use events::{move_into_frame, write_events_frame, write_events_frame_after};

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The one field that every frame has.
#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow, rename = "type")]
    tag: Cow<'a, str>,
}

/// Writes `{"type":tag` and then the fields of `body`.
fn tagged(tag: &str, body: &impl Serialize) -> String {
    const INFALLIBLE: &str = "frames have string keys only, and memory takes every byte";
    let mut out = b"{\"type\":".to_vec();
    serde_json::to_writer(&mut out, tag).expect(INFALLIBLE);
    let body_at = out.len();
    serde_json::to_writer(&mut out, body).expect(INFALLIBLE);
    // The body's `{` becomes the comma between `type` and its fields; a body without fields needs neither.
    out[body_at] = b',';
    if out.len() == body_at + 2 {
        out.remove(body_at);
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}
