//! Every bound of the delivery core, with what happens at the bound.

use std::time::Duration;

/// The bounds of one hub. The defaults are those of a gateway with one shard.
#[derive(Debug, Clone)]
pub struct HubLimits {
    /// Events that a channel's log holds. More: the oldest records go; a cursor there jumps to the head.
    pub log_events_max: u64,
    /// Bytes that a channel's log holds (data, and an estimate of its frame around it). More: as above.
    /// The encoded frame of a record that somebody got in full comes on top, so the process may hold twice as much.
    pub log_bytes_max: u64,
    /// Bytes that all logs of this hub hold together. More: the coldest channels lose all but their newest record.
    pub hub_log_bytes_max: u64,
    /// How long a channel without listeners is kept, with its log.
    pub grace: Duration,
    /// Events per second of a subscription that asked for no rate.
    pub max_rate_default: u64,
    /// Events per second of all subscriptions of a connection, and the highest rate that can be asked for. More: the
    /// busiest subscription goes to `counts` first.
    pub connection_max_rate: u64,
    /// Subscriptions of one connection. More: an error `too_many_subscriptions`; the others stay.
    pub subscriptions_max: usize,
    /// How old the second-oldest thing due to a connection may become. Older: the connection goes to `summary`.
    pub due_age_max: Duration,
    /// Bytes that may be due to a connection beside the first record. More: the connection goes to `summary`.
    pub due_bytes_max: u64,
    /// How long a connection has to be calm before it climbs one rung; doubles after a failed climb.
    pub calm_min: Duration,
    /// What the calm period doubles up to. A connection that held `full` for as long starts from `calm_min` again.
    pub calm_max: Duration,
    /// Bytes of messages that wait for a channel's snapshot. More: they are dropped, and it is read again.
    pub waiting_bytes_max: u64,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            log_events_max: 16_384,
            log_bytes_max: 2 * 1024 * 1024,
            hub_log_bytes_max: 256 * 1024 * 1024,
            grace: Duration::from_secs(10),
            max_rate_default: 200,
            connection_max_rate: 10_000,
            subscriptions_max: 1_000,
            due_age_max: Duration::from_secs(1),
            due_bytes_max: 2 * 1024 * 1024,
            calm_min: Duration::from_secs(2),
            calm_max: Duration::from_secs(60),
            waiting_bytes_max: 2 * 1024 * 1024,
        }
    }
}

/// Standings that are kept of a connection before its present one. More: the oldest go.
pub(crate) const CONNECTION_RUNGS_MAX: usize = 31;
/// How deep a token bucket is, in seconds of its rate.
pub(crate) const BURST_SECONDS: u64 = 2;
/// How often a summary goes to a connection under backpressure at most; the socket must have drained as well.
pub(crate) const PRESSED_SUMMARY_TICK_MS: u64 = 1_000;
/// How often a summary goes to a subscription that asked for it.
pub(crate) const ASKED_SUMMARY_TICK_MS: u64 = 5_000;
/// Bytes that may be due to a connection together with an event without a number, unless nothing is. More: that event is
/// dropped for the connection's listener.
pub(crate) const UNNUMBERED_BYTES_MAX: u64 = 64 * 1024;
/// What a log entry weighs beside its data: the frame's head, and each event's keys.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = 160;
pub(crate) const EVENT_OVERHEAD_BYTES: u64 = 64;
/// What a channel's entry in a summary weighs beside names, totals and state data.
pub(crate) const SUMMARY_ENTRY_BYTES: usize = 160;
