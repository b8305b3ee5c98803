//! `cargo verify`: runs the parts in order, tells each as it ends, and sums up.

mod command;
mod packages;
mod part;
mod report;
mod totals;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;

use self::part::{PARTS, Part, Work};
use self::report::{Detail, Screen};
use self::totals::TestTotals;
use crate::tidy;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install missing system packages (as root, or with sudo)
    #[arg(long)]
    install: bool,
    /// Run these parts only
    #[arg(long, value_name = "PART", num_args = 1.., value_delimiter = ',', value_parser = part_names())]
    only: Vec<String>,
    /// Leave these parts out
    #[arg(long, value_name = "PART", num_args = 1.., value_delimiter = ',', value_parser = part_names())]
    skip: Vec<String>,
    /// Show what each command prints while it runs
    #[arg(long, short)]
    verbose: bool,
    /// List the parts and their commands, and run nothing
    #[arg(long)]
    list: bool,
}

fn part_names() -> PossibleValuesParser {
    PossibleValuesParser::new(PARTS.iter().map(|part| part.name))
}

/// Where a run happens, and what it may do there.
#[derive(Debug)]
struct Place {
    /// The repository.
    root: PathBuf,
    /// Holds the whole output of each part's commands, one file per part.
    logs: PathBuf,
    /// The cargo that started us.
    cargo: OsString,
    install: bool,
}

impl Place {
    fn of(root: &Path, options: &Options) -> Self {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self {
            root: root.to_path_buf(),
            logs: root.join(target).join("verify"),
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            install: options.install,
        }
    }
}

/// What a part came to.
#[derive(Debug)]
struct Outcome {
    part: &'static Part,
    verdict: Verdict,
    /// Of parts that run tests, whatever the verdict.
    tests: TestTotals,
    time: Duration,
}

#[derive(Debug)]
enum Verdict {
    Passed,
    /// Why, as lines for the terminal.
    Failed(Vec<String>),
}

/// Runs what `options` select; the exit code says whether all of it passed.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let selected: Vec<&'static Part> = PARTS.iter().filter(|part| is_selected(part, options)).collect();
    if options.list {
        report::list(&selected);
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place::of(root, options);
    let detail = if options.verbose { Detail::Verbose } else { Detail::Quiet };
    let mut outcomes = Vec::with_capacity(selected.len());
    for part in &selected {
        let screen = Screen::open(part, detail);
        let start = Instant::now();
        let (verdict, tests) = perform(part, &selected, &place, &screen).unwrap_or_else(not_performed);
        let outcome = Outcome { part, verdict, tests, time: start.elapsed() };
        screen.close(&outcome);
        outcomes.push(outcome);
    }
    report::summary(&outcomes);
    let all_passed = outcomes.iter().all(|outcome| matches!(outcome.verdict, Verdict::Passed));
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_selected(part: &Part, options: &Options) -> bool {
    let named = |list: &[String]| list.iter().any(|name| name == part.name);
    (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
}

/// A part that could not be run has failed; the others still have their say.
#[expect(clippy::needless_pass_by_value, reason = "the shape that unwrap_or_else asks for")]
fn not_performed(error: anyhow::Error) -> (Verdict, TestTotals) {
    (Verdict::Failed(vec![format!("{error:#}")]), TestTotals::default())
}

fn perform(part: &Part, selected: &[&Part], place: &Place, screen: &Screen) -> Result<(Verdict, TestTotals)> {
    match part.work {
        Work::Packages => Ok((packages::check(selected, place, screen)?, TestTotals::default())),
        Work::Tidy => {
            let findings = tidy::check(&place.root)?;
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            let verdict = if lines.is_empty() { Verdict::Passed } else { Verdict::Failed(lines) };
            Ok((verdict, TestTotals::default()))
        }
        Work::Cargo { arguments, environment } => {
            let mut command = command::cargo(place, arguments, environment);
            let ended = command::run(&mut command, part.name, place, screen)?;
            Ok((ended.verdict(), ended.tests))
        }
        Work::CargoTest { arguments, environment } => {
            let mut command = command::cargo(place, arguments, environment);
            let ended = command::run(&mut command, part.name, place, screen)?;
            Ok(tested(&ended))
        }
        Work::Npm { before, folder, script } => {
            let mut command = command::cargo(place, before, &[]);
            let ended = command::run(&mut command, &format!("{}-build", part.name), place, screen)?;
            if let failed @ Verdict::Failed(_) = ended.verdict() {
                return Ok((failed, ended.tests));
            }
            let mut command = command::npm(folder, script);
            let ended = command::run(&mut command, part.name, place, screen)?;
            Ok(tested(&ended))
        }
    }
}

/// Of a command that must have run at least one test.
fn tested(ended: &command::Ended) -> (Verdict, TestTotals) {
    let verdict = match ended.verdict() {
        Verdict::Passed if ended.tests.passed == 0 => Verdict::Failed(vec!["no test ran".to_owned()]),
        verdict => verdict,
    };
    (verdict, ended.tests)
}
