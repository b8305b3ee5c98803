//! What programs post or print, made into events: the shapes that a body may have, and what becomes of bad lines.
//!
//! A body is one JSON value, an array of values, concatenated values, or one value per line. What becomes of one value
//! is in `value.rs`.

mod value;

pub use value::{drop_keys, read_value};

use crate::event::Event;
use crate::json::RawJson;
use crate::limits::BATCH_EVENTS_MAX;
use crate::number::UnixMs;
use bytes::Bytes;
use serde_json::value::RawValue;

/// What to do with a line that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Nothing is published.
    #[default]
    Refuse,
    /// The line is left out and named.
    Skip,
}

/// A line that is no event. What is no JSON is left out by lines, whole; what is JSON but no event is left out alone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BadLine {
    /// From 1, counted over the whole body: where it goes wrong, or where a value begins that has no end.
    pub line: usize,
    pub message: String,
}

/// The events of a body, and the lines that were skipped.
#[derive(Debug, Default)]
pub struct Intake {
    pub events: Vec<Event>,
    /// The first 100; `skipped_count` has the number of all.
    pub skipped: Vec<BadLine>,
    pub skipped_count: usize,
}

/// Why a body gives no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    #[error("the body is empty; send one JSON value, an array, or one JSON value per line")]
    Empty,
    #[error("line {}: {}", .0.line, .0.message)]
    BadLine(BadLine),
    #[error("the body has more than {BATCH_EVENTS_MAX} events and bad lines; send it as several")]
    TooMany,
}

/// Bad lines that are named one by one; the rest is only counted.
const NAMED_LINES_MAX: usize = 100;

/// Some programs put it in front of every file that they write.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads a body: one JSON value, an array of values, concatenated values, or one value per line. Takes time in
/// proportion to the body, whatever is in it.
///
/// # Errors
/// [`IntakeError`] names the first bad line, unless lines are skipped.
pub fn read_events(
    body: &Bytes,
    now: UnixMs,
    drop: &[String],
    on_error: OnError,
) -> Result<Intake, IntakeError> {
    let mut reader = Reader {
        body,
        now,
        drop,
        on_error,
        lines: Lines { body, at: 0, line: 1 },
        starts: Vec::new(),
        intake: Intake::default(),
    };
    reader.read()?;
    if reader.intake.events.is_empty() && reader.intake.skipped_count == 0 {
        return Err(IntakeError::Empty);
    }
    Ok(reader.intake)
}

struct Reader<'a> {
    body: &'a Bytes,
    now: UnixMs,
    drop: &'a [String],
    on_error: OnError,
    lines: Lines<'a>,
    /// Where the value of each event begins.
    starts: Vec<usize>,
    intake: Intake,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), IntakeError> {
        let mut at = if self.body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut is_first = true;
        while let Some(start) = next_value(self.body, at) {
            let mut values =
                serde_json::Deserializer::from_slice(&self.body[start..]).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) => {
                    at = start + values.byte_offset();
                    let is_only = is_first && next_value(self.body, at).is_none();
                    if is_only && value.get().starts_with('[') {
                        self.take_elements(value, start)?;
                    } else {
                        self.take_event(value, start, None)?;
                    }
                }
                Some(Err(error)) => at = self.skip_broken(start, is_first, &error)?,
                None => break,
            }
            is_first = false;
        }
        Ok(())
    }

    /// An array that is the whole body is taken apart; anywhere else it is one event's data.
    fn take_elements(&mut self, array: &RawValue, start: usize) -> Result<(), IntakeError> {
        let bytes = array.get().as_bytes();
        let mut at = 1;
        let mut number = 1;
        while let Some(begin) = next_value(bytes, at).filter(|begin| bytes[*begin] != b']') {
            let mut values = serde_json::Deserializer::from_slice(&bytes[begin..]).into_iter::<&RawValue>();
            let element = values.next().and_then(Result::ok).expect("an element of a valid array");
            self.take_event(element, start + begin, Some(number))?;
            at = begin + values.byte_offset();
            // The comma, or the bracket that ends the array.
            at = next_value(bytes, at).expect("a valid array has an end");
            if bytes[at] == b',' {
                at += 1;
            }
            number += 1;
        }
        Ok(())
    }

    /// `element` is the value's number in an array.
    fn take_event(
        &mut self,
        value: &RawValue,
        start: usize,
        element: Option<usize>,
    ) -> Result<(), IntakeError> {
        match read_value(RawJson::from_raw(self.body, value), self.now, self.drop) {
            Ok(event) => {
                self.make_room()?;
                self.intake.events.push(event);
                self.starts.push(start);
                Ok(())
            }
            Err(message) => {
                let line = self.lines.line_of(start);
                self.bad_line(line, || match element {
                    Some(number) => format!("element {number} of the array: {message}"),
                    None => message,
                })
            }
        }
    }

    /// Names what is no JSON, and says where to go on: the next line is the next place where a value may begin.
    fn skip_broken(
        &mut self,
        start: usize,
        is_first: bool,
        error: &serde_json::Error,
    ) -> Result<usize, IntakeError> {
        let first_line = self.lines.line_of(start);
        // Other values of the same line go with it: a line that is named as left out is left out whole.
        let line_start = self.body[..start].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let kept = self.starts.partition_point(|at| *at < line_start);
        self.starts.truncate(kept);
        self.intake.events.truncate(kept);

        let problem = error.to_string();
        let problem = problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem);
        if error.is_eof() {
            self.bad_line(first_line, || {
                format!("not JSON: {problem}; the value that begins on this line has no end")
            })?;
            return Ok(self.body.len());
        }
        let error_line = first_line + error.line() - 1;
        let error_start = start + line_offset(&self.body[start..], error.line());
        let error_end = line_end(self.body, error_start.max(start));
        if error_line == first_line {
            let column = start - line_start + error.column();
            self.bad_line(error_line, || format!("not JSON: {problem} at column {column}"))?;
            return Ok(error_end);
        }
        if is_first && self.body[start] == b'[' {
            let column = error.column();
            self.bad_line(error_line, || {
                format!("not JSON: {problem} at column {column}; nothing of the array was taken")
            })?;
            return Ok(self.body.len());
        }
        if stands_alone(&self.body[error_start..error_end]) {
            self.bad_line(first_line, || {
                "not JSON: the value that begins on this line has no end".to_owned()
            })?;
            return Ok(error_start);
        }
        let column = error.column();
        self.bad_line(error_line, || {
            format!("not JSON: {problem} at column {column}, in the value that begins on line {first_line}")
        })?;
        Ok(error_end)
    }

    fn bad_line(&mut self, line: usize, message: impl FnOnce() -> String) -> Result<(), IntakeError> {
        if self.on_error == OnError::Refuse {
            return Err(IntakeError::BadLine(BadLine { line, message: message() }));
        }
        self.make_room()?;
        self.intake.skipped_count += 1;
        if self.intake.skipped.len() < NAMED_LINES_MAX {
            self.intake.skipped.push(BadLine { line, message: message() });
        }
        Ok(())
    }

    /// Bad lines count as well, or a body of them alone would be work without a bound.
    fn make_room(&self) -> Result<(), IntakeError> {
        if self.intake.events.len() + self.intake.skipped_count >= BATCH_EVENTS_MAX {
            return Err(IntakeError::TooMany);
        }
        Ok(())
    }
}

/// Line numbers without counting from the beginning each time.
struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// From 1. Offsets never go back.
    fn line_of(&mut self, offset: usize) -> usize {
        self.line += self.body[self.at..offset].iter().filter(|b| **b == b'\n').count();
        self.at = offset;
        self.line
    }
}

/// Where the next byte is that is not JSON's white space.
fn next_value(body: &[u8], at: usize) -> Option<usize> {
    body[at..].iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')).map(|skip| at + skip)
}

/// Where line `line` (from 1) begins.
fn line_offset(body: &[u8], line: usize) -> usize {
    if line <= 1 {
        return 0;
    }
    body.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(line - 2).map_or(body.len(), |(at, _)| at + 1)
}

/// Where the line after the one of `at` begins.
fn line_end(body: &[u8], at: usize) -> usize {
    body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |end| at + end + 1)
}

/// Whether a line begins with a whole object, so that what went wrong is surely an earlier line.
fn stands_alone(line: &[u8]) -> bool {
    let Some(begin) = next_value(line, 0).filter(|begin| line[*begin] == b'{') else { return false };
    let mut values = serde_json::Deserializer::from_slice(&line[begin..]).into_iter::<&RawValue>();
    values.all(|value| value.is_ok())
}

#[cfg(test)]
mod tests;
