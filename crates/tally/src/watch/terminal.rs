//! The terminal: raw mode and the alternate screen while it is held, and pictures painted by what changed.
//!
//! Dropping it, or a panic anywhere, gives the terminal back as it was. A picture goes out in one write, in which only
//! the lines that differ from the picture before are drawn, so nothing flickers.

use super::text::{Line, Tone};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, queue};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there is something to give back: once is enough, for a second time would move the cursor into what was said
/// since.
static HELD: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
pub(super) struct Terminal {
    colours: Colours,
    columns: usize,
    rows: usize,
    /// The picture that stands there; empty: unknown.
    painted: Vec<Line>,
}

/// Whether colours may be used, see <https://no-color.org>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Yes,
    No,
}

impl Colours {
    pub(super) fn from_environment() -> Self {
        let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_set { Self::No } else { Self::Yes }
    }
}

impl Terminal {
    pub(super) fn hold() -> io::Result<Self> {
        let (columns, rows) = size()?;
        enable_raw_mode()?;
        HELD.store(true, Ordering::Relaxed);
        // From here on the drop gives it back, whatever fails.
        let terminal = Self {
            colours: Colours::from_environment(),
            columns: columns.into(),
            rows: rows.into(),
            painted: Vec::new(),
        };
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        let mut out = Vec::new();
        queue!(out, EnterAlternateScreen, cursor::Hide, Clear(ClearType::All))?;
        send(&out)?;
        Ok(terminal)
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn resize(&mut self, columns: u16, rows: u16) {
        (self.columns, self.rows) = (columns.into(), rows.into());
        self.painted.clear();
    }

    /// Has the next picture painted whole.
    pub(super) fn redraw(&mut self) {
        self.painted.clear();
    }

    pub(super) fn paint(&mut self, lines: Vec<Line>) -> io::Result<()> {
        if lines == self.painted {
            return Ok(());
        }
        let mut out = Vec::new();
        queue!(out, BeginSynchronizedUpdate)?;
        if self.painted.is_empty() {
            queue!(out, Clear(ClearType::All))?;
        }
        for (row, line) in lines.iter().enumerate() {
            if self.painted.get(row) != Some(line) {
                queue!(out, cursor::MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
                paint_line(&mut out, line, self.colours)?;
                queue!(out, Clear(ClearType::UntilNewLine))?;
            }
        }
        if lines.len() < self.painted.len() {
            queue!(out, cursor::MoveTo(0, u16::try_from(lines.len()).unwrap_or(u16::MAX)))?;
            queue!(out, Clear(ClearType::FromCursorDown))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        self.painted = lines;
        send(&out)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if !HELD.swap(false, Ordering::Relaxed) {
        return;
    }
    let mut out = Vec::new();
    // A terminal that went away needs nothing back.
    let _ = queue!(out, EndSynchronizedUpdate, ResetColor, SetAttribute(Attribute::Reset), cursor::Show);
    let _ = queue!(out, LeaveAlternateScreen);
    let _ = send(&out);
    let _ = disable_raw_mode();
}

fn send(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Prints lines on the normal screen, where they stay.
pub(super) fn print(lines: &[Line]) -> io::Result<()> {
    let colours = Colours::from_environment();
    let mut out = Vec::new();
    for line in lines {
        paint_line(&mut out, line, colours)?;
        out.push(b'\n');
    }
    send(&out)
}

fn paint_line(out: &mut Vec<u8>, line: &Line, colours: Colours) -> io::Result<()> {
    for span in line.spans() {
        let (colour, attribute) = look(span.tone);
        if let Some(attribute) = attribute {
            queue!(out, SetAttribute(attribute))?;
        }
        if let Some(colour) = colour.filter(|_| colours == Colours::Yes) {
            queue!(out, SetForegroundColor(colour))?;
        }
        queue!(out, Print(&span.text))?;
        if colour.is_some() || attribute.is_some() {
            queue!(out, SetAttribute(Attribute::Reset))?;
        }
    }
    Ok(())
}

/// Only the terminal's own palette, so that the picture fits any theme.
fn look(tone: Tone) -> (Option<Color>, Option<Attribute>) {
    match tone {
        Tone::Plain => (None, None),
        Tone::Dim => (None, Some(Attribute::Dim)),
        Tone::Strong => (None, Some(Attribute::Bold)),
        Tone::Accent => (Some(Color::DarkCyan), None),
        Tone::Good => (Some(Color::DarkGreen), Some(Attribute::Bold)),
        Tone::Caution => (Some(Color::DarkYellow), Some(Attribute::Bold)),
        Tone::Bad => (Some(Color::DarkRed), Some(Attribute::Bold)),
        Tone::Alarm => (Some(Color::DarkRed), Some(Attribute::Reverse)),
    }
}
