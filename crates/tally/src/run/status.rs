//! How the command ended, as a shell would say it.

use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `tally run` itself could not begin, as in env(1) and timeout(1).
pub(super) const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The end of a command, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// What `tally run` exits with.
    pub(super) exit_code: u8,
    /// The signal that ended the command, such as `SIGTERM`.
    pub(super) signal: Option<String>,
    /// Why it could not be started.
    pub(super) error: Option<String>,
}

impl Ended {
    pub(super) fn of_status(status: ExitStatus) -> Self {
        if let Some(signal) = status.signal() {
            let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |s| s.to_string());
            let exit_code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
            return Self { exit_code, signal: Some(name), error: None };
        }
        // The kernel keeps eight bits of it.
        let exit_code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
        Self { exit_code, signal: None, error: None }
    }

    pub(super) fn of_spawn_error(program: &OsStr, error: &io::Error) -> Self {
        let name = program.to_string_lossy();
        let is_path = name.contains('/');
        let (exit_code, problem) = match error.kind() {
            io::ErrorKind::NotFound if is_path => (
                NOT_FOUND,
                "no such file, or the interpreter that its first line names is missing".to_owned(),
            ),
            io::ErrorKind::NotFound => (NOT_FOUND, "command not found".to_owned()),
            io::ErrorKind::PermissionDenied => {
                (NOT_EXECUTABLE, "permission denied; it is not executable".to_owned())
            }
            _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => {
                (NOT_EXECUTABLE, "not a program; a script needs a first line such as #!/bin/sh".to_owned())
            }
            _ => (NOT_EXECUTABLE, error.to_string()),
        };
        Self { exit_code, signal: None, error: Some(format!("{name}: {problem}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        let cases: &[(i32, u8, Option<&str>)] = &[
            (0, 0, None),
            (3 << 8, 3, None),
            (255 << 8, 255, None),
            (2, 130, Some("SIGINT")),
            (9, 137, Some("SIGKILL")),
            (11 | 0x80, 139, Some("SIGSEGV")),
            (15, 143, Some("SIGTERM")),
            (40, 168, Some("40")),
        ];
        for (raw, code, signal) in cases {
            let ended = Ended::of_status(ExitStatus::from_raw(*raw));
            assert_eq!((ended.exit_code, ended.signal.as_deref()), (*code, *signal), "{raw:#x}");
        }
    }

    #[test]
    fn a_command_that_cannot_start_says_why() {
        let cases: &[(&str, i32, u8, &str)] = &[
            ("nope", nix::libc::ENOENT, 127, "nope: command not found"),
            ("./nope", nix::libc::ENOENT, 127, "./nope: no such file, or"),
            ("/etc", nix::libc::EACCES, 126, "/etc: permission denied"),
            ("./data", nix::libc::ENOEXEC, 126, "./data: not a program"),
            ("ls", nix::libc::E2BIG, 126, "ls: Argument list too long"),
        ];
        for (program, errno, code, message) in cases {
            let ended = Ended::of_spawn_error(OsStr::new(program), &io::Error::from_raw_os_error(*errno));
            assert_eq!(ended.exit_code, *code, "{program}");
            assert!(ended.error.as_ref().unwrap().starts_with(message), "{ended:?}");
        }
    }
}
