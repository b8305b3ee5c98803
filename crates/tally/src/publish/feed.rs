//! From portions of input to events in the producer's buffer, one line at a time.

use super::OnError;
use super::input::Input;
use super::pace::{Metronome, Receipts};
use super::report::Progress;
use crate::run::lines::{Line, Splitter};
use std::io;
use std::time::SystemTime;
use tally_producer::{ChannelName, Event, Producer, PublishError, RawJson, UnixMs, read_value};

/// Bytes of a line. More: a bad line, of which no more than this is ever held.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Bad lines that are named one by one; the rest is only counted.
const NAMED_LINES_MAX: u64 = 10;
/// Some programs put it in front of every file that they write.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) struct Feed {
    pub(super) producer: Producer,
    pub(super) channel: ChannelName,
    pub(super) drop: Vec<String>,
    pub(super) on_error: OnError,
    pub(super) metronome: Option<Metronome>,
    pub(super) receipts: Receipts,
    pub(super) progress: Progress,
    pub(super) line_number: u64,
    pub(super) skipped: u64,
}

/// Why no more is read.
#[derive(Debug)]
pub(super) enum Stop {
    InputEnded,
    BadLine { line: u64, problem: String },
    Unreadable(io::Error),
    NotAccepted(PublishError),
    Refused,
    Interrupted { exit_code: u8 },
}

impl Feed {
    /// Reads until something stops it. Cancel safe, but for the event that waits for its turn.
    pub(super) async fn run(&mut self, input: &mut Input) -> Stop {
        let mut splitter = Splitter::new(LINE_BYTES_MAX);
        while let Some(portion) = input.portions.recv().await {
            let portion = match portion {
                Ok(portion) => portion,
                Err(error) => return Stop::Unreadable(error),
            };
            let mut rest = &portion[..];
            while let Some(line) = splitter.next_line(&mut rest) {
                if let Err(stop) = self.take_line(line).await {
                    return stop;
                }
            }
        }
        match splitter.finish() {
            Some(line) => self.take_line(line).await.err().unwrap_or(Stop::InputEnded),
            None => Stop::InputEnded,
        }
    }

    async fn take_line(&mut self, line: Line) -> Result<(), Stop> {
        self.line_number += 1;
        let bytes = line.bytes + 1;
        self.progress.handle_bytes(bytes);
        let event = match read_event(line, self.line_number == 1, &self.drop) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(problem) => return self.take_bad_line(problem),
        };
        if let Some(metronome) = &mut self.metronome {
            metronome.turn().await;
        }
        self.receipts.wait_for_room(&self.producer).await;
        let receipt = self.producer.publish(&self.channel, event).map_err(Stop::NotAccepted)?;
        self.receipts.keep(receipt, bytes);
        self.progress.handle_event();
        Ok(())
    }

    fn take_bad_line(&mut self, problem: String) -> Result<(), Stop> {
        let line = self.line_number;
        match self.on_error {
            OnError::Stop => return Err(Stop::BadLine { line, problem }),
            OnError::Skip => self.skipped += 1,
        }
        if self.skipped <= NAMED_LINES_MAX {
            self.progress.say(&format!("line {line} is skipped: {problem}"));
        } else if self.skipped == NAMED_LINES_MAX + 1 {
            self.progress.say("further bad lines are skipped without a word");
        }
        Ok(())
    }
}

/// `None` for a blank line.
fn read_event(line: Line, is_first: bool, drop: &[String]) -> Result<Option<Event>, String> {
    if line.is_cut() {
        return Err(format!("it has {} bytes; at most {LINE_BYTES_MAX} are allowed", line.bytes));
    }
    let mut json = line.kept;
    if is_first && json.starts_with(BYTE_ORDER_MARK) {
        json = json.slice(BYTE_ORDER_MARK.len()..);
    }
    if json.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value = RawJson::new(&json).map_err(|error| {
        let problem = error.to_string();
        // It always is line 1 for the reader of one line.
        problem.replace(" at line 1 column ", " at column ")
    })?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    read_value(value, now, drop).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(text: &[u8], is_first: bool) -> Result<Option<(String, String)>, String> {
        let line = Line { kept: Bytes::copy_from_slice(text), bytes: text.len() as u64 };
        let event = read_event(line, is_first, &["secret".to_owned()])?;
        Ok(event.map(|event| (event.kind.to_string(), event.data.as_str().to_owned())))
    }

    #[test]
    fn a_line_is_one_value_by_the_rule() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("", None),
            ("  \r", None),
            ("1", Some(("message", "1"))),
            ("[1, 2]", Some(("message", "[1, 2]"))),
            (r#""text""#, Some(("message", r#""text""#))),
            (r#"{"kind":"k","data":{"a" : 1}}"#, Some(("k", r#"{"a" : 1}"#))),
            ("{\"event\":\"e\",\"secret\":1}\r", Some(("e", r#"{"event":"e"}"#))),
        ];
        for (text, event) in cases {
            let event = event.map(|(kind, data)| (kind.to_owned(), data.to_owned()));
            assert_eq!(read(text.as_bytes(), false), Ok(event), "{text:?}");
        }
        assert_eq!(read("\u{feff}1".as_bytes(), true), Ok(Some(("message".into(), "1".into()))));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        let cases: &[(&[u8], &str)] = &[
            (b"{\"a\":}", "not a JSON value: expected value at column 6"),
            (b"{} {}", "not a JSON value: trailing characters at column 4"),
            (b"\xff", "not a JSON value: expected value at column 1"),
            (b"{\"kind\":\"a b\"}", "kind \"a b\""),
            (b"{\"kind\":\"a\",\"class\":\"big\"}", "class must be"),
            (b"\xef\xbb\xbf1", "not a JSON value: expected value at column 1"),
        ];
        for (text, problem) in cases {
            let error = read(text, false).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
        let long = Line { kept: Bytes::from_static(b"1"), bytes: 2_000_000 };
        let error = read_event(long, false, &[]).unwrap_err();
        assert_eq!(error, "it has 2000000 bytes; at most 1048576 are allowed");
    }
}
