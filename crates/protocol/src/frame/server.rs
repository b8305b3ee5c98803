//! Frames from the server. Clients ignore types and fields that they do not know.

use super::object::Object;
use super::{Tag, tagged};
use crate::event::Class;
use crate::json::RawJson;
use crate::name::{ChannelName, Kind};
use crate::number::{Epoch, Seq, UnixMs};
use crate::rung::{Rung, TickMs, Why};
use crate::snapshot::{Position, State};
use crate::totals::Totals;
use serde::{Deserialize, Serialize};

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `tally.v1`.
    pub protocol: String,
    /// Names the connection in logs and on dashboards; opaque.
    pub connection: String,
    /// The server sends something at least this often.
    pub heartbeat_ms: u64,
    pub limits: HelloLimits,
}

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloLimits {
    pub frame_bytes: u64,
    pub subscriptions: u64,
    /// Events per second of a subscription that did not ask for another rate.
    pub max_rate_default: u64,
    /// Events per second of all subscriptions of the connection together.
    pub max_rate: u64,
    /// Events that `last` may ask for.
    pub last: u64,
}

/// The answer to one channel of a `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SubscribedFields", into = "SubscribedFields")]
pub struct Subscribed {
    pub id: u64,
    pub channel: ChannelName,
    pub attach: Attach,
    pub rung: Rung,
    /// Events per second, as granted.
    pub max_rate: u64,
    pub tick_ms: TickMs,
    /// Whether the gateway hears the broker now. (A pending attach says so in [`Attach::Pending`].)
    pub upstream: UpstreamStatus,
}

/// Where a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// The gateway cannot know yet; a second `subscribed` with the same id is the attach.
    Pending,
    /// The client's `after` holds: it goes on with its own totals.
    Resumed { epoch: Epoch, seq: Seq },
    /// A new ledger starts at this position.
    At(Position),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SubscribedUpstream {
    Up,
    Down,
    Pending,
}

/// The fields of `subscribed` as they stand on the wire: which are present depends on the attach.
#[derive(Clone, Serialize, Deserialize)]
struct SubscribedFields {
    id: u64,
    channel: ChannelName,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    epoch: Option<Option<Epoch>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    state: Option<Option<State>>,
    rung: Rung,
    max_rate: u64,
    tick_ms: TickMs,
    resumed: bool,
    upstream: SubscribedUpstream,
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

impl From<Subscribed> for SubscribedFields {
    fn from(from: Subscribed) -> Self {
        let upstream = match (&from.attach, from.upstream) {
            (Attach::Pending, _) => SubscribedUpstream::Pending,
            (_, UpstreamStatus::Up) => SubscribedUpstream::Up,
            (_, UpstreamStatus::Down) => SubscribedUpstream::Down,
        };
        let mut fields = Self {
            id: from.id,
            channel: from.channel,
            epoch: None,
            seq: None,
            totals: None,
            state: None,
            rung: from.rung,
            max_rate: from.max_rate,
            tick_ms: from.tick_ms,
            resumed: false,
            upstream,
        };
        match from.attach {
            Attach::Pending => {}
            Attach::Resumed { epoch, seq } => {
                (fields.epoch, fields.seq, fields.resumed) = (Some(Some(epoch)), Some(seq), true);
            }
            Attach::At(Position { epoch, seq, totals, state }) => {
                (fields.epoch, fields.seq) = (Some(epoch), Some(seq));
                (fields.totals, fields.state) = (Some(totals), Some(state));
            }
        }
        fields
    }
}

impl TryFrom<SubscribedFields> for Subscribed {
    type Error = &'static str;
    fn try_from(fields: SubscribedFields) -> Result<Self, Self::Error> {
        let attach = match (fields.upstream, fields.resumed) {
            (SubscribedUpstream::Pending, _) => Attach::Pending,
            (_, true) => Attach::Resumed {
                epoch: fields.epoch.flatten().ok_or("subscribed: resumed without an epoch")?,
                seq: fields.seq.ok_or("subscribed: resumed without a seq")?,
            },
            (_, false) => Attach::At(Position {
                epoch: fields.epoch.ok_or("subscribed: neither epoch nor null")?,
                seq: fields.seq.ok_or("subscribed: no seq")?,
                totals: fields.totals.ok_or("subscribed: no totals")?,
                state: fields.state.ok_or("subscribed: neither state nor null")?,
            }),
        };
        let upstream = match fields.upstream {
            SubscribedUpstream::Up => UpstreamStatus::Up,
            SubscribedUpstream::Down | SubscribedUpstream::Pending => UpstreamStatus::Down,
        };
        Ok(Self {
            id: fields.id,
            channel: fields.channel,
            attach,
            rung: fields.rung,
            max_rate: fields.max_rate,
            tick_ms: fields.tick_ms,
            upstream,
        })
    }
}

/// The end of a subscription; nothing of the channel follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// The request's, or `null` where the server ended it.
    pub id: Option<u64>,
    pub channel: ChannelName,
    /// `asked`, or why the server ended it.
    pub code: String,
    /// The cursor as last told; the three are absent while the subscription is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

/// One record in full. Made by [`super::write_events_frame`] on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    pub channel: ChannelName,
    pub epoch: Epoch,
    pub from: Seq,
    pub to: Seq,
    /// One for each seq from `from` to `to`.
    pub events: Vec<WireEvent>,
}

/// One event in an `events` frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEvent {
    /// As tallied: `_other` where the kind was folded.
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<Kind>,
    #[serde(default, skip_serializing_if = "Class::is_bulk", deserialize_with = "open_class")]
    pub class: Class,
    pub at: UnixMs,
    pub data: RawJson,
}

/// Classes that a client does not know are bulk to it.
fn open_class<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
    let class = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    Ok(if class == "state" { Class::State } else { Class::Bulk })
}

/// The channel's totals as they are at `seq`, in place of the events since the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub channel: ChannelName,
    pub epoch: Epoch,
    pub seq: Seq,
    pub totals: Totals,
    pub why: Why,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The newest events of the span, contiguous up to `seq`: a courtesy copy, booked as counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Vec<TailEvent>>,
}

/// One event of a counts frame's tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailEvent {
    pub seq: Seq,
    /// As tallied: `_other` where the kind was folded.
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<Kind>,
    #[serde(default, skip_serializing_if = "Class::is_bulk", deserialize_with = "open_class")]
    pub class: Class,
    pub at: UnixMs,
    pub data: RawJson,
}

/// Several channels at once, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub why: Why,
    pub channels: Vec<SummaryChannel>,
}

/// One channel of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryChannel {
    pub channel: ChannelName,
    pub epoch: Epoch,
    pub seq: Seq,
    pub totals: Totals,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// A rung that differs from the one last told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungFrame {
    /// `null`: the ceiling of the connection. A subscription gets the lower of its own rung and the ceiling.
    pub channel: Option<ChannelName>,
    pub rung: Rung,
    /// On a climb, the reason that ended.
    pub why: Why,
}

/// Continuity is broken: the ledger is closed and kept, and a new one starts here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    pub channel: ChannelName,
    pub epoch: Option<Epoch>,
    pub seq: Seq,
    pub totals: Totals,
    pub state: Option<State>,
}

/// What programs that know nothing of Tally published; outside the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unnumbered {
    pub channel: ChannelName,
    pub events: Vec<RawJson>,
    /// How many were dropped since the last such frame.
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamStatus {
    Up,
    Down,
}

/// The gateway's link to the broker changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamFrame {
    pub status: UpstreamStatus,
    pub since: UnixMs,
    /// `null`: all channels.
    pub channels: Option<Vec<ChannelName>>,
}

/// Sent when nothing else was for `heartbeat_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub at: UnixMs,
}

/// Something the client did was refused; nothing else changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFrame {
    /// The request's, where it had one.
    pub id: Option<u64>,
    pub channel: Option<ChannelName>,
    /// A stable token, see [`crate::ErrorCode`].
    pub code: String,
    /// Says what to do.
    pub message: String,
}

/// The last frame before the close frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// See [`crate::CloseCode`].
    pub code: String,
    pub reason: String,
    /// Come back at a random moment between these two, in ms from now.
    pub retry_after_ms: [u64; 2],
}

macro_rules! server_frames {
    ($($tag:literal $name:ident($body:ty),)*) => {
        /// Every frame from the server.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum ServerFrame {
            $($name($body),)*
            /// A type that this build does not know; clients ignore it.
            Unknown(String),
        }

        impl ServerFrame {
            /// Reads one text frame.
            ///
            /// # Errors
            /// The message says which field is wrong. Unknown types are no error.
            pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
                let Object(Tag { tag }) = serde_json::from_str(text)?;
                match &*tag {
                    $($tag => serde_json::from_str(text).map(Self::$name),)*
                    _ => Ok(Self::Unknown(tag.into_owned())),
                }
            }

            /// Writes one text frame. An unknown frame is written as its type alone.
            #[must_use]
            pub fn encode(&self) -> String {
                match self {
                    $(Self::$name(body) => tagged($tag, body),)*
                    Self::Unknown(tag) => tagged(tag, &serde_json::Map::new()),
                }
            }
        }

        $(impl From<$body> for ServerFrame {
            fn from(body: $body) -> Self {
                Self::$name(body)
            }
        })*
    };
}

server_frames! {
    "hello" Hello(Hello),
    "subscribed" Subscribed(Subscribed),
    "unsubscribed" Unsubscribed(Unsubscribed),
    "events" Events(Events),
    "counts" Counts(Counts),
    "summary" Summary(Summary),
    "rung" Rung(RungFrame),
    "reset" Reset(Reset),
    "unnumbered" Unnumbered(Unnumbered),
    "upstream" Upstream(UpstreamFrame),
    "heartbeat" Heartbeat(Heartbeat),
    "error" Error(ErrorFrame),
    "goodbye" Goodbye(Goodbye),
}
