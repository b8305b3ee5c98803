//! The `tally` command: serve, demo, run, publish, watch, config.

mod config;
mod demo;
mod exit;
mod log;
mod publish;
mod run;
mod serve;
mod settings;
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
    /// Start a gateway
    Serve(serve::Arguments),
    /// Start a gateway with a few real jobs and a page that shows them live
    Demo(demo::Arguments),
    /// Run a command and publish each line it prints as an event
    Run(run::Arguments),
    /// Publish NDJSON from a file or standard input
    Publish(publish::Arguments),
    /// Watch channels, live or as JSON lines
    Watch(watch::Arguments),
    /// Print or check settings
    Config(config::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::main(&arguments),
        Command::Demo(arguments) => demo::main(&arguments),
        Command::Config(arguments) => config::main(arguments),
        Command::Run(arguments) => run::main(arguments),
        Command::Publish(arguments) => publish::main(arguments),
        Command::Watch(arguments) => watch::main(arguments),
    };
    exit::report(result)
}
