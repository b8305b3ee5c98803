//! What `tally run` itself says on standard error: little, and never in the middle of somebody else's line.

use super::reading::Stream;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tally_producer::{Closed, Notice};

#[derive(Debug)]
pub(super) struct Notes {
    quiet: bool,
    /// Which of our outputs are shown on a terminal, where the two of them meet.
    stdout_is_shown: bool,
    stderr_is_shown: bool,
    is_mid_line: AtomicBool,
    /// The terminal does not return the carriage by itself.
    pub(super) is_raw: AtomicBool,
}

impl Notes {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            stdout_is_shown: std::io::stdout().is_terminal(),
            stderr_is_shown: std::io::stderr().is_terminal(),
            is_mid_line: AtomicBool::new(false),
            is_raw: AtomicBool::new(false),
        }
    }

    /// Something of the command's was passed on.
    pub(super) fn handle_passed(&self, stream: Stream, portion: &[u8]) {
        let is_shown = match stream {
            Stream::Stdout | Stream::Terminal => self.stdout_is_shown && self.stderr_is_shown,
            Stream::Stderr => true,
        };
        if let Some(last) = portion.last().filter(|_| is_shown) {
            self.is_mid_line.store(*last != b'\n', Ordering::Relaxed);
        }
    }

    pub(super) fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        let end = if self.is_raw.load(Ordering::Relaxed) { "\r\n" } else { "\n" };
        let begin = if self.is_mid_line.swap(false, Ordering::Relaxed) { end } else { "" };
        // In one write, and where nobody reads it there is nobody to tell.
        let _nobody_reads = std::io::stderr().write_all(format!("{begin}tally: {text}{end}").as_bytes());
    }
}

/// What went wrong with publishing so far.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    refused: Option<Arc<str>>,
    away: Option<Arc<str>>,
    unknown: Option<Arc<str>>,
    was_told: bool,
}

impl Trouble {
    /// The line that is due now; there is one in a run at most.
    pub(super) fn handle_notice(&mut self, notice: &Notice) -> Option<String> {
        match notice {
            Notice::Refused { code, message, .. } => {
                let reason = format!("{message} ({code})");
                self.refused.get_or_insert_with(|| reason.into());
            }
            Notice::Away { reason } => self.away = Some(Arc::clone(reason)),
            Notice::Unknown { reason, .. } => self.unknown = Some(Arc::clone(reason)),
            Notice::Back { .. } | Notice::CountingBegan { .. } | Notice::CountingEnded { .. } => return None,
        }
        if std::mem::replace(&mut self.was_told, true) {
            return None;
        }
        Some(format!("{notice}; the command goes on"))
    }

    /// The one line at the end, if not everything was published in full. What the end itself caused is no reason.
    pub(super) fn summary(&self, closed: &Closed, not_taken: u64, to: &str) -> Option<String> {
        let stats = closed.stats;
        let total = stats.accepted + not_taken;
        let unsent = closed.cut_off.unsent;
        let parts = [
            // What nobody listened to is as it should be.
            (stats.counted - stats.unheard, "published as counts"),
            (stats.unknown, "perhaps published, perhaps not"),
            (stats.refused.saturating_sub(unsent), "refused"),
            (unsent + not_taken, "not sent"),
        ];
        let mut text = String::new();
        for (events, what) in parts.into_iter().filter(|(events, _)| *events > 0) {
            let separator = if text.is_empty() { "" } else { ", " };
            let of = if text.is_empty() { format!(" of {total} {}", plural(total)) } else { String::new() };
            let verb = if events == 1 { "was" } else { "were" };
            let _infallible = write!(text, "{separator}{events}{of} {verb} {what}");
        }
        if text.is_empty() {
            return None;
        }
        let reason = self.refused.as_ref().or(self.away.as_ref()).or(self.unknown.as_ref());
        let late = closed.cut_off.unsent + closed.cut_off.in_doubt > 0;
        let otherwise = if late { "no answer in time" } else { "more came than it could take" };
        let reason = reason.map_or_else(|| otherwise.to_owned(), ToString::to_string);
        let reason =
            if reason.contains(to.trim_end_matches('/')) { reason } else { format!("{to}: {reason}") };
        Some(format!("{text} ({reason})"))
    }
}

fn plural(events: u64) -> &'static str {
    if events == 1 { "event" } else { "events" }
}
