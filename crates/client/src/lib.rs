//! Tally's verifying subscriber SDK: it keeps a ledger per channel, checks laws 1 and 2 on every frame, and resumes.
//!
//! [`Client`] owns one connection to a gateway. It does nothing by itself: there is no background task and no queue.
//! The application awaits [`Client::next`] in a loop, and only there is the socket read, written and supervised. So
//! an application that is slow slows the gateway's socket, the gateway puts the connection on a lower rung, and the
//! memory used here does not depend on what is published.
//!
//! ```no_run
//! use tally_client::{ChannelName, Client, Subscription, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let job = ChannelName::new("job:42")?;
//! let mut client = Client::connect("http://127.0.0.1:8420")?;
//! client.subscribe(Subscription::new(&job).last(100))?;
//! while let Some(update) = client.next().await {
//!     match update {
//!         Update::Events(events) => println!("{} events", events.events.len()),
//!         Update::Counts(counts) => println!("now {:?}", counts.totals),
//!         Update::Violation { violation, .. } => eprintln!("{violation}"),
//!         Update::Disconnected { cause, retry_in: None } => return Err(cause.into()),
//!         _ => {}
//!     }
//!     let ledger = client.ledger(&job);
//!     assert!(ledger.is_none_or(|ledger| ledger.closes()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - A frame reaches the application only after its channel's ledger has booked it. Kind by kind: totals at attach +
//!   seen in full + counted + summarised = totals at the cursor; an `events` frame starts right after the cursor.
//! - A frame that breaks a law is not booked. It is an [`Update::Violation`], is counted and reported to the gateway;
//!   the channel's ledger is closed as it stood, and the SDK unsubscribes and subscribes anew, without `after` and
//!   without `last`. Until the new attach, further frames of that channel are dropped unread. The first return is
//!   immediate; a channel that keeps breaking returns with the pauses of the [`Reconnect`] policy.
//! - After a lost connection every channel is resumed from its cursor with its own totals. Where the gateway cannot
//!   continue, the old ledger is closed ([`Update::Reset`]) and a new one starts: never silently.
//! - Everything held is bounded; `limits.rs` of this crate names each limit and what happens there.

mod client;
mod disconnect;
mod endpoint;
mod limits;
mod reconnect;
mod session;
mod subscription;
mod tls;
mod update;

pub use client::{Builder, Client};
pub use disconnect::Disconnect;
pub use endpoint::{BuildError, Endpoint};
pub use limits::*;
pub use reconnect::Reconnect;
pub use session::Account;
pub use subscription::{SubscribeError, Subscription};
pub use tally_protocol as protocol;
pub use tally_protocol::{
    ChannelName, CloseCode, Epoch, Kind, Law, Ledger, Rung, Seq, TickMs, Totals, Violation, Why,
};
pub use update::{Continuity, Frame, FrameText, Update};
