//! The words on both of Tally's wires: names, events, records, frames, close codes; no I/O.
//!
//! Two wires meet here. Producers and gateways exchange [`Record`]s (binary, through the backplane); gateways and
//! clients exchange [`ServerFrame`]s and [`ClientFrame`]s (JSON, one object per websocket text frame). The contract
//! for other languages is `docs/wire.md`, and the files under `vectors/` pin it byte for byte.
//!
//! [`Ledger`] is here as well, because everybody who reads frames has to check the same two laws on them.

mod close;
mod event;
mod frame;
mod intake;
mod json;
mod ledger;
mod limits;
mod name;
mod number;
mod publish;
mod record;
mod rung;
mod snapshot;
mod totals;

pub use close::{CLOSE_CODES, CloseCode};
pub use event::{Batch, BatchError, Class, Event};
pub use frame::client::{
    After, AuthRequest, ClientFrame, RungRequest, SubscribeChannel, SubscribeRequest, UnsubscribeRequest,
    ViolationReport,
};
pub use frame::error::{ErrorCode, FrameError};
pub use frame::server::{
    Attach, Counts, ErrorFrame, Events, Goodbye, Heartbeat, Hello, HelloLimits, Reset, RungFrame,
    ServerFrame, Subscribed, Summary, SummaryChannel, TailEvent, Unnumbered, Unsubscribed, UpstreamFrame,
    UpstreamStatus, WireEvent,
};
pub use frame::{move_into_frame, write_events_frame, write_events_frame_after};
pub use intake::{BadLine, Intake, IntakeError, OnError, drop_keys, read_events, read_value};
pub use json::{JsonError, RawJson};
pub use ledger::{Law, Ledger, Violation};
pub use limits::*;
pub use name::{ChannelName, Kind, NameError, ProducerId};
pub use number::{Epoch, EpochError, Seq, UnixMs};
pub use publish::{CountsError, CountsOnly, Heard, Published};
pub use record::{Body, Draft, DraftState, Place, Record, RecordError, RecordEvent, RecordHeader};
pub use rung::{Rung, TickMs, Why};
pub use snapshot::{Position, Prev, Snapshot, State};
pub use totals::Totals;

/// The websocket subprotocol that both ends must name.
pub const SUBPROTOCOL: &str = "tally.v1";
