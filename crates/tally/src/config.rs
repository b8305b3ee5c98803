//! `tally config`: print the default settings, or check what a gateway would be started with.

use crate::settings::{self, Flags};
use std::path::PathBuf;
use std::process::ExitCode;
use tally_gateway::Config;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check settings as `tally serve` would read them; with a file alone, only that
    Check {
        /// TOML file; without one, what `tally serve` would find
        #[arg(conflicts_with = "config")]
        file: Option<PathBuf>,
        #[command(flatten)]
        flags: Box<Flags>,
    },
    /// Print every setting with its default, its unit, its bound, and what happens there
    Default,
}

#[expect(clippy::print_stdout, reason = "what was asked for goes to standard output")]
pub(crate) fn main(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Default => print!("{}", Config::default_toml()),
        Command::Check { file, mut flags } => {
            flags.config = file.or(flags.config);
            if let Some(path) = &flags.config {
                settings::read(path)?;
            }
            let config = flags.load()?;
            let (listen, admin, backplane) = (config.listen, config.admin, config.backplane());
            println!("the settings are valid: listen {listen}, admin {admin}; backplane: {backplane}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
