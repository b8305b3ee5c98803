//! What a person should know of a producer: few, bounded, and none of it needed for correctness.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::ChannelName;

/// Something unusual, or its end. Its `Display` is one line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Attempts fail; they go on.
    Away { reason: Arc<str> },
    /// A batch was published again, after this long.
    Back { after: Duration },
    /// The buffer is full: from now on events are published as counts.
    CountingBegan { buffer_bytes_max: usize },
    /// A quarter of the buffer is free: events are published in full again.
    CountingEnded { counted: u64 },
    /// The broker said no to a batch: surely not published.
    Refused { channel: ChannelName, events: u64, code: Arc<str>, message: Arc<str> },
    /// A batch is perhaps published; it will not be sent again.
    Unknown { channel: ChannelName, events: u64, reason: Arc<str> },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { reason } => write!(f, "cannot publish now, still trying: {reason}"),
            Self::Back { after } => write!(f, "publishing again after {:.1} s", after.as_secs_f64()),
            Self::CountingBegan { buffer_bytes_max } => {
                write!(f, "the buffer of {buffer_bytes_max} bytes is full: events are sent as counts for now")
            }
            Self::CountingEnded { counted } => {
                write!(f, "the buffer has room again: events are sent in full, {counted} were counted")
            }
            Self::Refused { channel, events, code, message } => {
                write!(f, "{events} events of {channel} were refused ({code}): {message}")
            }
            Self::Unknown { channel, events, reason } => {
                write!(f, "{events} events of {channel} are perhaps published, perhaps not: {reason}")
            }
        }
    }
}
