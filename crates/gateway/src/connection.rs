//! One websocket connection: its socket, its writer, and the task that reads and ends it.
//!
//! Deliveries do not go through the task: the shard writes straight to the socket. The task waits for what only it can
//! see: frames from the client, a full socket that can be written again, the time to close. Nothing is read while
//! replies wait to be written, while the client sends faster than its rate, or after its last error.

mod bucket;
mod figures;
mod session;
mod silence;
mod wire;
mod writer;

pub(crate) use figures::{Caller, ConnFigures};
pub(crate) use session::run;
pub(crate) use writer::{Writer, Written};

use crate::limits::Limits;
use bucket::Bucket;
use silence::Silence;
use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Duration;
use tally_fanout::Time;
use tally_protocol::CloseCode;
use tokio::net::TcpStream;

/// What shard and task share of a connection; both are on the same thread.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    pub(crate) writer: RefCell<Writer>,
    pub(crate) figures: ConnFigures,
    clock: crate::clock::Clock,
    received_at: Cell<Time>,
    sent_at: Cell<Time>,
    /// When a frame was last put out. Pings are none: a page in a browser does not see them.
    told_at: Cell<Time>,
    pinged_at: Cell<Time>,
    /// The client's errors, with forgiveness.
    errors: RefCell<Bucket>,
    /// The `id` of the last error reply: one frame's errors count once.
    error_id: Cell<Option<u64>>,
    ending: Cell<Ending>,
    /// The task holds something back until the socket has taken bytes: control frames, or reading.
    is_held: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// How far the end of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is open.
    None,
    /// Goodbye is to be said.
    Wanted(CloseCode),
    /// Goodbye is said, or the client has said it; what is written goes out, and nothing else comes.
    Closing,
    /// The socket has failed, or must be cut off.
    Broken,
}

/// What a connection needs when a shard looks at all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Heartbeat,
    Ping,
    Silent,
}

impl Conn {
    pub(crate) fn new(
        socket: TcpStream,
        clock: crate::clock::Clock,
        limits: &Limits,
        figures: ConnFigures,
    ) -> Self {
        let now = clock.now();
        Self {
            socket,
            writer: RefCell::new(Writer::new()),
            figures,
            clock,
            received_at: Cell::new(now),
            sent_at: Cell::new(now),
            told_at: Cell::new(now),
            pinged_at: Cell::new(now),
            errors: RefCell::new(Bucket::new(limits.errors_max, Duration::from_secs(10), now)),
            error_id: Cell::new(None),
            ending: Cell::new(Ending::None),
            is_held: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Lets the connection's task look again.
    pub(crate) fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending.get()
    }

    /// Asks the task to say goodbye, unless the end has begun.
    pub(crate) fn close(&self, code: CloseCode) {
        if self.ending.get() == Ending::None {
            self.ending.set(Ending::Wanted(code));
            self.wake();
        }
    }

    /// The end has begun: nothing more of any channel is sent.
    pub(crate) fn stop(&self) {
        self.ending.set(Ending::Closing);
    }

    /// Nothing can be written any more.
    pub(crate) fn fail(&self) {
        self.ending.set(Ending::Broken);
        self.wake();
    }

    /// The client was told of an error; more than a client that means well could cause end the connection.
    pub(crate) fn note_error(&self, id: Option<u64>) {
        self.figures.errors.set(self.figures.errors.get() + 1);
        if id.is_some() && self.error_id.replace(id) == id {
            return;
        }
        if !self.errors.borrow_mut().take(self.clock.now()) {
            self.close(CloseCode::TooManyErrors);
        }
    }

    /// The socket took bytes.
    pub(crate) fn note_sent(&self, now: Time) {
        self.sent_at.set(now);
        if self.is_held.replace(false) {
            self.wake();
        }
    }

    /// What this connection needs now, by how long it was silent in either direction.
    pub(crate) fn due(&self, now: Time, limits: &Limits) -> Due {
        let silence = Silence {
            received: now.since(self.received_at.get()),
            sent: now.since(self.sent_at.get()),
            told: now.since(self.told_at.get()),
            pinged: now.since(self.pinged_at.get()),
        };
        let due = silence.due(limits);
        if due == Due::Ping {
            self.pinged_at.set(now);
        }
        due
    }

    /// A frame is put out.
    pub(crate) fn note_told(&self, now: Time) {
        self.told_at.set(now);
    }

    fn note_received(&self, bytes: usize) {
        if bytes > 0 {
            self.received_at.set(self.clock.now());
        }
    }

    fn push_control(&self, frames: &[u8]) -> bool {
        let taken = self.writer.borrow_mut().push_control(frames);
        if !taken {
            self.is_held.set(true);
        }
        taken
    }
}
