//! How the command ends: one line for an error with its causes, and the exit status.

use std::process::ExitCode;

/// The exit status of a command that went wrong by itself, apart from what a child's own status says.
pub(crate) const FAILED: u8 = 1;

/// Prints an error once, with its chain of causes, and answers the exit status.
#[expect(clippy::print_stderr, reason = "the last word of a command line tool goes to the terminal")]
pub(crate) fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tally: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
