//! Every limit of this crate, with its consequence.

use std::time::Duration;

/// Channels of one client. Further ones are refused by `subscribe`. (The gateway's own limit is in `hello`.)
pub const CHANNELS_MAX: usize = 16_384;
/// Closed ledgers kept per channel. The oldest is dropped; each was handed out with its update before.
pub const CLOSED_LEDGERS_MAX: usize = 16;
/// Violation reports that wait for the socket. Further ones are not sent; the count of violations still has them.
pub const REPORTS_MAX: usize = 16;
/// Characters of a violation's detail in the report to the gateway. The rest is cut.
pub const REPORT_DETAIL_MAX: usize = 500;
/// Bytes of one frame from the gateway: an event of 1 MiB, with room. Larger: the connection is closed and reopened.
pub const SERVER_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// From the start of a connection attempt to the end of the websocket handshake. Longer: the attempt has failed.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// From the handshake to `hello`. Longer: the connection counts as dead.
pub const HELLO_MAX: Duration = Duration::from_secs(10);
/// Heartbeats without anything received, while the application awaits `next`. More: the connection counts as dead.
pub const SILENT_HEARTBEATS_MAX: u32 = 2;
/// What a `heartbeat_ms` is cut to from below, so that a wrong value cannot end every connection at once.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// What a `heartbeat_ms` is cut to from above, so that a dead connection is always found.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(300);
/// What a gateway's window for coming back is cut to.
pub const RETRY_WINDOW_MAX: Duration = Duration::from_secs(600);
/// What `close` waits for the gateway's close frame. Longer: the socket is dropped.
pub const CLOSE_MAX: Duration = Duration::from_secs(2);
