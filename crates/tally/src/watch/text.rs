//! Text for a terminal: lines of toned spans, and how numbers, ages and foreign data are put into words.
//!
//! Foreign data goes through [`one_line`] before it gets anywhere near a terminal: nothing in it can move the cursor,
//! change a colour or turn the writing direction.

use std::fmt::Write as _;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a span means; the terminal decides how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Strong,
    Accent,
    Good,
    Caution,
    Bad,
    /// A line that must not be overlooked.
    Alarm,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// One line of the picture. Its text holds no control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    spans: Vec<Span>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::new().then(tone, text)
    }

    #[must_use]
    pub(super) fn then(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.push(tone, text);
        self
    }

    pub(super) fn push(&mut self, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.spans.push(Span { tone, text });
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.spans.extend(other.spans);
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// In columns.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.width()).sum()
    }

    /// Adds blanks up to a column; none if the line is there already.
    #[must_use]
    pub(super) fn pad_to(mut self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.width());
        self.push(Tone::Plain, " ".repeat(blanks));
        self
    }

    /// Puts `right` at the right edge, where there is room for it beside this line; else it is left out.
    #[must_use]
    pub(super) fn with_right(self, right: Self, width: usize) -> Self {
        if self.width() + right.width() + 2 > width {
            return self;
        }
        let mut line = self.pad_to(width - right.width());
        line.append(right);
        line
    }

    /// At most this many columns; an ellipsis marks what was cut.
    #[must_use]
    pub(super) fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut room = width;
        let mut line = Self::new();
        for span in self.spans {
            let columns = span.text.width();
            if columns < room {
                room -= columns;
                line.spans.push(span);
                continue;
            }
            line.push(span.tone, cut(&span.text, room, columns > room || room == 0));
            break;
        }
        // The span that ended exactly at the edge has no ellipsis of its own.
        if line.width() == width && width > 0 && !line.ends_in_ellipsis() {
            let last = line.spans.pop();
            if let Some(span) = last {
                let columns = span.text.width();
                line.push(span.tone, cut(&span.text, columns, true));
            }
        }
        line
    }

    fn ends_in_ellipsis(&self) -> bool {
        self.spans.last().is_some_and(|span| span.text.ends_with('…'))
    }

    /// The text alone.
    #[cfg(test)]
    pub(super) fn plain(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// The first columns of a text, the last of them an ellipsis if `marked`.
fn cut(text: &str, width: usize, marked: bool) -> String {
    let room = if marked { width.saturating_sub(1) } else { width };
    let mut kept = String::new();
    let mut columns = 0;
    for char in text.chars() {
        columns += char.width().unwrap_or(0);
        if columns > room {
            break;
        }
        kept.push(char);
    }
    if marked && width > 0 {
        kept.push('…');
    }
    kept
}

/// A text in at most `width` columns.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width { text.to_owned() } else { cut(text, width, true) }
}

/// With a comma between thousands.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word with its number: `1 event`, `1,204 events`.
pub(super) fn plural(n: u64, word: &str) -> String {
    format!("{} {word}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// Events per second, with a decimal where it says something.
pub(super) fn per_second(rate: f64) -> String {
    if rate <= 0.0 {
        return "–".into();
    }
    if rate < 9.95 {
        return format!("{rate:.1}/s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive and far below 2^53"
    )]
    let whole = rate.round() as u64;
    format!("{}/s", thousands(whole))
}

/// A span of time in one unit, or two where the second one matters.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs() {
        0..60 => format!("{} s", span.as_secs()),
        secs @ 60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        secs @ 3_600..86_400 => format!("{} h {:02} min", secs / 3_600, secs / 60 % 60),
        secs => format!("{} d {:02} h", secs / 86_400, secs / 3_600 % 24),
    }
}

/// The time of day in UTC, to the millisecond.
pub(super) fn clock(unix_ms: u64) -> String {
    let (secs, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", secs / 3_600 % 24, secs / 60 % 60, secs % 60)
}

/// Bytes of one event's data that are looked at for one line.
const LOOKED_AT_MAX: usize = 4 * 1024;
/// Characters of one line of data that are kept; no terminal is wider.
const KEPT_MAX: usize = 512;

/// An event's data as one safe line: a JSON string as its text, anything else as the JSON that came.
pub(super) fn data_line(json: &str) -> String {
    if json.len() <= LOOKED_AT_MAX
        && json.starts_with('"')
        && let Ok(text) = serde_json::from_str::<String>(json)
    {
        return one_line(&text);
    }
    one_line(&json[..json.floor_char_boundary(LOOKED_AT_MAX)])
}

/// Makes foreign text safe and one line: runs of white space become one blank, colour sequences go, every other
/// control or direction character is spelled out.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut rest = text.trim();
    let mut kept = 0;
    while let Some(char) = rest.chars().next() {
        if let Some(after) = after_colour(rest) {
            rest = after;
            continue;
        }
        kept += 1;
        if kept > KEPT_MAX {
            line.push('…');
            break;
        }
        rest = &rest[char.len_utf8()..];
        match char {
            char if char.is_whitespace() => {
                line.push(' ');
                rest = rest.trim_start();
            }
            char if is_unsafe(char) => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(char));
            }
            char => line.push(char),
        }
    }
    line
}

/// What follows a colour sequence (`ESC [ digits m`), which is the one that ordinary programs print.
fn after_colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|char: char| !char.is_ascii_digit() && char != ';')?;
    parameters[end..].strip_prefix('m')
}

/// Control characters, and those that reorder or hide what stands around them.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (9_007_199_254_740_991, "9,007,199,254,740,991"),
        ];
        for (n, text) in cases {
            assert_eq!(thousands(n), text);
        }
        assert_eq!(plural(1, "event"), "1 event");
        assert_eq!(plural(1_204, "event"), "1,204 events");
        assert_eq!(
            [0.0, 0.26, 9.94, 9.96, 1_203.6].map(per_second),
            ["–", "0.3/s", "9.9/s", "10/s", "1,204/s"]
        );
    }

    #[test]
    fn times_are_short() {
        let cases =
            [(0, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3_700, "1 h 01 min"), (90_000, "1 d 01 h")];
        for (secs, text) in cases {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
        assert_eq!(clock(1_700_000_000_042), "22:13:20.042");
    }

    #[test]
    fn nothing_foreign_reaches_the_terminal() {
        let cases = [
            ("\u{1b}[32mok\u{1b}[0m: [web-1]", "ok: [web-1]"),
            ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
            ("\u{1b}[2J\u{1b}[H", "\\u{1b}[2J\\u{1b}[H"),
            ("\u{1b}[1;3", "\\u{1b}[1;3"),
            ("\u{9b}31mred", "\\u{9b}31mred"),
            ("a\r\nb\tc\n", "a b c"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("grüße 漢字 ✓", "grüße 漢字 ✓"),
            ("\u{0}\u{7f}\u{8}", "\\u{0}\\u{7f}\\u{8}"),
        ];
        for (given, shown) in cases {
            assert_eq!(one_line(given), shown);
            assert!(!one_line(given).chars().any(is_unsafe));
        }
    }

    #[test]
    fn data_is_one_line_of_bounded_length() {
        assert_eq!(data_line(r#""a \"line\" \u001b[31mred\u001b[0m""#), "a \"line\" red");
        assert_eq!(data_line("{\n  \"a\": 1,\r\n  \"b\": 2\n}"), "{ \"a\": 1, \"b\": 2 }");
        let long = format!("\"{}\"", "ü".repeat(10_000));
        assert_eq!(data_line(&long).chars().count(), KEPT_MAX + 1);
    }

    #[test]
    fn lines_are_cut_at_columns() {
        let line = Line::of(Tone::Strong, "tally").then(Tone::Dim, " 漢字 and more");
        assert_eq!(line.width(), 19);
        assert_eq!(line.clone().cut(19).plain(), "tally 漢字 and more");
        assert_eq!(line.clone().cut(18).plain(), "tally 漢字 and mo…");
        assert_eq!(line.clone().cut(9).plain(), "tally 漢…");
        assert_eq!(line.clone().cut(8).plain(), "tally …");
        assert_eq!(line.clone().cut(5).plain(), "tall…");
        assert_eq!(line.cut(0).plain(), "");
        assert_eq!(Line::of(Tone::Plain, "ab").with_right(Line::of(Tone::Dim, "yz"), 8).plain(), "ab    yz");
        assert_eq!(Line::of(Tone::Plain, "ab").with_right(Line::of(Tone::Dim, "yz"), 5).plain(), "ab");
        assert_eq!(fit("abcdef", 4), "abc…");
    }
}
