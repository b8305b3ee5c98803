//! One child process: its output goes whole to a log file, line by line to the screen, and its end to memory.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use super::report::{self, Screen};
use super::totals::TestTotals;
use super::{Place, Verdict};

/// Lines kept for the terminal when the command fails; the log has all of them.
const TAIL_LINES_MAX: usize = 2_000;

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    status: ExitStatus,
    tail: VecDeque<String>,
    /// Lines that were printed and are in the log only.
    cut: usize,
    log: PathBuf,
    pub(super) tests: TestTotals,
}

/// A cargo command in the repository, with the cargo that started us.
pub(super) fn cargo(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&place.cargo);
    command.args(arguments).envs(environment.iter().copied());
    if report::is_coloured() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// A script of the npm package in `folder`. Test counts are read from what it prints, so it prints without colour.
pub(super) fn npm(folder: &str, script: &str) -> Command {
    let mut command = Command::new("npm");
    command.args(["--prefix", folder, "run", script]).env("NO_COLOR", "1").env_remove("FORCE_COLOR");
    command
}

/// Runs `command` to its end. Its two output streams share one pipe, so that their order is kept.
pub(super) fn run(command: &mut Command, part: &str, place: &Place, screen: &Screen) -> Result<Ended> {
    fs::create_dir_all(&place.logs).with_context(|| format!("could not create {}", place.logs.display()))?;
    let log = place.logs.join(part).with_extension("log");
    let mut copy = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&log)
        .with_context(|| format!("could not write {}", log.display()))?;
    let (reader, writer) = io::pipe().context("no pipe for the output of a command")?;
    command.current_dir(&place.root).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("could not start {program}"))?;
    // The command still holds our ends of the pipe; while they are open the output has no end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    let mut tail = Tail::default();
    let mut tests = TestTotals::default();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        copy.write_all(&bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end();
        tests.add_line(line);
        screen.tell(line);
        tail.push(line);
        bytes.clear();
    }
    let status = child.wait().with_context(|| format!("lost {program}"))?;
    Ok(Ended { status, tail: tail.lines, cut: tail.cut, log, tests })
}

impl Ended {
    /// By exit status alone; a failure carries the end of the output.
    pub(super) fn verdict(&self) -> Verdict {
        if self.status.success() {
            return Verdict::Passed;
        }
        let mut lines: Vec<String> = Vec::with_capacity(self.tail.len() + 2);
        if self.cut > 0 {
            lines.push(format!("… {} lines more in {}", self.cut, self.log.display()));
        }
        lines.extend(self.tail.iter().cloned());
        lines.push(self.status.to_string());
        Verdict::Failed(lines)
    }
}

/// The newest lines, without those that say that all is well.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    cut: usize,
}

impl Tail {
    fn push(&mut self, line: &str) {
        if tells_only_progress(line) {
            return;
        }
        if self.lines.len() == TAIL_LINES_MAX {
            self.lines.pop_front();
            self.cut += 1;
        }
        self.lines.push_back(line.to_owned());
    }
}

/// A test that passed, or a crate that cargo begins with.
fn tells_only_progress(line: &str) -> bool {
    let plain = anstream::adapter::strip_str(line).to_string();
    let verb = plain.split_whitespace().next().unwrap_or_default();
    let of_cargo = ["Compiling", "Checking", "Documenting", "Downloading", "Downloaded"].contains(&verb);
    of_cargo || (plain.starts_with("test ") && plain.ends_with(" ... ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_newest_lines_and_counts_the_rest() {
        let mut tail = Tail::default();
        for number in 0..TAIL_LINES_MAX + 3 {
            tail.push(&number.to_string());
        }
        assert_eq!((tail.lines.len(), tail.cut), (TAIL_LINES_MAX, 3));
        assert_eq!(tail.lines.front().map(String::as_str), Some("3"));
    }

    #[test]
    fn progress_is_not_repeated_in_a_failure() {
        let mut tail = Tail::default();
        tail.push("\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m bytes v1.12.1");
        tail.push("test a::b ... ok");
        tail.push("test a::c ... FAILED");
        assert_eq!(tail.lines, ["test a::c ... FAILED"]);
    }
}
