//! Tally's load test: black box, over the public wire only.

mod account;
mod against;
mod audience;
mod books;
mod clock;
mod compare;
mod expect;
mod floor;
mod gauge;
mod http;
mod known;
mod machine;
mod progress;
mod publisher;
mod receiver;
mod report;
mod result;
mod rounds;
mod run;
mod scenario;
mod signal;
mod stage;
mod usage;
mod wire;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Load tests of Tally as a black box, with clients that check every frame.
#[derive(Debug, Parser)]
#[command(name = "tally-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, one after another, and report what they measured
    Run(rounds::Args),
    /// Say what each scenario is about
    List,
    /// Hold JSON files of earlier runs against each other
    Compare(compare::Args),
    /// The least possible work for the same fan-out, as a server; `run --subjects floor-each` starts it by itself
    Floor(floor::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(args) => rounds::main(&args),
        Command::List => list(),
        Command::Compare(args) => compare::main(&args).map(|()| ExitCode::SUCCESS),
        Command::Floor(args) => floor::main(&args).map(|()| ExitCode::SUCCESS),
    }
}

#[expect(clippy::print_stdout, reason = "the list is the result")]
fn list() -> anyhow::Result<ExitCode> {
    for name in scenario::names()? {
        let scenario = scenario::Scenario::load(&name, &[])?;
        println!("{name:20} {}", scenario.about);
    }
    Ok(ExitCode::SUCCESS)
}
