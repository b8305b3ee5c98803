//! `tally-loadtest compare`: the key figures of two or more reports of one scenario, and what changed.

use crate::report::measure::{MEASURES, Spread, name, own_figures, spread, subjects};
use crate::report::number::{NOTHING, change_percent};
use crate::report::{Look, spread_text};
use crate::result::{FORMAT, Report, Subject};
use anyhow::{Context as _, bail};
use comfy_table::{Cell, CellAlignment, Table};
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The settings of `tally-loadtest compare`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// JSON files of reports of the same scenario; the others are held against the first.
    #[arg(required = true, num_args = 2..)]
    pub(crate) files: Vec<PathBuf>,
}

/// # Errors
/// A file cannot be read, is of another format, or is of another scenario than the first.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let reports = args.files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let text = render(&args.files, &reports, Look::of_stdout())?;
    // A reader that has gone away is no error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Report> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let head: Head = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is no report; give a JSON file that `tally-loadtest run` wrote"))?;
    if head.format != FORMAT {
        bail!(
            "{shown} has the format {}, this build reads {FORMAT}; run the scenario again with it",
            head.format
        );
    }
    serde_json::from_slice(&bytes).with_context(|| format!("{shown} is damaged"))
}

fn render(files: &[PathBuf], reports: &[Report], look: Look) -> anyhow::Result<String> {
    let [first, others @ ..] = reports else { bail!("give at least two reports") };
    for (file, other) in files[1..].iter().zip(others) {
        if other.scenario != first.scenario {
            bail!(
                "{} is of the scenario {:?}, {} of {:?}; only reports of one scenario can be compared",
                files[0].display(),
                first.scenario,
                file.display(),
                other.scenario
            );
        }
    }
    let mut out = format!("\n{}: {}\n", first.scenario, first.about);
    for (at, (file, report)) in files.iter().zip(reports).enumerate() {
        let _ = writeln!(out, "  {}  {}", column(at), file.display());
        for note in differences(first, report) {
            let _ = writeln!(out, "     note: {note}");
        }
    }
    for subject in all_subjects(reports) {
        let _ =
            writeln!(out, "\n{}: median, least to most\n{}", name(subject), table(reports, subject, look));
    }
    out.push_str("\nNo claim is made where the ranges overlap, or where a file has fewer than 3 rounds.\n");
    Ok(out)
}

/// A, B, … in the order given; beyond Z, numbers.
fn column(at: usize) -> String {
    u8::try_from(at)
        .ok()
        .filter(|at| *at < 26)
        .map_or_else(|| at.to_string(), |at| char::from(b'A' + at).into())
}

/// What makes figures hard to hold against each other.
fn differences(first: &Report, other: &Report) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if first.scenario_toml != other.scenario_toml {
        notes.push("the scenario has other settings than in A");
    }
    if (&first.machine.cpu, first.machine.cores) != (&other.machine.cpu, other.machine.cores) {
        notes.push("another machine than A's");
    }
    if first.machine.kernel != other.machine.kernel {
        notes.push("another kernel than A's");
    }
    notes
}

fn all_subjects(reports: &[Report]) -> Vec<Subject> {
    let mut all: Vec<Subject> = reports.iter().flat_map(subjects).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn table(reports: &[Report], subject: Subject, look: Look) -> Table {
    let mut table = look.table();
    let mut header = vec![Cell::new("figure"), right("A")];
    for at in 1..reports.len() {
        header.extend([right(column(at)), right(format!("{} against A", column(at)))]);
    }
    table.set_header(header);
    for measure in MEASURES {
        let spreads: Vec<_> = reports.iter().map(|report| spread(report, subject, measure)).collect();
        add_row(&mut table, &format!("{}, {}", measure.name, measure.unit), &spreads);
    }
    for own in own_figures(reports) {
        let spreads: Vec<_> = reports.iter().map(|report| own.spread(report, subject)).collect();
        add_row(&mut table, &format!("{}, {}", own.name, own.unit), &spreads);
    }
    table
}

fn add_row(table: &mut Table, figure: &str, spreads: &[Option<Spread>]) {
    if spreads.iter().all(Option::is_none) {
        return;
    }
    let mut row = vec![Cell::new(figure), right(spread_text(spreads[0]))];
    for other in &spreads[1..] {
        row.extend([right(spread_text(*other)), right(change(spreads[0], *other))]);
    }
    table.add_row(row);
}

/// The change of the medians, and whether it may be more than chance.
fn change(first: Option<Spread>, other: Option<Spread>) -> String {
    let (Some(first), Some(other)) = (first, other) else { return NOTHING.into() };
    let change = change_percent(first.median, other.median);
    if first == other {
        return change;
    }
    if first.rounds.min(other.rounds) < 3 {
        return format!("({change})\ntoo few rounds");
    }
    if first.overlaps(&other) { format!("({change})\nranges overlap") } else { change }
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    fn spread(min: f64, median: f64, max: f64) -> Option<Spread> {
        Some(Spread { median, min, max, rounds: 3 })
    }

    #[test]
    fn a_change_is_claimed_only_where_the_ranges_are_apart() {
        assert_eq!(change(spread(1.0, 2.0, 3.0), spread(3.5, 4.0, 5.0)), "+100 %");
        assert_eq!(change(spread(1.0, 2.0, 3.0), spread(3.0, 4.0, 5.0)), "(+100 %)\nranges overlap");
        let single = Some(Spread { median: 1.0, min: 1.0, max: 1.0, rounds: 1 });
        assert_eq!(change(spread(2.0, 2.0, 2.0), single), "(−50 %)\ntoo few rounds");
        assert_eq!(change(spread(2.0, 2.0, 2.0), None), NOTHING);
    }

    #[test]
    fn files_that_are_not_alike_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let told = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(told(&dir.path().join("none.json")).contains("cannot read"));
        assert!(told(&write("a.json", "[]")).contains("is no report"));
        assert!(told(&write("b.json", "{\"format\":1}")).contains("has the format 1, this build reads 2"));
        assert!(told(&write("c.json", "{\"format\":2}")).contains("is damaged"));
        let good = write("d.json", &serde_json::to_string(&sample()).unwrap());
        assert!(read(&good).is_ok());

        let mut other = sample();
        other.scenario = "calm-1x100".into();
        let files = [good.clone(), good];
        let error = render(&files, &[sample(), other], Look::Plain).unwrap_err().to_string();
        assert!(error.contains("\"fast-1x100\"") && error.contains("\"calm-1x100\""), "{error}");
    }

    #[test]
    fn subjects_and_figures_are_matched() {
        let mut other = sample();
        other.runs.retain(|run| run.subject != Subject::FloorEach);
        other.machine.cores = 4;
        for run in &mut other.runs {
            run.delivered.events /= 2;
        }
        let files = [PathBuf::from("a.json"), PathBuf::from("b.json")];
        let text = render(&files, &[sample(), other], Look::Plain).unwrap();
        for wanted in [
            "  A  a.json",
            "  B  b.json",
            "another machine",
            "floor, each:",
            "(+100 %)",
            "too few rounds",
            "growth per stalled client, KiB",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
