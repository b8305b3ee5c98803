//! Tally's gateway: sockets, HTTP, threads, time, config and metrics around the delivery core.
//!
//! ```text
//!   backplane ─> ingest ─> inbox ─┐
//!                                 ├─> shard: hub ─> pump ─> writer ─> socket
//!   accept ─> HTTP ─> upgrade ────┘     ▲                     │
//!                └─> publish            └── connection ◄──────┘ full, or the client spoke
//! ```
//!
//! [`Gateway::start_configured`] takes a checked [`Config`] and the backplane that it names, [`Gateway::start`] any other;
//! [`Running`] is what runs then.
//! Everything that decides who gets what is in `tally_fanout`.

mod accept;
mod app;
#[doc(hidden)]
pub mod bench;
mod clock;
mod config;
mod connection;
mod decision;
mod drain;
mod embedded;
mod frames;
mod http;
mod inbox;
mod ingest;
mod interest;
mod limits;
mod metrics;
mod redis;
mod shard;
mod statistics;
mod watcher;

pub use app::{Drained, Gateway, Running, StartError};
pub use config::{
    AllowedOrigin, ChannelRule, Config, ConfigError, ConfigErrors, PublishKey, RedisSettings, Sources,
};
pub use limits::{BOUNDS, Bound, Limits};
