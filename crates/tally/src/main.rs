//! The `tally` command: serve, demo, run, publish, watch, config.

mod exit;
mod publish;
mod run;
mod watch;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A websocket event broadcast backplane that never loses count.
#[derive(Debug, Parser)]
#[command(name = "tally", version, about, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command and publish each line it prints as an event.
    Run(run::Arguments),
    /// Publish NDJSON from a file or standard input.
    Publish(publish::Arguments),
    /// Watch channels live.
    Watch(watch::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::main(arguments),
        Command::Publish(arguments) => publish::main(arguments),
        Command::Watch(arguments) => watch::main(arguments),
    };
    exit::report(result)
}
