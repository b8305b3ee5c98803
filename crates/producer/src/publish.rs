//! Why `publish` did not accept an event.

use tally_protocol::{EVENT_BYTES_MAX, Kind};

/// The event was not accepted, and nothing of it will be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the producer is closed")]
    Closed,
    #[error("the event has {0} bytes of data; at most {EVENT_BYTES_MAX} are allowed")]
    EventTooLarge(usize),
    #[error("kind {0} starts with `_`, which is reserved; choose another name")]
    ReservedKind(Kind),
    #[error("the buffer is full, and {0} channels have counts waiting, which is the limit; publish later")]
    TooManyCountedChannels(usize),
    #[error("the buffer is full, and so are the {0} bytes for counts; publish later")]
    CountsFull(usize),
}
