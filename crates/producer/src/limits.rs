//! Every limit of a producer, with what happens at it; those that an application may set are defaults.

use std::time::Duration;

/// How long an event may wait for company before its batch is sent.
pub const BATCH_AGE: Duration = Duration::from_millis(10);
/// Events of one batch. More: the next batch begins.
pub const BATCH_EVENTS_MAX: usize = 1_024;
/// Bytes of `data` of one batch. More: the next batch begins; one larger event travels alone.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Bytes of events that wait for an answer, with 192 added for each event and 1,024 for each batch. Full: further
/// events become counts until a quarter of it is free again.
pub const BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of counts, each span with its newest state event. Full: `publish` returns an error.
pub const COUNTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Channels that have counts waiting. More: `publish` returns an error.
pub const COUNTED_CHANNELS_MAX: usize = 10_000;
/// Batches on their way at one time, over all channels. More: they wait in the buffer. It bounds the encoded copies too
/// (each at most one batch). A link to Redis merges what waits; this many keep it and the server at work together.
pub const IN_FLIGHT_MAX: usize = 64;
/// The same over HTTP, where it bounds the connections.
pub const HTTP_IN_FLIGHT_MAX: usize = 16;

/// What an event costs beside its data: itself, its kind, and room to grow.
pub(crate) const EVENT_COST_BYTES: usize = 192;
/// What a span (a batch, or counts that merge) costs: itself, its channel's entry, what its receipts share.
pub(crate) const SPAN_COST_BYTES: usize = 1_024;
/// What a counted kind costs.
pub(crate) const KIND_COST_BYTES: usize = 128;
/// Events of one span of counts. More: the next span begins.
pub(crate) const COUNTS_EVENTS_MAX: u32 = u32::MAX;
/// Channels remembered while nothing of them waits (about 1 KiB each). More: the one idle for longest is forgotten,
/// and begins again with a new random part.
pub(crate) const IDLE_CHANNELS_MAX: usize = 4_096;
/// Notices kept for a reader that is slow. More: the oldest go, and the reader is told how many.
pub(crate) const NOTICES_MAX: usize = 64;
/// Bytes of an answer that are read. More: the answer is not understood, and so the outcome is in doubt.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Events of a slow channel within [`SLOW_WINDOW`]; slow channels are always sent whole. More: payloads are withheld
/// while nobody listens.
pub const SLOW_EVENTS_MAX: usize = 10;
/// See [`SLOW_EVENTS_MAX`].
pub const SLOW_WINDOW: Duration = Duration::from_secs(1);
/// How long counts of events that nobody listens to wait for more, from one batch to the next. Their answer tells
/// whether somebody listens again.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// How old an answer may be to say that nobody listens, from the beginning of its attempt. Older: nothing is known,
/// and events are sent whole.
pub const HEARING_AGE_MAX: Duration = Duration::from_secs(1);
/// Spans of one channel that may wait for payloads to be withheld. More: events are sent whole, in batches. It matters
/// where state events come faster than answers, for each ends its span of counts.
pub(crate) const UNHEARD_SPANS_MAX: usize = 4;

/// How long one attempt may take; a gateway holds a request for 5 s at most.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting may take, within the attempt. Longer: surely not published.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after the first attempt in doubt a batch is tried again. Longer: its outcome is unknown. The broker
/// remembers a producer for at least twice as long.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(60);
/// How old the last accepted batch may be for its successor to take the next number; then a new random part begins
/// at 1. With [`RETRY_WINDOW`] and [`ATTEMPT_TIMEOUT`] it stays within the 120 s that the broker remembers.
pub(crate) const IDENTITY_AGE_MAX: Duration = Duration::from_secs(45);
/// Waits between attempts are drawn from 0 up to this, doubled with each failure …
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// … and never from a longer span than this.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The longest `Retry-After` that is honoured.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// How long a producer that was dropped without `close` goes on to send what it holds.
pub(crate) const LINGER: Duration = Duration::from_secs(60);
/// Failed attempts in a row, with no success in between, before a person is told.
pub(crate) const TROUBLE_FAILURES: u32 = 3;
