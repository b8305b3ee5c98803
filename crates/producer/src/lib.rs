//! Tally's producer SDK: batching, retry, and an account of every event.
//!
//! [`Producer::publish`] puts an event into a bounded buffer and returns a [`Receipt`]. Batches of one channel are
//! sent one after another, those of different channels at the same time. Each event ends in exactly one column:
//! published in full, published as a count, refused, or unknown.
//!
//! An event is published as a count for one of two reasons, which its receipt and [`Stats`] tell. Why `upstream`: the
//! buffer was full. Why `unheard`: nobody listened, so there was no use in sending its data; that is ordinary, concerns
//! only channels above 10 events/s, never the newest state, and ends within 300 ms of somebody's attaching (where a
//! round trip takes at most 40 ms). [`Builder::listener_aware`] turns it off.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tally_producer::{Class, Event, Producer, RawJson, UnixMs};
//!
//! let producer = Producer::connect("http://127.0.0.1:8420")?;
//! let event = Event {
//!     kind: "run_started".parse()?,
//!     class: Class::State,
//!     at: UnixMs::new(1_790_000_000_000),
//!     data: RawJson::string("make all"),
//! };
//! let receipt = producer.publish(&"job:42".parse()?, event)?;
//! println!("{:?}", receipt.outcome().await);
//! let closed = producer.close(Duration::from_secs(2)).await;
//! println!("{} events are perhaps published", closed.stats.unknown);
//! # Ok(())
//! # }
//! ```

mod builder;
mod driver;
pub mod limits;
mod notice;
mod pipeline;
mod producer;
mod publish;
mod random;
mod receipt;
mod settings;
mod stats;
mod transport;

pub use builder::{Builder, ConnectError};
pub use notice::Notice;
pub use producer::Producer;
pub use publish::PublishError;
pub use receipt::{Outcome, Receipt};
pub use settings::SettingError;
pub use stats::{Closed, Remaining, Stats};
pub use tally_backplane::redis::ConfigError as RedisError;
pub use tokio::sync::broadcast::{Receiver as NoticeReceiver, error::RecvError};
pub use transport::UrlError;

/// The words that the signatures above use, and the reading of what programs print; for applications that depend on
/// this crate only.
pub use tally_protocol::{
    BadLine, ChannelName, Class, Epoch, Event, Heard, Intake, IntakeError, Kind, NameError, OnError, RawJson,
    Seq, UnixMs, Why, drop_keys, read_events, read_value,
};
