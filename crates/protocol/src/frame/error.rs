//! What a client may have done wrong: stable codes, each with a message that says what to do.

use crate::name::ChannelName;

/// The `code` of an `error` frame, and of an HTTP error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    BadJson,
    BadFrame,
    UnknownType,
    UnknownField,
    BinaryFrame,
    BadChannel,
    ForbiddenChannel,
    AlreadySubscribed,
    NotSubscribed,
    TooManyChannels,
    TooManySubscriptions,
    BadRequest,
    BadEvent,
    TooLarge,
    BatchNumber,
    TooManyProducers,
    ChannelFull,
    ForeignOrigin,
    PublishKey,
    NotFound,
    NoHistory,
    Unavailable,
    Unknown,
}

impl ErrorCode {
    pub const ALL: [Self; 23] = [
        Self::BadJson,
        Self::BadFrame,
        Self::UnknownType,
        Self::UnknownField,
        Self::BinaryFrame,
        Self::BadChannel,
        Self::ForbiddenChannel,
        Self::AlreadySubscribed,
        Self::NotSubscribed,
        Self::TooManyChannels,
        Self::TooManySubscriptions,
        Self::BadRequest,
        Self::BadEvent,
        Self::TooLarge,
        Self::BatchNumber,
        Self::TooManyProducers,
        Self::ChannelFull,
        Self::ForeignOrigin,
        Self::PublishKey,
        Self::NotFound,
        Self::NoHistory,
        Self::Unavailable,
        Self::Unknown,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
            Self::UnknownField => "unknown_field",
            Self::BinaryFrame => "binary_frame",
            Self::BadChannel => "bad_channel",
            Self::ForbiddenChannel => "forbidden_channel",
            Self::AlreadySubscribed => "already_subscribed",
            Self::NotSubscribed => "not_subscribed",
            Self::TooManyChannels => "too_many_channels",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::BadRequest => "bad_request",
            Self::BadEvent => "bad_event",
            Self::TooLarge => "too_large",
            Self::BatchNumber => "batch_number",
            Self::TooManyProducers => "too_many_producers",
            Self::ChannelFull => "channel_full",
            Self::ForeignOrigin => "foreign_origin",
            Self::PublishKey => "publish_key",
            Self::NotFound => "not_found",
            Self::NoHistory => "no_history",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// A frame from a client that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    /// The frame's `id`, where it could be read.
    pub id: Option<u64>,
    pub channel: Option<ChannelName>,
    pub code: ErrorCode,
    pub message: String,
}
