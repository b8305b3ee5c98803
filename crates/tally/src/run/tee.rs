//! One output of the command: each portion is published as lines and passed on raw, as soon as it is there.
//!
//! Law 3: one portion is held at a time. A terminal that is slow slows the command down through its pipe, as it would
//! without us; publishing does not.

use super::Input;
use super::journal::Journal;
use super::lines::Splitter;
use super::notes::Notes;
use super::reading::{LINE_BYTES_MAX, Stream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

const PORTION_BYTES_MAX: usize = 64 * 1024;
/// How long another process may hold the output open in silence once the command has ended. Longer: it is left.
const HELD_OPEN_MAX: Duration = Duration::from_millis(500);
/// What a pipe can hold of the command's own output (Linux, without privileges). Beyond it, after `HELD_OPEN_MAX`, a
/// process that goes on to write is left.
const PIPE_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Tee {
    pub(super) stream: Stream,
    pub(super) source: OwnedFd,
    /// `None` once it is lost.
    pub(super) sink: Option<File>,
    /// Closed when the command has ended.
    pub(super) running: PipeReader,
    pub(super) journal: Arc<Journal>,
    pub(super) notes: Arc<Notes>,
    pub(super) inputs: Sender<Input>,
}

/// How an output ended.
#[derive(Debug)]
pub(super) enum Closing {
    /// All of it was read.
    Whole,
    /// Another process still has it.
    HeldOpen,
    /// Ours was closed, and so was the command's.
    SinkLost,
}

/// The time and the bytes since the command ended.
struct Afterwards {
    deadline: Instant,
    bytes: usize,
}

impl Tee {
    /// Runs until the output ends, and says so.
    pub(super) fn run(mut self) {
        let closing = self.pass_all();
        let (stream, inputs) = (self.stream, self.inputs.clone());
        // The command learns that nobody reads any more before anybody else learns of the end.
        drop(self);
        let _the_run_is_over = inputs.blocking_send(Input::Closed(stream, closing));
    }

    fn pass_all(&mut self) -> Closing {
        let mut splitter = Splitter::new(LINE_BYTES_MAX);
        let mut buffer = vec![0; PORTION_BYTES_MAX];
        let mut afterwards = None;
        let closing = loop {
            if !self.wait(&mut afterwards) {
                break Closing::HeldOpen;
            }
            let portion = match nix::unistd::read(&self.source, &mut buffer) {
                Ok(0) => break Closing::Whole,
                Ok(bytes) => &buffer[..bytes],
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                // EIO is how a terminal says that the last process has left it.
                Err(_) => break Closing::Whole,
            };
            if let Some(afterwards) = &mut afterwards {
                afterwards.bytes += portion.len();
            }
            // Before it is passed on, so that listeners do not wait for a terminal that stands still.
            let mut rest = portion;
            while let Some(line) = splitter.next_line(&mut rest) {
                self.journal.publish_line(&line, self.stream);
            }
            if !self.pass_on(portion) {
                break Closing::SinkLost;
            }
        };
        if let Some(line) = splitter.finish() {
            self.journal.publish_line(&line, self.stream);
        }
        closing
    }

    /// Whether there is something to read. Once the command has ended, not for long.
    fn wait(&self, afterwards: &mut Option<Afterwards>) -> bool {
        loop {
            let mut fds = [
                PollFd::new(self.source.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.running.as_fd(), PollFlags::POLLIN),
            ];
            let Some(Afterwards { deadline, bytes }) = afterwards else {
                if poll(&mut fds, PollTimeout::NONE).is_err() {
                    continue;
                }
                if fds[1].any() == Some(true) {
                    *afterwards = Some(Afterwards { deadline: Instant::now() + HELD_OPEN_MAX, bytes: 0 });
                    continue;
                }
                return true;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && *bytes > PIPE_BYTES_MAX {
                return false;
            }
            // A whole millisecond at least, or the rest of one is spent in a tight loop.
            let left = PollTimeout::try_from(left.as_millis() + u128::from(!left.is_zero()))
                .unwrap_or(PollTimeout::ZERO);
            match poll(&mut fds[..1], left) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(_) => {}
            }
        }
    }

    /// `false`: nobody takes it, and the command is to learn it as it would without us.
    fn pass_on(&mut self, portion: &[u8]) -> bool {
        let Some(sink) = &self.sink else { return true };
        let written = write_all(sink, portion);
        self.notes.handle_passed(self.stream, portion);
        let Err(error) = written else { return true };
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.notes.say(&format!("{}: {error}", self.stream.name()));
        }
        self.sink = None;
        if self.stream == Stream::Terminal {
            // A terminal is read on: the command is told by SIGHUP, and may still have something to say.
            let _the_run_is_over = self.inputs.blocking_send(Input::TerminalLost);
        }
        self.stream == Stream::Terminal
    }
}

fn write_all(sink: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(sink, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            // Some other program has made our output non-blocking.
            Err(Errno::EAGAIN) => {
                let _interrupted =
                    poll(&mut [PollFd::new(sink.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
