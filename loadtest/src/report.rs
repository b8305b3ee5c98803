//! A run's report: the table on the terminal, the JSON file for `compare`, and the HTML page.

pub(crate) mod measure;
pub(crate) mod number;
mod page;
mod plot;
mod promise;
mod statement;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::promise::promises;
pub(crate) use self::table::{Look, spread_text};

use crate::result::Report;
use anyhow::Context as _;
use jiff::Timestamp;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The two files of a report.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) json: PathBuf,
    pub(crate) html: PathBuf,
}

/// Prints what a run measured, for a person; without colour and frames where stdout is no terminal.
pub(crate) fn print_table(report: &Report) {
    let text = table::render(report, Look::of_stdout());
    // A reader that has gone away does not make the run fail.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Writes `SCENARIO-TIME.json` and `.html` into a folder, which is made where it is not there.
///
/// # Errors
/// The folder or a file cannot be written; the message names it.
pub(crate) fn write(report: &Report, dir: &Path) -> anyhow::Result<Written> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let stem = format!("{}-{}", file_name(&report.scenario), time(report).strftime("%Y%m%d-%H%M%S"));
    let written = Written { json: dir.join(format!("{stem}.json")), html: dir.join(format!("{stem}.html")) };
    let mut json = serde_json::to_vec_pretty(report).context("the report is no JSON")?;
    json.push(b'\n');
    let html = page::render(report)?;
    for (path, bytes) in [(&written.json, json.as_slice()), (&written.html, html.as_bytes())] {
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(written)
}

fn time(report: &Report) -> Timestamp {
    let ms = i64::try_from(report.started_unix_ms).unwrap_or_default();
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

/// A scenario's name as part of a file's.
fn file_name(scenario: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    scenario.chars().map(|c| if plain(c) { c } else { '-' }).collect()
}
