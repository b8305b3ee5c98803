//! Developer commands of the workspace; `cargo verify` is the one that says whether a change is right.

mod tidy;
mod verify;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo", about = "Developer commands of the Tally workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything that must hold before a change is merged
    Verify(verify::Options),
}

fn main() -> ExitCode {
    let Arguments { command: Command::Verify(options) } = Arguments::parse();
    match workspace_root().and_then(|root| verify::run(&root, &options)) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("verify: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace's `Cargo.toml`: two above this package's own, which cargo names when it runs us.
fn workspace_root() -> Result<PathBuf> {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").context("not started by cargo: run it as `cargo verify`")?;
    let package = PathBuf::from(package);
    let root = package.ancestors().nth(2).context("this package is not two folders below the workspace")?;
    Ok(root.to_path_buf())
}
