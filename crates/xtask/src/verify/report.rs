//! What `cargo verify` shows: one line per part while it runs, the output of what failed, a table, two sums.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice, print, println};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use super::part::{PARTS, Part};
use super::totals::TestTotals;
use super::{Outcome, Verdict};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

const SPINNER_TICK: Duration = Duration::from_millis(100);

/// Width of the text that describes a part, so that verdicts stand below each other.
const ROLE_WIDTH: usize = 50;
const TIME_WIDTH: usize = 10;
const RULE_WIDTH: usize = 78;

/// The place of one running part on the terminal.
pub(super) struct Screen {
    part: &'static Part,
    way: Way,
}

/// How much of a running part is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Its name and verdict; the output only of what fails.
    Quiet,
    /// Each line that its commands print.
    Verbose,
}

/// How a part's progress is told.
enum Way {
    /// On a terminal: a line that moves, with what the command printed last.
    Live(ProgressBar),
    /// In a log file: the first half of the line, completed at the end.
    Plain,
    /// Everything as it comes.
    Verbose,
}

impl Screen {
    pub(super) fn open(part: &'static Part, detail: Detail) -> Self {
        let way = match (detail, io::stdout().is_terminal()) {
            (Detail::Verbose, _) => Way::Verbose,
            (Detail::Quiet, true) => Way::Live(spinner(part)),
            (Detail::Quiet, false) => Way::Plain,
        };
        match way {
            Way::Live(_) => {}
            Way::Plain => {
                print!("{}", heading(part));
                // Best effort: a log that shows the line late is still right.
                let _ = io::stdout().flush();
            }
            Way::Verbose => println!("{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", part.name, part.command_line()),
        }
        Self { part, way }
    }

    /// A line that the part's command printed.
    pub(super) fn tell(&self, line: &str) {
        match &self.way {
            Way::Live(bar) => bar.set_message(anstream::adapter::strip_str(line.trim()).to_string()),
            Way::Plain => {}
            Way::Verbose => println!("  {line}"),
        }
    }

    /// The verdict, and what there is to say about a failure.
    pub(super) fn close(self, outcome: &Outcome) {
        match &self.way {
            Way::Live(bar) => {
                bar.finish_and_clear();
                println!("{}{}", heading(self.part), verdict(outcome));
            }
            Way::Plain => println!("{}", verdict(outcome).trim_end()),
            Way::Verbose => println!("{BOLD}{}{BOLD:#}  {}\n", self.part.name, verdict(outcome)),
        }
        if let Verdict::Failed(lines) = &outcome.verdict {
            let shown = match self.way {
                Way::Verbose => &lines[lines.len().saturating_sub(1)..],
                Way::Live(_) | Way::Plain => lines,
            };
            failure(self.part, shown);
        }
    }
}

/// Whether colours reach the reader of our standard output.
pub(super) fn is_coloured() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// The parts with what each stands for and the command it runs.
pub(super) fn list(parts: &[&Part]) {
    for part in parts {
        println!("{}{DIM}{}{DIM:#}", heading(part), part.command_line());
    }
}

/// The table of parts, the sum of tests, and the closing line.
pub(super) fn summary(outcomes: &[Outcome]) {
    let width = name_width();
    if !matches!(outcomes.last().map(|outcome| &outcome.verdict), Some(Verdict::Failed(_))) {
        println!();
    }
    println!("  {DIM}{:<width$}  {:<6}  {:>TIME_WIDTH$}  tests{DIM:#}", "part", "result", "time");
    let mut total_time = Duration::ZERO;
    let mut total_tests = TestTotals::default();
    for outcome in outcomes {
        let tests = if outcome.tests.is_empty() { String::new() } else { format!("  {}", outcome.tests) };
        let time = time(outcome.time);
        println!("  {:<width$}  {}  {time:>TIME_WIDTH$}{tests}", outcome.part.name, verdict(outcome));
        total_time += outcome.time;
        total_tests += outcome.tests;
    }
    println!("  {BOLD}{:<width$}  {:<6}  {:>TIME_WIDTH$}{BOLD:#}\n", "total", "", time(total_time));
    if !total_tests.is_empty() {
        println!("tests: {total_tests}");
    }
    let passed = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Passed)).count();
    println!("{passed} passed, {} failed", outcomes.len() - passed);
}

fn failure(part: &Part, lines: &[String]) {
    println!("\n{RED}{}{RED:#}", rule(&format!("{} failed", part.name)));
    for line in lines {
        println!("{line}");
    }
    println!("{RED}{}{RED:#}\n  again: {}\n", rule(""), part.command_line());
}

fn heading(part: &Part) -> String {
    let width = name_width();
    format!("  {BOLD}{:<width$}{BOLD:#}  {:<ROLE_WIDTH$}", part.name, part.role)
}

fn verdict(outcome: &Outcome) -> String {
    match outcome.verdict {
        Verdict::Passed => format!("{GREEN}{:<6}{GREEN:#}", "ok"),
        Verdict::Failed(_) => format!("{RED}{:<6}{RED:#}", "FAILED"),
    }
}

fn name_width() -> usize {
    PARTS.iter().map(|part| part.name.len()).max().unwrap_or_default()
}

/// A line across the page that begins with `title`.
fn rule(title: &str) -> String {
    let opening = if title.is_empty() { String::new() } else { format!("── {title} ") };
    let rest = RULE_WIDTH.saturating_sub(opening.chars().count());
    format!("{opening}{}", "─".repeat(rest))
}

fn spinner(part: &Part) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {elapsed:>4}  {wide_msg:.dim}")
        .expect("the template is a constant that indicatif parses");
    let width = name_width();
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(format!("{:<width$}", part.name));
    bar.enable_steady_tick(SPINNER_TICK);
    bar
}

/// `0.8 s`, `42.0 s`, `2 m 03 s`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round();
    format!("{} m {:02} s", (whole / 60.0).floor(), whole % 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_stopwatch() {
        assert_eq!(time(Duration::from_millis(840)), "0.8 s");
        assert_eq!(time(Duration::from_millis(59_940)), "59.9 s");
        assert_eq!(time(Duration::from_millis(59_960)), "1 m 00 s");
        assert_eq!(time(Duration::from_secs(123)), "2 m 03 s");
        assert_eq!(time(Duration::from_secs(3_600)), "60 m 00 s");
    }

    #[test]
    fn rules_are_as_wide_as_each_other() {
        assert_eq!(rule("tests failed").chars().count(), rule("").chars().count());
    }

    #[test]
    fn roles_fit_their_column() {
        assert!(PARTS.iter().all(|part| part.role.len() < ROLE_WIDTH));
    }
}
