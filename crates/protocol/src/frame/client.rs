//! Frames from a client. Unknown types and fields are answered with an error that names them; the frame is not done.

use super::error::{ErrorCode, FrameError};
use super::{Tag, tagged};
use crate::limits::{FRAME_CHANNELS_MAX, REPLAY_EVENTS_MAX};
use crate::name::ChannelName;
use crate::number::{Epoch, Seq};
use crate::rung::{Rung, TickMs};
use serde::{Deserialize, Serialize};

/// Start listening to channels. Each channel is answered by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeRequest {
    /// Comes back in the answers. Below 2^53.
    pub id: u64,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u64>,
    #[serde(default)]
    pub tick_ms: TickMs,
    /// Whether counts frames carry the newest events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tail: bool,
    /// Attach before the record that holds the Nth newest event. At most 1,000; not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub id: u64,
    pub channels: Vec<String>,
}

/// The highest rung wanted now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RungRequest {
    /// `null`: every subscription of the connection, also later ones.
    pub channel: Option<ChannelName>,
    pub rung: Rung,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_ms: Option<TickMs>,
}

/// A new token for the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthRequest {
    pub token: String,
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
        let refuse = |code, message: String| FrameError { id: id_of(text), channel: None, code, message };
        let value: Result<Tag<'_>, _> = serde_json::from_str(text);
        let tag = match value {
            Ok(Tag { tag }) => tag,
            Err(error) if error.is_data() => {
                let message = format!("{error}; a frame is a JSON object with a string field \"type\"");
                return Err(refuse(ErrorCode::BadFrame, message));
            }
            Err(error) => {
                let message = format!("the frame is not JSON: {error}; send one JSON object per text frame");
                return Err(refuse(ErrorCode::BadJson, message));
            }
        };
        let frame = match Self::from_tag(&tag, text) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let message = error.to_string();
                let unknown = message.starts_with("unknown field");
                let code = if unknown { ErrorCode::UnknownField } else { ErrorCode::BadFrame };
                return Err(refuse(code, format!("{tag}: {message}")));
            }
            None => {
                let shown: String = tag.chars().take(64).collect();
                let known = "subscribe, unsubscribe, rung, auth and violation";
                let message = format!("no frame has the type {shown:?}; known are {known}");
                return Err(refuse(ErrorCode::UnknownType, message));
            }
        };
        frame.check().map_err(|(code, message)| refuse(code, message))?;
        Ok(frame)
    }

    /// Rules between the fields of a frame.
    fn check(&self) -> Result<(), (ErrorCode, String)> {
        let channels = match self {
            Self::Subscribe(request) => request.channels.len(),
            Self::Unsubscribe(request) => request.channels.len(),
            Self::Rung(_) | Self::Auth(_) | Self::Violation(_) => return Ok(()),
        };
        if channels == 0 || channels > FRAME_CHANNELS_MAX {
            let rule = format!("channels has {channels} entries; it must have 1 to {FRAME_CHANNELS_MAX}");
            return Err((ErrorCode::TooManyChannels, rule));
        }
        let Self::Subscribe(request) = self else { return Ok(()) };
        for channel in &request.channels {
            channel.check().map_err(|rule| (ErrorCode::BadFrame, format!("subscribe: {rule}")))?;
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
        if self.max_rate == Some(0) {
            return Err("max_rate is 0; ask for the rung counts instead".into());
        }
        Ok(())
    }
}

fn id_of(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    serde_json::from_str::<Id>(text).ok().map(|found| found.id)
}

/// A frame's body read from the whole frame: the one field that is not the body's is `type`.
struct Whole<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        fields.remove("type");
        T::deserialize(serde_json::Value::Object(fields)).map(Self).map_err(serde::de::Error::custom)
    }
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
        ];
        for (text, code) in cases {
            let error = ClientFrame::decode(text).unwrap_err();
            assert_eq!(error.code, code, "{text}: {error}");
        }
        let error = ClientFrame::decode(r#"{"type":"nope","id":3}"#).unwrap_err();
        assert_eq!(error.id, Some(3));
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let mut channel = SubscribeChannel::new(&ChannelName::new("job:1").unwrap());
        channel.after = Some(After { epoch: Epoch::new("e").unwrap(), seq: Seq::new(9).unwrap() });
        let frame = ClientFrame::Subscribe(SubscribeRequest { id: 1, channels: vec![channel] });
        assert_eq!(ClientFrame::decode(&frame.encode()).unwrap(), frame);
    }
}
