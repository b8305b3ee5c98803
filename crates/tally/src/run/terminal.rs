//! A pseudo-terminal for the command, and our own terminal in raw mode for as long as it runs.

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::thread;

/// The command's terminal, and what ours was like before.
#[derive(Debug)]
pub(super) struct Terminal {
    pty: OwnedFd,
    /// `None` where ours is no terminal, or belongs to somebody else now.
    before: Option<Termios>,
}

impl Terminal {
    /// Starts the command on a terminal of its own, in a session of its own. Standard input stays ours where that is
    /// a file or a pipe.
    pub(super) fn spawn(command: Command) -> io::Result<(Child, Self)> {
        let (pty, pts) = pty_process::blocking::open().map_err(io_error)?;
        let stdin = io::stdin();
        let before = if is_ours(&stdin) { tcgetattr(&stdin).ok() } else { None };
        if let Some(before) = &before {
            // The command finds the settings that its user has.
            let _its_own_are_good_too = tcsetattr(&pty, SetArg::TCSANOW, before);
        }
        let mut command = pty_process::blocking::Command::from(command);
        if !stdin.is_terminal() {
            command = command.stdin(std::process::Stdio::inherit());
        }
        let terminal = Self { pty: pty.into(), before };
        terminal.take_over_size();
        let child = command.spawn(pts).map_err(io_error)?;
        terminal.begin_raw();
        if terminal.is_raw() {
            let pty = File::from(terminal.output()?);
            thread::Builder::new().name("keys".into()).spawn(move || pass_keys(pty))?;
        }
        Ok((child, terminal))
    }

    /// What the command prints.
    pub(super) fn output(&self) -> io::Result<OwnedFd> {
        self.pty.try_clone()
    }

    pub(super) fn is_raw(&self) -> bool {
        self.before.is_some()
    }

    /// The window has another size, or our terminal was somebody else's for a while.
    pub(super) fn handle_change(&self) {
        self.begin_raw();
        self.take_over_size();
    }

    fn begin_raw(&self) {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _the_terminal_is_gone = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw);
        }
    }

    fn take_over_size(&self) {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let shown = [stdout.as_fd(), stderr.as_fd(), stdin.as_fd()];
        let size = shown.into_iter().find_map(|fd| rustix::termios::tcgetwinsize(fd).ok());
        if let Some(size) = size {
            let _it_keeps_its_size = rustix::termios::tcsetwinsize(&self.pty, size);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _the_terminal_is_gone = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

/// In the background, reading or setting it would stop us.
fn is_ours(stdin: &io::Stdin) -> bool {
    tcgetpgrp(stdin).is_ok_and(|group| group == getpgrp())
}

/// Ends with the process, or with the terminal.
fn pass_keys(mut pty: File) {
    let mut buffer = [0; 4096];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => {
                if pty.write_all(&buffer[..bytes]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}
