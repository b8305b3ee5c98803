//! `tally-loadtest run`: the subjects of a scenario in turn within each round, so that a machine that changes its
//! mind meets all of them alike.

use crate::against;
use crate::expect;
use crate::machine;
use crate::progress::Progress;
use crate::report::{self, Written};
use crate::result::{FORMAT, Reference, Report, Run, Subject};
use crate::run;
use crate::scenario::Scenario;
use crate::signal;
use crate::stage::{Means, Pin};
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names from `tally-loadtest list`, or paths of scenario files
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// How often each subject is run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// What is measured, in turn: gateway, floor-each, floor-joined [default: what the scenario says]
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<SubjectName>,
    /// Subjects on the first cores (as many as the scenario says), everything else on the others
    #[arg(long)]
    pin: bool,
    /// Seconds of the measured window, in place of the scenario's
    #[arg(long)]
    seconds: Option<f64>,
    /// Another value of the scenario, such as `publish.data_bytes=512`; scenarios that it is held against keep theirs.
    /// May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the HTML report and the JSON file go
    #[arg(long, value_name = "DIR", default_value = "target/loadtest")]
    out: PathBuf,
    /// The gateway's binary [default: beside this one]
    #[arg(long, value_name = "PATH")]
    tally: Option<PathBuf>,
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis_server: PathBuf,
    /// A running Redis in place of one of our own
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A running gateway in place of our own ones; it has to use the same Redis. May be repeated
    #[arg(long, value_name = "ADDR", requires = "redis")]
    gateway: Vec<SocketAddr>,
    /// The prefix in Redis
    #[arg(long, default_value = "tally")]
    prefix: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SubjectName {
    Gateway,
    FloorEach,
    FloorJoined,
}

impl From<SubjectName> for Subject {
    fn from(name: SubjectName) -> Self {
        match name {
            SubjectName::Gateway => Self::Gateway,
            SubjectName::FloorEach => Self::FloorEach,
            SubjectName::FloorJoined => Self::FloorJoined,
        }
    }
}

pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    signal::listen()?;
    // Thousands of sockets here, and as many in each gateway, which inherits it.
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let seconds: Vec<String> =
        args.seconds.map(|seconds| format!("seconds={seconds:?}")).into_iter().collect();
    let changes = [&args.set[..], &seconds].concat();
    let load = |name: &String| {
        let scenario = Scenario::load(name, &changes)?;
        let references = scenario.references(&seconds)?;
        anyhow::Ok((scenario, references))
    };
    let scenarios: Vec<_> = args.scenarios.iter().map(load).collect::<anyhow::Result<_>>()?;
    let progress = Progress::new();
    let mut held = true;
    let mut verdicts = Vec::new();
    for (scenario, references) in &scenarios {
        let report = run_rounds(args, scenario, references, &progress)?;
        report::print_table(&report);
        say_where(&report::write(&report, &args.out)?);
        let failed: Vec<String> = report::promises(&report)
            .iter()
            .filter(|promise| !promise.holds())
            .map(|promise| format!("{}: {}", promise.of, promise.name))
            .collect();
        held &= failed.is_empty();
        verdicts.push((scenario.name.clone(), failed));
    }
    if verdicts.len() > 1 {
        say_verdicts(&verdicts);
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "where the results are belongs to them")]
fn say_where(written: &Written) {
    println!("{}\n{}", written.html.display(), written.json.display());
}

#[expect(clippy::print_stdout, reason = "it is the result of several scenarios")]
fn say_verdicts(verdicts: &[(String, Vec<String>)]) {
    println!("\nAll scenarios of this run");
    for (scenario, failed) in verdicts {
        let verdict =
            if failed.is_empty() { "holds".to_owned() } else { format!("FAILS: {}", failed.join("; ")) };
        println!("  {scenario:20} {verdict}");
    }
}

fn run_rounds(
    args: &Args,
    scenario: &Scenario,
    references: &[Scenario],
    progress: &Progress,
) -> anyhow::Result<Report> {
    let means = means_of(args, scenario)?;
    let mut report = Report {
        format: FORMAT,
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        scenario_toml: scenario.text.clone(),
        command: std::env::args().skip(1).fold("tally-loadtest".to_owned(), |line, word| line + " " + &word),
        started_unix_ms: unix_ms(),
        machine: machine::machine(&means),
        runs: Vec::new(),
        references: references.iter().map(reference).collect(),
    };
    let subjects = match &args.subjects[..] {
        [] => scenario.subjects.clone(),
        named => named.iter().copied().map(Subject::from).collect(),
    };
    for round in 1..=args.rounds {
        let mut runs: Vec<Run> = Vec::new();
        for subject in &subjects {
            let run = run::run(scenario, *subject, round, &means, progress);
            let name = run::subject_name(*subject);
            runs.push(run.with_context(|| format!("scenario {}, {name}, round {round}", scenario.name))?);
        }
        for (reference, kept) in references.iter().zip(&mut report.references) {
            let means = means_of(args, reference)?;
            let run = run::run(reference, Subject::Gateway, round, &means, progress);
            kept.runs.push(run.with_context(|| format!("scenario {}, round {round}", reference.name))?);
        }
        let floor = runs.iter().find(|run| run.subject == Subject::FloorEach).cloned();
        if let Some(floor) = floor {
            let gateways = runs.iter_mut().filter(|run| run.subject == Subject::Gateway);
            gateways.for_each(|run| expect::floor_checks(scenario, run, &floor));
        }
        let other = |name: &str| {
            let reference = report.references.iter().find(|reference| reference.scenario == name)?;
            reference.runs.last()
        };
        for run in runs.iter_mut().filter(|run| run.subject == Subject::Gateway) {
            against::compare(run, &scenario.expect.against, other);
        }
        report.runs.extend(runs);
    }
    Ok(report)
}

fn reference(scenario: &Scenario) -> Reference {
    Reference {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        scenario_toml: scenario.text.clone(),
        runs: Vec::new(),
    }
}

fn means_of(args: &Args, scenario: &Scenario) -> anyhow::Result<Means> {
    let ourselves = std::env::current_exe().context("cannot tell where our own executable is")?;
    let pin = args.pin.then(|| pin(scenario)).transpose()?;
    if let Some(pin) = &pin {
        pin_ourselves(&pin.others)?;
    }
    Ok(Means {
        tally: args.tally.clone().unwrap_or_else(|| ourselves.with_file_name("tally")),
        redis_server: args.redis_server.clone(),
        pin,
        redis_url: args.redis.clone(),
        gateways: args.gateway.clone(),
        prefix: args.prefix.clone(),
    })
}

/// The first cores for the subjects, the others for everything else; where none is left, or the scenario says so,
/// everything else may use all.
fn pin(scenario: &Scenario) -> anyhow::Result<Pin> {
    let (cores, all) = (scenario.cores, machine::cores()?);
    anyhow::ensure!(
        cores <= all,
        "the scenario wants {cores} cores for its subjects, and this machine has {all}; leave --pin out"
    );
    let others = if cores == all || scenario.load_shares_cores {
        format!("0-{}", all - 1)
    } else {
        format!("{cores}-{}", all - 1)
    };
    Ok(Pin { subject: format!("0-{}", cores - 1), others })
}

/// Publishers and receivers are threads of this process: all threads to come inherit it.
fn pin_ourselves(cores: &str) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let output = std::process::Command::new("taskset").args(["-cp", cores, &pid]).output();
    let output = output.context("--pin needs taskset of util-linux")?;
    anyhow::ensure!(
        output.status.success(),
        "taskset could not pin to cores {cores}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
