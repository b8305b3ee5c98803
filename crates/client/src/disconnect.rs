//! Why there is no connection, and whether coming back can help.

use crate::limits::CONNECT_MAX;
use std::time::Duration;
use tally_protocol::CloseCode;

/// Why a connection ended or did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The gateway ended it with a close frame.
    #[error("the gateway closed the connection with code {code}: {reason}")]
    Closed {
        /// See [`CloseCode`]; 1005 where the close frame had none.
        code: u16,
        /// The gateway's words; those of `goodbye` where there was one.
        reason: String,
    },
    /// It ended without a close frame.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// Nothing was received for this long.
    #[error("nothing was received for {} ms", .0.as_millis())]
    Silent(Duration),
    /// The gateway sent what this SDK cannot read.
    #[error("the gateway sent a frame that cannot be read: {error}: {start}")]
    BadFrame {
        /// What is wrong with it.
        error: String,
        /// The first characters of the frame.
        start: String,
    },
    /// Nobody took the connection: name, route, TLS or handshake.
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
    /// The attempt took longer than [`CONNECT_MAX`].
    #[error("no answer within {} s", CONNECT_MAX.as_secs())]
    NoAnswer,
    /// The gateway, or what stands before it, refused the websocket with an HTTP status.
    #[error("refused with HTTP status {status}{}{body}", if body.is_empty() { "" } else { ": " })]
    Refused {
        /// The HTTP status.
        status: u16,
        /// From the Retry-After header.
        retry_after: Option<Duration>,
        /// The first characters of the body.
        body: String,
    },
}

impl Disconnect {
    /// Whether coming back can help. No for close codes 4400 to 4999 and for the HTTP statuses 401 and 403: something
    /// must be changed first. Any other status may come from a proxy during a deployment.
    #[must_use]
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Closed { code, .. } => CloseCode::comes_back(*code),
            Self::Refused { status, .. } => !matches!(status, 401 | 403),
            Self::Lost(_)
            | Self::Silent(_)
            | Self::BadFrame { .. }
            | Self::Unreachable(_)
            | Self::NoAnswer => true,
        }
    }

    /// The websocket close code, where the gateway gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Closed { code, .. } => Some(*code),
            _ => None,
        }
    }
}
