//! Frames from a client. Unknown types and fields are answered with an error that names them; the frame is not done.

use super::error::{ErrorCode, FrameError};
use super::object::{Object, Whole, exact, exact_or_null, object_or_null, objects, required_or_null};
use super::{Tag, tagged};
use crate::limits::{FRAME_CHANNELS_MAX, REPLAY_EVENTS_MAX};
use crate::name::ChannelName;
use crate::number::{Epoch, Seq};
use crate::rung::{Rung, TickMs};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Start listening to channels. Each channel is answered by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest {
    /// Comes back in the answers. Below 2^53.
    #[serde(deserialize_with = "exact")]
    pub id: u64,
    #[serde(deserialize_with = "objects")]
    pub channels: Vec<SubscribeChannel>,
}

/// One channel of a `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeChannel {
    /// Checked for each channel by itself, so that one bad name leaves the others alone.
    pub channel: String,
    /// The highest rung wanted.
    #[serde(default)]
    pub rung: Rung,
    /// Events per second at `full`; the server's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact_or_null")]
    pub max_rate: Option<u64>,
    #[serde(default)]
    pub tick_ms: TickMs,
    /// Whether counts frames carry the newest events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tail: bool,
    /// Attach before the record that holds the Nth newest event. At most 1,000; not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object_or_null")]
    pub after: Option<After>,
}

impl SubscribeChannel {
    /// With the defaults of the wire.
    #[must_use]
    pub fn new(channel: &ChannelName) -> Self {
        Self {
            channel: channel.to_string(),
            rung: Rung::Full,
            max_rate: None,
            tick_ms: TickMs::default(),
            tail: false,
            last: None,
            after: None,
        }
    }
}

/// The cursor to go on from; the client keeps the totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// Stop listening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsubscribeRequest {
    #[serde(deserialize_with = "exact")]
    pub id: u64,
    pub channels: Vec<String>,
}

/// The highest rung wanted now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RungRequest {
    /// `null`: every subscription of the connection, also later ones. Never absent, so that a forgotten channel does
    /// not change all of them.
    #[serde(deserialize_with = "required_or_null")]
    pub channel: Option<ChannelName>,
    pub rung: Rung,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact_or_null")]
    pub max_rate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_ms: Option<TickMs>,
}

/// A new token for the connection. Its `Debug` leaves the token out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthRequest {
    pub token: String,
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest").finish_non_exhaustive()
    }
}

/// The client saw a law broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolationReport {
    pub channel: ChannelName,
    pub law: String,
    pub detail: String,
}

macro_rules! client_frames {
    ($($tag:literal $name:ident($body:ty),)*) => {
        /// Every frame from a client.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum ClientFrame {
            $($name($body),)*
        }

        impl ClientFrame {
            fn from_tag(tag: &str, text: &str) -> Option<Result<Self, serde_json::Error>> {
                match tag {
                    $($tag => Some(serde_json::from_str::<Whole<$body>>(text).map(|whole| Self::$name(whole.0))),)*
                    _ => None,
                }
            }

            /// Writes one text frame.
            #[must_use]
            pub fn encode(&self) -> String {
                match self {
                    $(Self::$name(body) => tagged($tag, body),)*
                }
            }
        }
    };
}

client_frames! {
    "subscribe" Subscribe(SubscribeRequest),
    "unsubscribe" Unsubscribe(UnsubscribeRequest),
    "rung" Rung(RungRequest),
    "auth" Auth(AuthRequest),
    "violation" Violation(ViolationReport),
}

impl ClientFrame {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`FrameError`] names what is wrong; nothing of the frame is to be done.
    pub fn decode(text: &str) -> Result<Self, FrameError> {
        Self::read(text).map_err(|(code, message)| FrameError {
            id: id_of(text),
            channel: None,
            code,
            message: cut(message),
        })
    }

    fn read(text: &str) -> Result<Self, (ErrorCode, String)> {
        let Object(Tag { tag }) = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                let rule = "a frame is a JSON object with a string field \"type\"";
                (ErrorCode::BadFrame, format!("{error}; {rule}"))
            } else {
                let rule = "send one JSON object per text frame";
                (ErrorCode::BadJson, format!("the frame is not JSON: {error}; {rule}"))
            }
        })?;
        let frame = Self::from_tag(&tag, text).ok_or_else(|| {
            let shown: String = tag.chars().take(64).collect();
            let known = "subscribe, unsubscribe, rung, auth and violation";
            (ErrorCode::UnknownType, format!("no frame has the type {shown:?}; known are {known}"))
        })?;
        let frame = frame.map_err(|error| {
            let message = error.to_string();
            let unknown = message.starts_with("unknown field");
            let code = if unknown { ErrorCode::UnknownField } else { ErrorCode::BadFrame };
            (code, format!("{tag}: {message}"))
        })?;
        frame.check()?;
        Ok(frame)
    }

    /// Rules between the fields of a frame.
    fn check(&self) -> Result<(), (ErrorCode, String)> {
        let channels = match self {
            Self::Subscribe(request) => request.channels.len(),
            Self::Unsubscribe(request) => request.channels.len(),
            Self::Rung(request) => return check_rate("rung", request.max_rate),
            Self::Auth(_) | Self::Violation(_) => return Ok(()),
        };
        if channels == 0 || channels > FRAME_CHANNELS_MAX {
            let rule = format!("channels has {channels} entries; it must have 1 to {FRAME_CHANNELS_MAX}");
            return Err((ErrorCode::TooManyChannels, rule));
        }
        let Self::Subscribe(request) = self else { return Ok(()) };
        for channel in &request.channels {
            channel.check().map_err(|rule| (ErrorCode::BadFrame, format!("subscribe: {rule}")))?;
            check_rate("subscribe", channel.max_rate)?;
        }
        Ok(())
    }
}

impl SubscribeChannel {
    fn check(&self) -> Result<(), String> {
        if self.last.is_some() && self.after.is_some() {
            return Err("last and after exclude each other; after resumes, last starts anew".into());
        }
        if let Some(last) = self.last.filter(|last| *last > REPLAY_EVENTS_MAX) {
            return Err(format!("last is {last}; at most {REPLAY_EVENTS_MAX} can be replayed"));
        }
        Ok(())
    }
}

fn check_rate(tag: &str, max_rate: Option<u64>) -> Result<(), (ErrorCode, String)> {
    if max_rate == Some(0) {
        let rule = format!("{tag}: max_rate is 0; ask for the rung counts instead");
        return Err((ErrorCode::BadFrame, rule));
    }
    Ok(())
}

/// Bytes of an error's message: what it quotes of the frame may be as long as the frame.
const MESSAGE_BYTES_MAX: usize = 400;

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

fn id_of(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Id {
        #[serde(deserialize_with = "exact")]
        id: u64,
    }
    serde_json::from_str::<Object<Id>>(text).ok().map(|found| found.0.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_cannot_do_and_names_it() {
        let cases = [
            ("{", ErrorCode::BadJson),
            ("[]", ErrorCode::BadFrame),
            ("{}", ErrorCode::BadFrame),
            (r#"{"type":1}"#, ErrorCode::BadFrame),
            (r#"{"type":"nope","id":3}"#, ErrorCode::UnknownType),
            (r#"{"type":"subscribe","id":3,"channels":[]}"#, ErrorCode::TooManyChannels),
            (r#"{"type":"subscribe","id":3,"channels":[{"channel":"a","rate":1}]}"#, ErrorCode::UnknownField),
            (r#"{"type":"subscribe","id":-3,"channels":[{"channel":"a"}]}"#, ErrorCode::BadFrame),
            (r#"{"type":"subscribe","id":3,"channels":[{"channel":"a","tick_ms":7}]}"#, ErrorCode::BadFrame),
            (r#"{"type":"subscribe","id":3,"channels":[{"channel":"a","rung":"all"}]}"#, ErrorCode::BadFrame),
            (r#"{"type":"subscribe","id":3,"channels":[{"channel":"a","max_rate":0}]}"#, ErrorCode::BadFrame),
            (r#"{"type":"rung","channel":null,"rung":"full","max_rate":0}"#, ErrorCode::BadFrame),
            // A forgotten channel must not change the whole connection.
            (r#"{"type":"rung","rung":"full"}"#, ErrorCode::BadFrame),
            // Arrays are no objects, and no field stands twice.
            (r#"["subscribe"]"#, ErrorCode::BadFrame),
            (r#"{"type":"subscribe","id":3,"channels":[["a"]]}"#, ErrorCode::BadFrame),
            (
                r#"{"type":"subscribe","id":3,"channels":[{"channel":"a","after":["e",1]}]}"#,
                ErrorCode::BadFrame,
            ),
            (r#"{"type":"unsubscribe","id":3,"id":4,"channels":["a"]}"#, ErrorCode::BadFrame),
            // 2^53 would come back as another number in some languages.
            (r#"{"type":"unsubscribe","id":9007199254740992,"channels":["a"]}"#, ErrorCode::BadFrame),
        ];
        for (text, code) in cases {
            let error = ClientFrame::decode(text).unwrap_err();
            assert_eq!(error.code, code, "{text}: {error}");
        }
        let error = ClientFrame::decode(r#"{"type":"nope","id":3}"#).unwrap_err();
        assert_eq!(error.id, Some(3));
    }

    #[test]
    fn an_error_is_short_and_a_token_is_not_shown() {
        let long = "ä".repeat(30_000);
        let error = ClientFrame::decode(&format!(r#"{{"type":"rung","{long}":1}}"#)).unwrap_err();
        assert!(error.code == ErrorCode::UnknownField && error.message.len() < 410, "{error}");
        let auth = ClientFrame::decode(r#"{"type":"auth","token":"secret"}"#).unwrap();
        assert!(!format!("{auth:?}").contains("secret"));
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let mut channel = SubscribeChannel::new(&ChannelName::new("job:1").unwrap());
        channel.after = Some(After { epoch: Epoch::new("e").unwrap(), seq: Seq::new(9).unwrap() });
        let frame = ClientFrame::Subscribe(SubscribeRequest { id: 1, channels: vec![channel] });
        assert_eq!(ClientFrame::decode(&frame.encode()).unwrap(), frame);
    }
}
