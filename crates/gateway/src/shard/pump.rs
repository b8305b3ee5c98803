//! From the hub to the sockets: for each connection that is ready, one vectored write of what is due.
//!
//! A socket that does not take everything makes its connection blocked; the connection's own task writes the rest when
//! there is room. No task is woken for a delivery.

use super::{Shard, State};
use crate::clock::unix_ms;
use crate::connection::{Conn, Ending, Writer, Written};
use crate::frames;
use crate::interest::Interest;
use crate::interest::reads::Wants;
use crate::interest::reconcile::{Command, Commands};
use crate::limits::WRITES_PER_TURN;
use crate::metrics::Metrics;
use tally_fanout::{ConnId, Output, Request, Time};
use tally_protocol::ErrorCode;

/// The codes of errors that come out of a hub, to name them in metrics.
const ERROR_CODES: [ErrorCode; 13] = [
    ErrorCode::BadJson,
    ErrorCode::BadFrame,
    ErrorCode::UnknownType,
    ErrorCode::UnknownField,
    ErrorCode::BinaryFrame,
    ErrorCode::BadChannel,
    ErrorCode::ForbiddenChannel,
    ErrorCode::AlreadySubscribed,
    ErrorCode::NotSubscribed,
    ErrorCode::TooManyChannels,
    ErrorCode::TooManySubscriptions,
    ErrorCode::NoHistory,
    ErrorCode::Unavailable,
];

/// What the hub may still have for a connection beyond what was pulled for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    /// It was asked until it had nothing.
    Nothing,
    /// The write was full, or the socket was.
    Perhaps,
}

impl Shard {
    /// Writes what is due, and passes on what the hub asks for. Stops after a bounded number of writes, so that the
    /// other tasks of the thread get their turn; the main loop then goes on. True: nothing was left.
    pub(crate) fn pump(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let mut writes = 0;
        while writes < WRITES_PER_TURN {
            let Some(id) = state.hub.poll_ready() else { break };
            let Some(conn) = state.connections.get(&id).cloned() else { continue };
            self.write_due(&mut state, id, &conn);
            writes += 1;
        }
        while let Some(request) = state.hub.poll_request() {
            pass_on(self.index, request, &self.interest, &self.commands);
        }
        let timeout = state.hub.poll_timeout();
        let is_too_late = match (timeout, self.armed.get()) {
            (Some(timeout), Some(armed)) => timeout < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let is_done = writes < WRITES_PER_TURN;
        if !is_done || is_too_late {
            self.again.notify_one();
        }
        is_done
    }

    /// Writes to one connection: what is left of its last write, or what is due.
    pub(crate) fn write(&self, id: ConnId, conn: &Conn) {
        {
            let mut state = self.state.borrow_mut();
            if conn.writer.borrow().is_blocked() {
                self.put_out(&mut state, id, conn, self.clock.now(), More::Perhaps);
            } else {
                self.write_due(&mut state, id, conn);
            }
        }
        self.pump();
    }

    fn write_due(&self, state: &mut State, id: ConnId, conn: &Conn) {
        let now = self.clock.now();
        let more =
            if conn.ending() == Ending::None { self.pull(state, id, conn, now) } else { More::Nothing };
        self.put_out(state, id, conn, now, more);
    }

    /// Takes what is due, as much as one write may hold.
    fn pull(&self, state: &mut State, id: ConnId, conn: &Conn, now: Time) -> More {
        let mut writer = conn.writer.borrow_mut();
        while writer.has_room() {
            let Some(output) = state.hub.poll_output(now, id) else { return More::Nothing };
            conn.note_told(now);
            self.push(state, conn, &mut writer, output);
        }
        More::Perhaps
    }

    fn push(&self, state: &mut State, conn: &Conn, writer: &mut Writer, output: Output) {
        if let Output::Error(error) = &output {
            conn.note_error(error.id);
            let code = ERROR_CODES.iter().find(|code| code.as_str() == error.code);
            self.app.metrics.refused(code.map_or("other", |code| code.as_str()));
        }
        let framed = frames::output(output);
        if let Some(sent_at) = framed.sent_at {
            match state.until_sample.checked_sub(1) {
                Some(rest) => state.until_sample = rest,
                None => {
                    state.until_sample = state.sample_after;
                    writer.sample(sent_at);
                }
            }
        }
        writer.push(framed.bytes, framed.form);
    }

    fn put_out(&self, state: &mut State, id: ConnId, conn: &Conn, now: Time, more: More) {
        let written = conn.writer.borrow_mut().write(|slices| match slices {
            // The kernel does less for one piece than for a list of one.
            [one] => conn.socket.try_write(one),
            _ => conn.socket.try_write_vectored(slices),
        });
        match written {
            Ok(Written::Nothing) => {}
            Ok(Written::Whole { bytes, forms, sample }) => {
                state.report.count_bytes(bytes);
                state.report.count_frames(forms);
                if let Some(sent_at) = sample {
                    time_delivery(&self.app.metrics, state, sent_at.get());
                }
                conn.figures.count_bytes(bytes);
                // Where nothing is left the hub lists the connection by itself when something is due again.
                if more == More::Perhaps {
                    state.hub.handle_drained(now, id);
                }
                conn.note_sent(now);
            }
            Ok(Written::Partly { bytes }) => {
                state.report.count_bytes(bytes);
                state.report.count_partial_write();
                conn.figures.count_bytes(bytes);
                state.hub.handle_blocked(now, id);
                if bytes > 0 {
                    conn.note_sent(now);
                }
                // Its task waits for room.
                conn.wake();
            }
            Err(error) => {
                tracing::debug!(%error, "a socket failed");
                conn.fail();
            }
        }
    }
}

/// What a hub needs from outside; `index` is its place among the inboxes.
pub(crate) fn pass_on(index: usize, request: Request, interest: &Interest, commands: &Commands) {
    match request {
        Request::Watch(channel) => {
            interest.add(index, &channel);
            commands.send(Command::Watch(index, channel));
        }
        Request::Unwatch(channel) => {
            if interest.remove(index, &channel) {
                commands.send(Command::Unwatch(channel));
            }
        }
        Request::Reread(channel, read) => {
            commands.send(Command::Reread(channel, Wants::one(index, read)));
        }
    }
}

/// Clocks of producers may be ahead of ours: then it took no time.
fn time_delivery(metrics: &Metrics, state: &mut State, sent_ms: u64) {
    let ms = unix_ms().get().saturating_sub(sent_ms);
    metrics.delivery_seconds.record(ms as f64 / 1e3);
    state.latency.saturating_record(ms);
}
