//! Every limit of this package, with its consequence.

/** Channels of one client. Further ones are refused by `subscribe`. (The gateway's own limit is in `hello`.) */
export const CHANNELS_MAX = 16_384;
/** Channels that one `subscribe` or `unsubscribe` frame may name. More go into a further frame. */
export const FRAME_CHANNELS_MAX = 500;
/** Kinds that any totals may name. More: the frame is refused, or the law of conservation is broken. */
export const KINDS_MAX = 256;
/** Events that `last` may ask for. More: `subscribe` throws. */
export const LAST_MAX = 1_000;
/** Violation reports that wait for the socket. Further ones are not sent; the count of violations still has them. */
export const REPORTS_MAX = 16;
/** Closed ledgers kept per channel. The oldest is dropped; each was handed over with its update before. */
export const CLOSED_LEDGERS_MAX = 16;
/** From the start of an attempt (the token callback is part of it) to `hello`, in ms. Longer: the attempt has failed. */
export const CONNECT_MAX_MS = 10_000;
/** Heartbeats without anything received. More: the connection counts as dead. */
export const SILENT_HEARTBEATS_MAX = 3;
/** What `heartbeat_ms` is cut to, so that a wrong value neither ends every connection nor keeps a dead one. */
export const HEARTBEAT_MS = [100, 300_000] as const;
/** What a gateway's window for coming back is cut to, in ms. */
export const RETRY_WINDOW_MAX_MS = 600_000;
/** The longest sleep of the supervision, in ms: a suspended machine is noticed this soon after it woke. */
export const SUPERVISE_MS = 5_000;
/** How long a late supervision waits for frames that lie in the socket before it calls the connection dead, in ms. */
export const LATE_GRACE_MS = 1_000;
/** The shortest time between two fresh subscribes of a channel that keeps breaking a law, in ms. */
export const AFRESH_MIN_MS = 3_000;
/** What the socket may hold unsent, in characters. More: requests wait, merged, until it has drained. */
export const UNSENT_MAX = 262_144;
/** What an event weighs beside the characters of its frame, where updates wait to be taken. */
export const EVENT_WEIGHT = 1_000;
/**
 * Weight not yet handed over to the page, of one client: 10,000 events, fewer where they are long. More: they are folded
 * into a `skipped` update.
 */
export const UNTAKEN_WEIGHT_MAX = 10_000_000;
/** Weight not yet taken by one async iterator: 4,000 events, fewer where they are long. More: as above. */
export const ITERATOR_WEIGHT_MAX = 4_000_000;
/** How long a page must be hidden before the client asks for counts, in ms. */
export const HIDDEN_GRACE_MS = 1_000;
/** A hand-over that waits for its animation frame longer than this, in ms, is made without it. */
export const FRAME_WAIT_MAX_MS = 1_000;
/** Seconds that a rate is taken over. */
export const RATE_WINDOW_S = 10;
/** A moment that does not come. */
export const NEVER = Number.POSITIVE_INFINITY;
