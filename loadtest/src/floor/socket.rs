//! A client's socket: its places in the channels that it listens to, and the writes that move them.

use super::channel::{Channel, Frames};
use super::websocket::frame_len;
use anyhow::bail;
use mio::net::TcpStream;
use smallvec::SmallVec;
use std::io::{ErrorKind, IoSlice, Write as _};

/// Slices of one vectored write; what is left goes out in the next one. Each is everything of one channel.
const SLICES_MAX: usize = 32;
/// Answers that wait for the socket. More: cut off.
const REPLY_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) serial: u64,
    pub(super) is_open: bool,
    /// What came of a frame that is not whole yet.
    pub(super) input: Vec<u8>,
    pub(super) places: Vec<Place>,
    /// The kernel takes no more. A socket that is not full has everything: each place is at its channel's end.
    pub(super) is_full: bool,
    /// The place whose frame may be half written: nothing else comes before its end.
    half: Option<usize>,
    replies: Vec<u8>,
}

/// How far a socket is in a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) channel: usize,
    pub(super) at: u64,
    /// Where the frame ends that is half written, in the mode with one write per frame.
    stop: u64,
}

impl Place {
    pub(super) fn new(channel: usize, at: u64) -> Self {
        Self { channel, at, stop: at }
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, serial: u64) -> Self {
        Self {
            stream,
            serial,
            is_open: false,
            input: Vec::new(),
            places: Vec::new(),
            is_full: false,
            half: None,
            replies: Vec::new(),
        }
    }

    /// Writes an answer, or keeps it until the frames before it are out.
    pub(super) fn reply(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.replies.len() + bytes.len() > REPLY_BYTES_MAX {
            bail!("it does not read its answers");
        }
        self.replies.extend_from_slice(bytes);
        if self.is_full { Ok(()) } else { self.write_replies() }
    }

    /// The frame that a channel just got. Only for a socket that is not full.
    pub(super) fn write_newest(&mut self, place: usize, frames: &Frames) -> anyhow::Result<()> {
        let at = self.places[place].at;
        let n = self.write(&[IoSlice::new(frames.since(at))])?;
        self.places[place] = Place { at: at + n as u64, stop: frames.end(), ..self.places[place] };
        if self.is_full && n > 0 {
            self.half = Some(place);
        }
        Ok(())
    }

    /// Everything that it lacks, one write per frame, until the socket is full.
    pub(super) fn catch_up_each(&mut self, channels: &[Channel]) -> anyhow::Result<()> {
        self.is_full = false;
        if let Some(half) = self.half {
            self.catch_up_place(half, &channels[self.places[half].channel].frames)?;
        }
        if !self.is_full {
            self.write_replies()?;
        }
        for place in 0..self.places.len() {
            if !self.is_full {
                self.catch_up_place(place, &channels[self.places[place].channel].frames)?;
            }
        }
        Ok(())
    }

    fn catch_up_place(&mut self, place: usize, frames: &Frames) -> anyhow::Result<()> {
        loop {
            let Place { at, stop, .. } = self.places[place];
            let due = frames.since(at);
            let len = match stop - at {
                0 if due.is_empty() => return Ok(()),
                0 => frame_len(due),
                rest => usize::try_from(rest).expect("the frame is in memory"),
            };
            let n = self.write(&[IoSlice::new(&due[..len])])?;
            self.places[place] = Place { at: at + n as u64, stop: at + len as u64, ..self.places[place] };
            if n > 0 {
                self.half = (n < len).then_some(place);
            }
            if self.is_full {
                return Ok(());
            }
        }
    }

    /// Everything that it lacks in as few writes as there can be, until the socket is full.
    pub(super) fn catch_up_joined(&mut self, channels: &[Channel]) -> anyhow::Result<()> {
        self.is_full = false;
        if let Some(half) = self.half {
            self.write_places(half..half + 1, channels)?;
        }
        if !self.is_full {
            self.write_replies()?;
        }
        for first in (0..self.places.len()).step_by(SLICES_MAX) {
            if !self.is_full {
                self.write_places(first..self.places.len().min(first + SLICES_MAX), channels)?;
            }
        }
        Ok(())
    }

    /// One write of everything that these places lack.
    fn write_places(&mut self, range: std::ops::Range<usize>, channels: &[Channel]) -> anyhow::Result<()> {
        let due = |place: &Place| channels[place.channel].frames.since(place.at);
        let slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> =
            self.places[range.clone()].iter().map(|place| IoSlice::new(due(place))).collect();
        let mut rest = self.write(&slices)?;
        if rest == 0 {
            return Ok(());
        }
        self.half = None;
        for index in range {
            let len = due(&self.places[index]).len();
            let n = rest.min(len);
            self.places[index].at += n as u64;
            rest -= n;
            if n < len {
                self.half = Some(index);
                break;
            }
        }
        Ok(())
    }

    fn write_replies(&mut self) -> anyhow::Result<()> {
        if !self.replies.is_empty() {
            let replies = std::mem::take(&mut self.replies);
            let n = self.write(&[IoSlice::new(&replies)])?;
            self.replies = replies[n..].to_vec();
        }
        Ok(())
    }

    /// One write. What is not taken whole fills the socket: the kernel will say when there is room again.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> anyhow::Result<usize> {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        if len == 0 {
            return Ok(0);
        }
        loop {
            let written = match slices {
                [slice] => self.stream.write(slice),
                _ => self.stream.write_vectored(slices),
            };
            match written {
                Ok(n) => {
                    self.is_full |= n < len;
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return Ok(0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // Nobody writes to it again before it is cut off.
                    self.is_full = true;
                    return Err(error.into());
                }
            }
        }
    }
}
