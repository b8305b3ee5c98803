//! Why a websocket connection ended: stable codes, and whether a client should come back.

/// Codes from 4000 to 4399: come back, at the time the `goodbye` frame says. From 4400 to 4999: do not come back
/// before something was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The gateway is shutting down or restarting.
    Drain,
    /// For 45 s nothing was received and the socket took no byte.
    Silent,
    /// An operator asked the client to reconnect.
    Reconnect,
    /// The gateway has reached its number of connections.
    Full,
    /// Bytes that are no websocket message, or text that is not UTF-8. (What is not JSON, or binary, is an `error`.)
    BadFrame,
    /// A frame over the limit that `hello` states.
    FrameTooLarge,
    /// More errors than a client that means well could cause.
    TooManyErrors,
    /// The right to listen ended.
    Forbidden,
}

/// All of them, in the order of their numbers.
pub const CLOSE_CODES: [CloseCode; 8] = [
    CloseCode::Drain,
    CloseCode::Silent,
    CloseCode::Reconnect,
    CloseCode::Full,
    CloseCode::BadFrame,
    CloseCode::FrameTooLarge,
    CloseCode::TooManyErrors,
    CloseCode::Forbidden,
];

impl CloseCode {
    /// The number in the websocket close frame.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Drain => 4000,
            Self::Silent => 4001,
            Self::Reconnect => 4002,
            Self::Full => 4003,
            Self::BadFrame => 4400,
            Self::FrameTooLarge => 4401,
            Self::TooManyErrors => 4402,
            Self::Forbidden => 4403,
        }
    }

    /// The token in the `goodbye` frame.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Silent => "silent",
            Self::Reconnect => "reconnect",
            Self::Full => "full",
            Self::BadFrame => "bad_frame",
            Self::FrameTooLarge => "frame_too_large",
            Self::TooManyErrors => "too_many_errors",
            Self::Forbidden => "forbidden",
        }
    }

    /// Whether to come back, for any code that a websocket may end with. Codes that are not Tally's say nothing
    /// about the client, so it comes back.
    #[must_use]
    pub const fn comes_back(number: u16) -> bool {
        !(number >= 4400 && number < 5000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_says_whether_to_come_back() {
        for code in CLOSE_CODES {
            let wanted =
                matches!(code, CloseCode::Drain | CloseCode::Silent | CloseCode::Reconnect | CloseCode::Full);
            assert_eq!(CloseCode::comes_back(code.number()), wanted, "{code:?}");
        }
        assert!(CloseCode::comes_back(1006));
    }
}
