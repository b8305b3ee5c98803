//! The floor's one connection to Redis: subscriptions out, messages parsed where they lie.

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read as _, Write as _};

/// Bytes read at once; grows only for a message that is larger, up to [`MESSAGE_BYTES_MAX`].
const INPUT_BYTES: usize = 256 * 1024;
/// A message above this ends the floor: no record of Tally comes near it.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What Redis says to a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push<'a> {
    /// The subscription to this name took effect.
    Subscribed {
        name: &'a [u8],
    },
    Message {
        name: &'a [u8],
        payload: &'a [u8],
    },
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    input: Box<[u8]>,
    /// What was read and not yet parsed is `input[from..to]`.
    from: usize,
    to: usize,
    /// Commands that Redis did not take yet: at most one per channel.
    output: Vec<u8>,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Self {
        let input = vec![0; INPUT_BYTES].into_boxed_slice();
        Self { stream, input, from: 0, to: 0, output: Vec::new() }
    }

    pub(super) fn subscribe(&mut self, name: &[u8]) -> anyhow::Result<()> {
        write!(self.output, "*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n", name.len())?;
        self.output.extend_from_slice(name);
        self.output.extend_from_slice(b"\r\n");
        self.flush()
    }

    /// Writes what waits; called when Redis takes bytes again.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Not connected yet: the connection becomes writable when it is.
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot write to Redis"),
            }
        }
        Ok(())
    }

    /// One read. True where there may be more: the buffer was filled.
    pub(super) fn read(&mut self) -> anyhow::Result<bool> {
        self.make_room()?;
        let room = &mut self.input[self.to..];
        let wanted = room.len();
        match self.stream.read(room) {
            Ok(0) => bail!(
                "Redis closed the connection; where it fell behind, raise its client-output-buffer-limit for pubsub"
            ),
            Ok(n) => {
                self.to += n;
                Ok(n == wanted)
            }
            Err(error) if is_later(&error) => Ok(false),
            Err(error) => Err(error).context("cannot read from Redis"),
        }
    }

    /// The next whole message of what was read.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Push<'_>>> {
        let Some((push, used)) = parse(&self.input[self.from..self.to])? else { return Ok(None) };
        self.from += used;
        Ok(Some(push))
    }

    fn make_room(&mut self) -> anyhow::Result<()> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.from > 0 {
            self.input.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        } else if self.to == self.input.len() {
            if self.to >= MESSAGE_BYTES_MAX {
                bail!("a message of Redis is larger than {MESSAGE_BYTES_MAX} bytes; publish smaller events");
            }
            let mut larger = vec![0; 2 * self.to].into_boxed_slice();
            larger[..self.to].copy_from_slice(&self.input);
            self.input = larger;
        }
        Ok(())
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The push at the start of `bytes` and how many of them it takes; nothing where it is not whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Push<'_>, usize)>> {
    let mut at = 0;
    let Some(head) = line(bytes, &mut at) else { return Ok(None) };
    if head != b"*3" {
        bail!("Redis answers {:?}; is this a Redis without a password?", String::from_utf8_lossy(head));
    }
    let (Some(what), Some(name)) = (bulk(bytes, &mut at)?, bulk(bytes, &mut at)?) else { return Ok(None) };
    match what {
        b"message" => {
            let Some(payload) = bulk(bytes, &mut at)? else { return Ok(None) };
            Ok(Some((Push::Message { name, payload }, at)))
        }
        b"subscribe" => Ok(line(bytes, &mut at).map(|_| (Push::Subscribed { name }, at))),
        other => bail!("Redis sent a push that nobody asked for: {:?}", String::from_utf8_lossy(other)),
    }
}

/// A line without its end.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let len = rest.iter().position(|byte| *byte == b'\n')?;
    *at += len + 1;
    Some(rest[..len].strip_suffix(b"\r").unwrap_or(&rest[..len]))
}

fn bulk<'a>(bytes: &'a [u8], at: &mut usize) -> anyhow::Result<Option<&'a [u8]>> {
    let Some(head) = line(bytes, at) else { return Ok(None) };
    let digits = head.strip_prefix(b"$").and_then(|digits| std::str::from_utf8(digits).ok());
    let len: usize = digits.and_then(|digits| digits.parse().ok()).context("Redis sent a malformed push")?;
    let found = bytes.get(*at..*at + len + 2);
    *at += len + 2;
    Ok(found.map(|found| &found[..len]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_found_only_when_it_is_whole() {
        let payload = "line\r\n$3\r\nbinary \u{1f980}";
        let message = format!("*3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n${}\r\n{payload}\r\n", payload.len());
        for cut in 0..message.len() {
            assert!(parse(&message.as_bytes()[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let both = format!("{message}*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        let (push, used) = parse(both.as_bytes()).unwrap().unwrap();
        assert_eq!(push, Push::Message { name: b"a:b", payload: payload.as_bytes() });
        assert_eq!(used, message.len());
        let (push, used) = parse(&both.as_bytes()[used..]).unwrap().unwrap();
        assert_eq!((push, used), (Push::Subscribed { name: b"c" }, both.len() - message.len()));
    }

    #[test]
    fn an_error_of_redis_is_shown() {
        let error = parse(b"-NOAUTH Authentication required.\r\n").unwrap_err();
        assert!(error.to_string().contains("NOAUTH"), "{error}");
        assert!(parse(b"*3\r\n$x\r\n").is_err());
    }
}
