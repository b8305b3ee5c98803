//! Every bound of the gateway's shell, with its unit, its range, and what happens at it.
//!
//! One table makes the struct, its defaults, the settings that operators may change, and the text that
//! `tally config default` prints. Bounds of the wire are in `tally_protocol`, those of delivery in `tally_fanout`.

use std::time::Duration;

/// One number that an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The setting's name; its unit is the last word.
    pub key: &'static str,
    pub min: u64,
    pub max: u64,
    /// Unit and consequence, for people.
    pub text: &'static str,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

impl Bound {
    #[must_use]
    pub fn get(&self, limits: &Limits) -> u64 {
        (self.get)(limits)
    }

    /// The value is within `min..=max`: the caller has checked.
    pub(crate) fn set(&self, limits: &mut Limits, value: u64) {
        (self.set)(limits, value);
    }
}

macro_rules! limits {
    ($($key:ident = $default:expr, $min:expr, $max:expr, $text:expr;)*) => {
        /// The bounds that operators may move. All are checked to be in range when they come from settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $text] pub $key: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        /// All of them, in the order of the flow.
        pub const BOUNDS: &[Bound] = &[
            $(Bound {
                key: stringify!($key),
                min: $min,
                max: $max,
                text: $text,
                get: |limits| limits.$key,
                set: |limits, value| limits.$key = value,
            },)*
        ];
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

limits! {
    connections_max = 50_000, 1, 10_000_000,
        "Connections of this gateway, HTTP and websocket together. More: HTTP 503 with Retry-After, then closed.";
    header_read_ms = 5 * SECOND, 100, HOUR,
        "How long a request's headers may take, and how long a connection may idle between requests. Longer: closed.";
    body_read_ms = 30 * SECOND, 100, HOUR,
        "How long a request's body may take. Longer: HTTP 408, nothing is published.";
    publish_hold_ms = 5 * SECOND, 0, 60 * SECOND,
        "How long a publish is held while the broker is away. Longer: HTTP 503 with Retry-After.";
    publish_bytes_max = 64 * MIB, 16 * MIB, 64 * KIB * MIB,
        "Bytes of request bodies in memory at once. More: HTTP 503 with Retry-After, nothing is published.";
    inbox_bytes_max = 64 * MIB, MIB, 64 * KIB * MIB,
        "Bytes waiting for one shard. More: the record is dropped for that shard and the channel is read again.";
    log_events_max = 16_384, 1, 16_777_216,
        "Events in the log of one channel. More: the oldest go; a listener who is further behind gets counts.";
    log_bytes_max = 2 * MIB, 64 * KIB, 64 * KIB * MIB,
        "Bytes in the log of one channel. More: the oldest records go; the newest one always stays.";
    logs_bytes_max = 256 * MIB, MIB, 1024 * KIB * MIB,
        "Bytes in the logs of all channels of this gateway. More: the coldest channels lose all but their newest record.";
    grace_ms = 10 * SECOND, 0, HOUR,
        "How long a channel without listeners stays subscribed, with its log. Longer: it is forgotten.";
    max_rate_default = 200, 1, 1_000_000,
        "Events per second of a subscription that asked for no rate. More: it gets counts.";
    connection_max_rate = 10_000, 1, 10_000_000,
        "Events per second of one connection, and the highest rate that can be asked for. More: counts.";
    subscriptions_max = 1_000, 1, 1_000_000,
        "Subscriptions of one connection. More: an error frame; the others stay.";
    due_age_max_ms = SECOND, 50, 60 * SECOND,
        "How old something due to a connection may get. Older: the connection gets summaries until it has caught up.";
    due_bytes_max = 2 * MIB, 64 * KIB, 1024 * MIB,
        "Bytes that may be due to a connection. More: the connection gets summaries until it has caught up.";
    heartbeat_ms = 15 * SECOND, 100, HOUR,
        "A connection to which nothing was sent for this long gets a heartbeat; one from which nothing came, a ping.";
    silent_ms = 45 * SECOND, 200, HOUR,
        "A connection ends when for this long nothing came from it and its socket took no byte.";
    frames_rate_max = 100, 1, 1_000_000,
        "Frames per second read from one client, after a burst of ten seconds' worth. More: reading pauses.";
    errors_max = 100, 1, 1_000_000,
        "Frames with an error that one client may send, one being forgiven every ten seconds. More: closed with 4402.";
    drain_ms = 25 * SECOND, 0, HOUR,
        "How long a shutdown may take. Longer: what is still open is cut off.";
}

/// Bytes that hyper may hold of a request's head. More: HTTP 431.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request body: a batch, and the JSON around its data. More: HTTP 413.
pub(crate) const BODY_BYTES_MAX: usize = tally_protocol::BATCH_BYTES_MAX + 4 * 1024 * 1024;
/// Bodies above this are read as JSON on a thread of their own, so that a shard's listeners do not wait for it.
pub(crate) const BODY_INLINE_BYTES_MAX: usize = 64 * 1024;
/// Threads on which a shard reads large bodies. More bodies wait.
pub(crate) const BLOCKING_THREADS_MAX: usize = 2;
/// Refused connections that are being told so at once. More: closed without a word.
pub(crate) const REFUSALS_MAX: usize = 64;
/// How long a refused connection has to read why.
pub(crate) const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Connections handed to a shard that it has not picked up. More: closed without a word.
pub(crate) const HANDOFF_MAX: usize = 1_024;
/// Upgraded connections that a shard has not picked up. More: HTTP 503.
pub(crate) const UPGRADES_MAX: usize = 1_024;
/// Shards of a gateway: what one set of interest holds, beside the watcher.
pub(crate) const SHARDS_MAX: usize = 127;
/// What a waiting record or snapshot is charged in a shard's inbox beside its data.
pub(crate) const INBOX_ENTRY_BYTES: u64 = 512;
/// Arrivals that ingest takes before it wakes the shards, and before its thread reads the link again.
pub(crate) const INGEST_BATCH_MAX: usize = 256;
/// Inputs that a shard takes before it writes. Many, because taking one costs a fraction of a write, and what came for a
/// connection before its turn goes out in one write.
pub(crate) const INPUTS_PER_TURN: usize = 1024;
/// Writes that a shard makes before it takes what came meanwhile and lets its other tasks run. Few, see above: this is
/// what joins frames under load, and adds no wait where there is none.
pub(crate) const WRITES_PER_TURN: usize = 128;

/// Frames of one vectored write; the rest is due in the next one.
pub(crate) const WRITE_FRAMES_MAX: usize = 64;
/// Bytes pulled for one write: from the least to the most, doubled by each write that went out whole. A slow socket
/// therefore holds little that grows stale.
pub(crate) const WRITE_BYTES_MIN: usize = 16 * 1024;
pub(crate) const WRITE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of pongs and close answers that wait for a frame boundary. More: only the newest pong is kept.
pub(crate) const CONTROL_BYTES_MAX: usize = 4 * 1024;
/// Bytes read from a client at once; larger messages are assembled up to the wire's limit.
pub(crate) const READ_BYTES: usize = 1024;
/// Unsent bytes that the kernel holds of a connection before it says that the socket is full.
pub(crate) const NOTSENT_BYTES: u32 = 16 * 1024;
/// How long a client has to answer a close frame. Longer: cut off.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(5);
/// How long an accepted upgrade may take to become a socket of ours. Longer: cut off.
pub(crate) const UPGRADE_TIME: Duration = Duration::from_secs(5);
/// Between which two moments, in ms from goodbye, clients are asked to come back; each draws its own.
pub(crate) const RETRY_AFTER_MS: [u64; 2] = [500, 10_000];
/// How often a shard looks at all its connections for heartbeats and silence, at most.
pub(crate) const SCAN_TIME: Duration = Duration::from_secs(1);

/// Channels of one subscribe, unsubscribe or audit call. The rest goes into the next one.
pub(crate) const INTEREST_BATCH_MAX: usize = 512;
/// Snapshots being read at once. The rest waits its turn; each channel waits once.
pub(crate) const READS_MAX: usize = 64;
/// How long to wait before asking a broker again that was away, and what it doubles up to.
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(50);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(1);
/// A channel that was quiet for this long is audited.
pub(crate) const QUIET_TIME: Duration = Duration::from_secs(2);
/// How often channels are looked at for an audit.
pub(crate) const AUDIT_TIME: Duration = Duration::from_secs(1);

/// One delivery out of so many is timed.
pub(crate) const DELIVERY_SAMPLE: u32 = 64;

/// How often a gateway says how it is, and how often what is in it.
pub(crate) const SAMPLE_TIME: Duration = Duration::from_secs(1);
pub(crate) const DETAIL_TIME: Duration = Duration::from_secs(2);
/// Samples of deliveries that a shard takes per second at least, as far as there are as many.
pub(crate) const DELIVERY_SAMPLES_WANTED: u64 = 100;
/// The longest time to a socket that is told apart. Longer: this long.
pub(crate) const LATENCY_MAX_MS: u64 = 60_000;
/// Questions that a shard has not answered. More: the one who asks does without.
pub(crate) const QUESTIONS_MAX: usize = 64;
/// How long a shard has to answer one. Longer: the one who asks does without.
pub(crate) const SHARD_ANSWER_TIME: Duration = Duration::from_millis(700);
/// How long the broker has to take one of a gateway's own events. Longer: it is given up.
pub(crate) const OWN_PUBLISH_TIME: Duration = Duration::from_secs(2);
/// How long a drain waits for its own announcement.
pub(crate) const LEAVING_TIME: Duration = Duration::from_secs(1);
/// Bytes of the body of an ask. More: HTTP 413.
pub(crate) const ASK_BYTES_MAX: usize = 8 * 1024;
/// Characters of the id that a page draws for an ask. More: HTTP 400.
pub(crate) const ASK_ID_BYTES_MAX: usize = 32;
/// Asks that wait for their answer. More: dropped, with a warning.
pub(crate) const ASKS_MAX: usize = 64;
/// Bytes of one answer, as of one record. A history comes in several.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Channels of one answer.
pub(crate) const ANSWER_CHANNELS_MAX: usize = 50;
/// Subscriptions of an answer about a connection: those that are the furthest behind.
pub(crate) const ANSWER_SUBSCRIPTIONS_MAX: usize = 100;
/// Bytes of a detail. More: half of its rows, until it fits.
pub(crate) const DETAIL_BYTES_MAX: usize = 64 * 1024;
/// Channels and connections of a detail; channels that each of the four criteria contributes.
pub(crate) const DETAIL_CHANNELS_MAX: usize = 50;
pub(crate) const DETAIL_EACH_MAX: usize = 13;
pub(crate) const DETAIL_CONNECTIONS_MAX: usize = 50;
/// Unheard channels of a detail, and of the window that they come from. More: left out.
pub(crate) const UNHEARD_SHOWN_MAX: usize = 20;
pub(crate) const UNHEARD_CHANNELS_MAX: usize = 4_096;
/// Characters of a client's user agent that are kept. More: cut.
pub(crate) const USER_AGENT_MAX: usize = 120;
/// Gateways that a gateway remembers. More: the longest silent go first.
pub(crate) const FLEET_MAX: usize = 64;
/// Points of each step (1 s, 10 s, 60 s) that are remembered of a gateway, and for how long at most.
pub(crate) const HISTORY_POINTS: [usize; 3] = [300, 360, 360];
pub(crate) const HISTORY_TIME: Duration = Duration::from_secs(6 * 3_600);
/// Channels whose last minutes are kept, for how long after somebody looked, and how many seconds of each.
pub(crate) const TRACKS_MAX: usize = 200;
pub(crate) const TRACK_TIME: Duration = Duration::from_secs(300);
pub(crate) const TRACK_POINTS_MAX: usize = 300;
/// Bytes of the watcher's logs, on top of `logs_bytes_max`.
pub(crate) const WATCHER_LOG_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of a gateway's name.
pub(crate) const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        let limits = Limits::default();
        for bound in BOUNDS {
            let value = bound.get(&limits);
            assert!(bound.min <= value && value <= bound.max, "{}", bound.key);
        }
    }
}
