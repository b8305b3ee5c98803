//! Tally's pure delivery core: who gets what, at which level of detail; no clock, lock, socket, log or randomness.
//!
//! ```text
//!   record, snapshot, upstream ─┐                        ┌─> poll_output: what one connection gets next
//!   frame of a client ──────────┼─> Hub (one per shard) ─┼─> poll_request: watch, unwatch, read again
//!   socket blocked / drained ───┤                        └─> poll_timeout: when to call again
//!   time ───────────────────────┘
//! ```
//!
//! [`Hub`] has one grammar: `handle_*` takes an input, `poll_*` says what to do next. After each `handle_*` the shell
//! polls until nothing comes. A listener is a cursor into its channel's one bounded log, not a queue: whatever a
//! connection gets is derived when its socket has room.

mod channel;
mod flow;
mod hub;
mod limits;
mod log;
mod output;
mod point;
mod session;
mod shared;
mod slab;
mod subscription;
mod throttle;
mod time;
mod top;

pub use flow::Flow;
pub use hub::{
    Account, Audit, Backlog, ChannelAudit, ChannelView, ConnectionView, Hub, Look, Standing, SubscriptionView,
};
pub use limits::HubLimits;
pub use output::{Counters, HubStats, Output, Request};
pub use session::ConnId;
pub use shared::{ChannelRecord, Shared};
pub use time::Time;
