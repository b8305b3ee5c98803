//! One write in flight per connection: whole frames in one vectored write, the rest kept until the socket has room.
//!
//! What is pulled for a write is bounded by a budget that grows with writes that went out whole and falls with the
//! first one that did not, so a slow socket never holds much that grows stale. Pongs and close answers wait in a
//! small buffer of their own and go out at the next frame boundary.

use crate::limits::{CONTROL_BYTES_MAX, WRITE_BYTES_MAX, WRITE_BYTES_MIN, WRITE_FRAMES_MAX};
use crate::metrics::Form;
use bytes::{Buf as _, Bytes};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use tally_protocol::UnixMs;

/// The bytes of one connection that are on their way out.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Of the write in flight; the first one may be half written.
    frames: VecDeque<Bytes>,
    bytes: usize,
    budget: usize,
    /// Whether some of `frames` was refused by the socket.
    is_blocked: bool,
    /// Whole control frames.
    control: Vec<u8>,
    /// Nothing follows what is in `frames`.
    is_sealed: bool,
    forms: [u32; 5],
    sample: Option<UnixMs>,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// There was nothing to write.
    Nothing,
    /// Everything is out: so many bytes since the last word, and these frames by form.
    Whole { bytes: usize, forms: [u32; 5], sample: Option<UnixMs> },
    /// The socket is full.
    Partly { bytes: usize },
}

impl Writer {
    pub(crate) const fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            budget: WRITE_BYTES_MIN,
            is_blocked: false,
            control: Vec::new(),
            is_sealed: false,
            forms: [0; 5],
            sample: None,
        }
    }

    /// Whether the socket refused part of the last write: pull nothing, wait until it can be written.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Whether this write may take another frame. A frame larger than the budget goes alone.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_sealed
            && !self.is_blocked
            && self.frames.len() < WRITE_FRAMES_MAX - 1
            && self.bytes < self.budget
    }

    /// Adds a whole frame.
    pub(crate) fn push(&mut self, frame: Bytes, form: Form) {
        if self.is_sealed || frame.is_empty() {
            return;
        }
        self.forms[form as usize] += 1;
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// A frame whose time to the socket is to be measured.
    pub(crate) fn sample(&mut self, sent_at: UnixMs) {
        self.sample = Some(sent_at);
    }

    /// Adds the last frames; nothing follows them, and control frames that wait are dropped.
    pub(crate) fn seal(&mut self, last: Bytes) {
        self.push(last, Form::Control);
        self.control = Vec::new();
        self.is_sealed = true;
    }

    /// Takes whole control frames for the next frame boundary; false: no room now, they have to come again.
    pub(crate) fn push_control(&mut self, frames: &[u8]) -> bool {
        if self.is_sealed {
            return true;
        }
        let fits = self.control.is_empty() || self.control.len() + frames.len() <= CONTROL_BYTES_MAX;
        if fits {
            self.control.extend_from_slice(frames);
        }
        fits
    }

    /// Whether a write would have something to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.frames.is_empty() || !self.control.is_empty()
    }

    /// What was pulled and is not out.
    pub(crate) const fn unwritten_bytes(&self) -> usize {
        self.bytes
    }

    /// Writes until everything is out or the socket is full. `write` takes what it can, as a socket does.
    ///
    /// # Errors
    /// The socket's; nothing more can be written.
    pub(crate) fn write(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        if !self.is_blocked && !self.control.is_empty() {
            let control = std::mem::take(&mut self.control);
            self.bytes += control.len();
            self.frames.push_front(control.into());
        }
        let mut bytes = 0;
        while !self.frames.is_empty() {
            let taken = if let (Some(one), 1) = (self.frames.front(), self.frames.len()) {
                write(&[IoSlice::new(one)])
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
                let mut used = 0;
                for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                    *slice = IoSlice::new(frame);
                    used += 1;
                }
                write(&slices[..used])
            };
            match taken {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    bytes += taken;
                    self.advance(taken);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    self.budget = WRITE_BYTES_MIN;
                    return Ok(Written::Partly { bytes });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if bytes == 0 {
            return Ok(Written::Nothing);
        }
        if !self.is_blocked {
            self.budget = (self.budget * 2).min(WRITE_BYTES_MAX);
        }
        self.is_blocked = false;
        let forms = std::mem::take(&mut self.forms);
        Ok(Written::Whole { bytes, forms, sample: self.sample.take() })
    }

    fn advance(&mut self, mut taken: usize) {
        self.bytes -= taken;
        while let Some(front) = self.frames.front_mut() {
            if taken < front.len() {
                front.advance(taken);
                return;
            }
            taken -= front.len();
            self.frames.pop_front();
        }
    }

    /// Gives back what a burst has left; called now and then.
    pub(crate) fn rest(&mut self) {
        if !self.has_work() {
            self.frames = VecDeque::new();
            self.control = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes `room` bytes and then refuses.
    fn write(writer: &mut Writer, out: &mut Vec<u8>, mut room: usize) -> io::Result<Written> {
        writer.write(|slices| {
            if room == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = all.len().min(room);
            out.extend_from_slice(&all[..taken]);
            room -= taken;
            Ok(taken)
        })
    }

    #[test]
    fn frames_stay_whole_and_in_order_around_control_frames() {
        let (mut writer, mut out) = (Writer::new(), Vec::new());
        writer.push(Bytes::from_static(b"<first>"), Form::Full);
        writer.push(Bytes::from_static(b"<second>"), Form::Full);
        assert_eq!(write(&mut writer, &mut out, 10).unwrap(), Written::Partly { bytes: 10 });
        assert!(writer.push_control(b"<pong>"));
        assert!(!writer.has_room());
        assert_eq!(write(&mut writer, &mut out, 0).unwrap(), Written::Partly { bytes: 0 });
        let forms = [2, 0, 0, 0, 0];
        assert_eq!(
            write(&mut writer, &mut out, 99).unwrap(),
            Written::Whole { bytes: 5, forms, sample: None }
        );
        writer.push(Bytes::from_static(b"<third>"), Form::Full);
        assert!(matches!(write(&mut writer, &mut out, 99).unwrap(), Written::Whole { .. }));
        assert_eq!(out, b"<first><second><pong><third>");
        assert_eq!(write(&mut writer, &mut out, 99).unwrap(), Written::Nothing);
    }

    #[test]
    fn control_frames_are_bounded() {
        let mut writer = Writer::new();
        let pong = [0u8; 127];
        let taken = (0..1_000).filter(|_| writer.push_control(&pong)).count();
        assert_eq!(taken, CONTROL_BYTES_MAX / 127);
    }

    #[test]
    fn the_budget_follows_the_socket() {
        let (mut writer, mut out) = (Writer::new(), Vec::new());
        let frame = Bytes::from(vec![0; 4 * 1024]);
        let mut fill = |writer: &mut Writer, room: usize| {
            let mut n = 0;
            while writer.has_room() {
                writer.push(frame.clone(), Form::Full);
                n += 1;
            }
            write(writer, &mut out, room).unwrap();
            n
        };
        assert_eq!(fill(&mut writer, usize::MAX), 4);
        assert_eq!(fill(&mut writer, usize::MAX), 8);
        for _ in 0..10 {
            assert!(fill(&mut writer, usize::MAX) <= 64);
        }
        assert_eq!(fill(&mut writer, usize::MAX), 63);
        assert_eq!(fill(&mut writer, 1), 63);
        assert_eq!(fill(&mut writer, usize::MAX), 0);
        assert_eq!(fill(&mut writer, usize::MAX), 4);
    }

    #[test]
    fn nothing_follows_the_seal() {
        let (mut writer, mut out) = (Writer::new(), Vec::new());
        assert!(writer.push_control(b"<pong>"));
        writer.seal(Bytes::from_static(b"<bye>"));
        writer.push(Bytes::from_static(b"<late>"), Form::Full);
        assert!(writer.push_control(b"<late>"));
        assert!(!writer.has_room());
        write(&mut writer, &mut out, 99).unwrap();
        assert_eq!(out, b"<bye>");
    }
}
