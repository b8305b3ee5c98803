//! `tally run`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

#[expect(clippy::needless_pass_by_value, reason = "one shape for all commands")]
pub(crate) fn main(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
