//! Every limit of the two wires, with its consequence; both implementations hold them.

/// Bytes of a channel name. Longer: the name is refused.
pub const CHANNEL_BYTES_MAX: usize = 200;
/// Bytes of a kind. Longer: the event is refused.
pub const KIND_BYTES_MAX: usize = 64;
/// Bytes of a producer id (name and random part). Longer: the id is refused.
pub const PRODUCER_BYTES_MAX: usize = 100;
/// Characters of an epoch. Longer: the record or frame is refused.
pub const EPOCH_BYTES_MAX: usize = 32;
/// Kinds of a channel beside `_other`. Events of further kinds are folded into `_other`.
pub const CHANNEL_KINDS_MAX: usize = 64;
/// Bytes of one event's `data`. Larger: the event is refused.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of one `data`. Deeper: the event is refused, because a listener's JSON reader could give up on the frame,
/// and again on each resume. With the frame around it, it stays below the 128 at which the strictest of them do.
pub const JSON_DEPTH_MAX: usize = 100;
/// Bytes of `data` of one batch (one publish call). Larger: the batch is refused whole.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events of one batch: what its bytes would hold at one byte each is too many; this keeps the index small.
/// More: the batch is refused whole.
pub const BATCH_EVENTS_MAX: usize = 65_536;
/// Bytes of `data` of one record. A batch is cut into records before it; one larger event travels alone.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Events of one record. A batch is cut into records before it.
pub const RECORD_EVENTS_MAX: usize = 256;
/// Kinds that one counts-only publish, or any totals, may name. More: it is refused.
pub const COUNTS_KINDS_MAX: usize = 256;
/// Seqs stay below this, so that every JSON reader holds them exactly. Reaching it: publishing is refused.
pub const SEQ_END: u64 = 1 << 53;
/// Bytes of one frame from a client. Larger: the connection is closed with `frame_too_large`.
pub const CLIENT_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Channels that one `subscribe` or `unsubscribe` frame may name. More: an `error`, nothing is done.
pub const FRAME_CHANNELS_MAX: usize = 500;
/// Bytes of a `summary` frame that holds more than one channel. The rest goes into the next one.
pub const SUMMARY_BYTES_MAX: usize = 64 * 1024;
/// Events of a counts frame's tail. Older ones are not sent along.
pub const TAIL_EVENTS_MAX: usize = 4;
/// Bytes of `data` of a counts frame's tail. Older events are not sent along.
pub const TAIL_BYTES_MAX: usize = 8 * 1024;
/// Events that one replay (`after`, `last`) sends in full. Older ones are told as counts.
pub const REPLAY_EVENTS_MAX: u64 = 1_000;
