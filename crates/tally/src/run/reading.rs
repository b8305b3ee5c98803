//! One line of output made an event: a JSON object by the rule of DESIGN section 6, anything else as text.

use super::lines::Line;
use serde::Serialize;
use std::borrow::Cow;
use tally_producer::{Class, Event, Kind, RawJson, UnixMs, read_value};

/// Bytes of a line that are kept. Longer: the event has the beginning, and says so.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    Stdout,
    Stderr,
    /// Both in one; its lines end with a carriage return, which is no part of the text.
    Terminal,
}

impl Stream {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
            Self::Terminal => "the terminal",
        }
    }

    fn kind(self) -> Kind {
        let kind = match self {
            Self::Stdout | Self::Terminal => "stdout",
            Self::Stderr => "stderr",
        };
        kind.parse().expect("stdout and stderr are valid kinds")
    }
}

/// The data of a line that a JSON string alone would misstate.
#[derive(Serialize)]
struct Marked<'a> {
    text: &'a str,
    /// Only the beginning is here.
    #[serde(skip_serializing_if = "is_false")]
    cut: bool,
    /// Bytes that are not UTF-8 stand as U+FFFD.
    #[serde(skip_serializing_if = "is_false")]
    lossy: bool,
    /// Of the whole line as it was printed.
    bytes: u64,
}

/// Never fails: a line that looks like an event and is none is text.
pub(super) fn read_line(line: &Line, stream: Stream, now: UnixMs, drop: &[String]) -> Event {
    let object = looks_like_object(line).then(|| RawJson::new(&line.kept).ok()).flatten();
    if let Some(event) = object.and_then(|value| read_value(value, now, drop).ok()) {
        return event;
    }
    Event { kind: stream.kind(), class: Class::Bulk, at: now, data: text(line, stream) }
}

fn looks_like_object(line: &Line) -> bool {
    let kept = line.kept.trim_ascii();
    !line.is_cut() && kept.starts_with(b"{") && kept.ends_with(b"}")
}

fn text(line: &Line, stream: Stream) -> RawJson {
    let mut kept = &line.kept[..];
    if line.is_cut() {
        kept = without_half_character(kept);
    } else if stream == Stream::Terminal {
        while let Some(shorter) = kept.strip_suffix(b"\r") {
            kept = shorter;
        }
    }
    let text = String::from_utf8_lossy(kept);
    let lossy = matches!(text, Cow::Owned(_));
    if !lossy && !line.is_cut() {
        return RawJson::string(&text);
    }
    let marked = Marked { text: &text, cut: line.is_cut(), lossy, bytes: line.bytes };
    RawJson::from_serialize(&marked).expect("a flat object always has a JSON form")
}

/// The cut is ours, so it must not look like a broken character of the program's.
fn without_half_character(bytes: &[u8]) -> &[u8] {
    // A character has at most four bytes.
    let tail_start = bytes.len().saturating_sub(4);
    let first = bytes[tail_start..].iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(start) = first.map(|first| tail_start + first) else { return bytes };
    match std::str::from_utf8(&bytes[start..]) {
        Err(error) if error.error_len().is_none() => &bytes[..start],
        Ok(_) | Err(_) => bytes,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(bytes: &[u8], stream: Stream) -> (String, Class, String) {
        let line = Line { kept: Bytes::copy_from_slice(bytes), bytes: bytes.len() as u64 };
        let event = read_line(&line, stream, UnixMs::new(7), &["env".to_owned()]);
        (event.kind.to_string(), event.class, event.data.as_str().to_owned())
    }

    #[test]
    fn objects_go_by_the_rule_and_all_else_is_text() {
        let cases: &[(&str, &str, &str)] = &[
            ("", "stdout", r#""""#),
            ("plain \"text\"", "stdout", r#""plain \"text\"""#),
            ("carriage return\r", "stdout", r#""carriage return\r""#),
            ("42", "stdout", r#""42""#),
            ("[1]", "stdout", r#""[1]""#),
            ("\"x\"", "stdout", r#""\"x\"""#),
            (r#"{"a": 1}"#, "message", r#"{"a": 1}"#),
            (" {\"a\": 1}\r", "message", r#"{"a": 1}"#),
            (r#"{"kind":"k","data":[1 ,2]}"#, "k", "[1 ,2]"),
            (r#"{"event":"e","env":{"SECRET":1},"b":2}"#, "e", r#"{"event":"e","b":2}"#),
            (r#"{"kind":"not valid"}"#, "stdout", r#""{\"kind\":\"not valid\"}""#),
            (r#"{"kind":"_own"}"#, "stdout", r#""{\"kind\":\"_own\"}""#),
            (r#"{"a":1} {"b":2}"#, "stdout", r#""{\"a\":1} {\"b\":2}""#),
            ("{ not json }", "stdout", r#""{ not json }""#),
        ];
        for (line, kind, data) in cases {
            let (read_kind, _, read_data) = read(line.as_bytes(), Stream::Stdout);
            assert_eq!((read_kind.as_str(), read_data.as_str()), (*kind, *data), "{line:?}");
        }
        let (kind, class, _) = read(br#"{"status":"done"}"#, Stream::Stderr);
        assert_eq!((kind.as_str(), class), ("done", Class::State));
        assert_eq!(read(b"x", Stream::Stderr).0, "stderr");
    }

    #[test]
    fn a_terminals_line_ends_before_its_carriage_returns() {
        assert_eq!(read(b"a\r\r", Stream::Terminal).2, r#""a""#);
        assert_eq!(read(b"1%\r2%\r", Stream::Terminal).2, r#""1%\r2%""#);
        assert_eq!(read(b"a", Stream::Terminal).0, "stdout");
    }

    #[test]
    fn what_is_no_utf8_is_marked() {
        let expected = "{\"text\":\"a\u{fffd}b\",\"lossy\":true,\"bytes\":3}";
        assert_eq!(read(b"a\xffb", Stream::Stdout).2, expected);
    }

    #[test]
    fn what_is_too_long_is_cut_and_marked() {
        for (kept, text) in [("ab", "ab"), ("aé", "aé"), ("a😀", "a😀")] {
            let line = Line { kept: Bytes::from(kept), bytes: 99 };
            let event = read_line(&line, Stream::Stdout, UnixMs::new(7), &[]);
            assert_eq!(event.data.as_str(), format!(r#"{{"text":"{text}","cut":true,"bytes":99}}"#));
        }
        for half in [&"aé".as_bytes()[..2], &"a😀".as_bytes()[..4], &"a😀".as_bytes()[..2]] {
            let line = Line { kept: Bytes::copy_from_slice(half), bytes: 99 };
            let event = read_line(&line, Stream::Stdout, UnixMs::new(7), &[]);
            assert_eq!(event.data.as_str(), r#"{"text":"a","cut":true,"bytes":99}"#, "{half:?}");
        }
        let line = Line { kept: Bytes::from(r#"{"a":1}"#), bytes: 99 };
        let event = read_line(&line, Stream::Stdout, UnixMs::new(7), &[]);
        assert_eq!(event.kind.as_str(), "stdout", "half an object is no object");
    }
}
