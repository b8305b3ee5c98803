//! What the application is told, one at a time, in the order in which it happened.

use crate::disconnect::Disconnect;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::{
    ChannelName, Counts, ErrorFrame, Events, Goodbye, Heartbeat, Hello, Ledger, Reset, RungFrame, Subscribed,
    Summary, Unnumbered, Unsubscribed, UpstreamFrame, Violation,
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One frame exactly as it came: a JSON object. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct FrameText(Utf8Bytes);

impl FrameText {
    pub(crate) fn new(text: Utf8Bytes) -> Self {
        Self(text)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FrameText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for FrameText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A frame, read once, together with the text that it came as. It derefs to its fields; cloning shares both.
#[derive(Debug)]
pub struct Frame<T> {
    body: Arc<T>,
    text: FrameText,
}

impl<T> Frame<T> {
    pub(crate) fn new(body: T, text: FrameText) -> Self {
        Self { body: Arc::new(body), text }
    }

    /// The frame exactly as it came.
    #[must_use]
    pub fn text(&self) -> &FrameText {
        &self.text
    }
}

impl<T> Clone for Frame<T> {
    fn clone(&self) -> Self {
        Self { body: Arc::clone(&self.body), text: self.text.clone() }
    }
}

impl<T> Deref for Frame<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.body
    }
}

/// How an attach goes on from what the client held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Continuity {
    /// The gateway cannot know yet: it has no broker. Another `Subscribed` follows, which is the attach.
    Pending,
    /// A new ledger; there was nothing to go on from.
    New,
    /// The ledger goes on where the last connection left it.
    Resumed,
    /// The gateway cannot go on from the cursor. The old ledger is closed; [`Update::Reset`] follows at once.
    Refused,
}

/// Everything that [`crate::Client::next`] tells. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Update {
    /// A connection is up. Subscriptions are sent next.
    Connected(Frame<Hello>),
    /// There is no connection now, or an attempt failed.
    Disconnected {
        /// Why.
        cause: Disconnect,
        /// The pause before the next attempt. `None`: there will be none, and `next` returns `None` from now on.
        retry_in: Option<Duration>,
    },
    /// A channel is attached, or waits for the broker.
    Subscribed {
        /// With what was granted.
        frame: Frame<Subscribed>,
        /// How it goes on from what the client held.
        continuity: Continuity,
    },
    /// Events in full; booked.
    Events(Frame<Events>),
    /// Exact counts in place of events; booked.
    Counts(Frame<Counts>),
    /// Several channels as they are now; booked for each channel that has no violation (those were told just before).
    Summary(Frame<Summary>),
    /// A channel's rung, or the ceiling of the connection (`channel` null), changed.
    Rung(Frame<RungFrame>),
    /// Continuity is broken: a new ledger starts with this frame.
    Reset {
        /// Where the new ledger starts.
        frame: Frame<Reset>,
        /// The ledger that ended.
        closed: Arc<Ledger>,
    },
    /// A subscription is over, whoever ended it. The SDK has forgotten the channel.
    Unsubscribed {
        /// Which.
        channel: ChannelName,
        /// `asked`, or why the gateway ended or refused it.
        code: String,
        /// The last ledger; `None` where it was never attached, or ended by a violation.
        ledger: Option<Arc<Ledger>>,
        /// `None` where it ended without a frame of its own: while disconnected, or by an `error` (told just before).
        frame: Option<Frame<Unsubscribed>>,
    },
    /// The gateway's link to the broker changed.
    Upstream(Frame<UpstreamFrame>),
    /// What programs that know nothing of Tally published; outside the ledger.
    Unnumbered(Frame<Unnumbered>),
    /// Something that was asked for was refused. A refused `subscribe` is followed by [`Update::Unsubscribed`].
    Error(Frame<ErrorFrame>),
    /// A frame broke a law. It was not booked; the channel is subscribed anew, see the crate's page.
    Violation {
        /// Which law, and how.
        violation: Violation,
        /// The ledger as it stood before the frame; it ended there. `None` where there was none.
        closed: Option<Arc<Ledger>>,
        /// The frame that broke it.
        text: FrameText,
    },
    /// The gateway is about to close the connection; [`Update::Disconnected`] follows.
    Goodbye(Frame<Goodbye>),
    /// The gateway is there and had nothing else to say.
    Heartbeat(Frame<Heartbeat>),
}

impl Update {
    /// The frame exactly as it came; `None` where no frame caused this.
    #[must_use]
    pub fn text(&self) -> Option<&FrameText> {
        match self {
            Self::Connected(frame) => Some(frame.text()),
            Self::Subscribed { frame, .. } => Some(frame.text()),
            Self::Events(frame) => Some(frame.text()),
            Self::Counts(frame) => Some(frame.text()),
            Self::Summary(frame) => Some(frame.text()),
            Self::Rung(frame) => Some(frame.text()),
            Self::Reset { frame, .. } => Some(frame.text()),
            Self::Unsubscribed { frame, .. } => frame.as_ref().map(Frame::text),
            Self::Upstream(frame) => Some(frame.text()),
            Self::Unnumbered(frame) => Some(frame.text()),
            Self::Error(frame) => Some(frame.text()),
            Self::Violation { text, .. } => Some(text),
            Self::Goodbye(frame) => Some(frame.text()),
            Self::Heartbeat(frame) => Some(frame.text()),
            Self::Disconnected { .. } => None,
        }
    }
}
