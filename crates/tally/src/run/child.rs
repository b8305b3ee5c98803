//! The command as a process: started on pipes or on a terminal, told signals, and reaped. One owner.

use super::reading::Stream;
use super::signals::Asked;
use super::status::Ended;
use super::terminal::Terminal;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    terminal: Option<Terminal>,
    /// Once it was reaped, its process id may be somebody else's.
    ended: Option<Ended>,
}

/// What is read of the command.
pub(super) type Outputs = Vec<(Stream, OwnedFd)>;

pub(super) fn spawn_on_pipes(words: &[OsString]) -> io::Result<(Running, Outputs)> {
    let (stdout, stdout_of_command) = io::pipe()?;
    let (stderr, stderr_of_command) = io::pipe()?;
    let mut command = command(words);
    command.stdin(Stdio::inherit()).stdout(stdout_of_command).stderr(stderr_of_command);
    let child = command.spawn()?;
    let outputs = vec![(Stream::Stdout, stdout.into()), (Stream::Stderr, stderr.into())];
    Ok((Running { child, terminal: None, ended: None }, outputs))
}

pub(super) fn spawn_on_terminal(words: &[OsString]) -> io::Result<(Running, Outputs)> {
    let (child, terminal) = Terminal::spawn(command(words))?;
    let outputs = vec![(Stream::Terminal, terminal.output()?)];
    Ok((Running { child, terminal: Some(terminal), ended: None }, outputs))
}

/// What may hold a secret of ours.
const SECRETS: [&str; 4] = ["TALLY_PUBLISH_KEY", "TALLY_TO", "TALLY_REDIS", "TALLY_REDIS_PASSWORD"];

/// Secrets stay with us: a job that prints its environment would publish them to everybody who watches.
fn command(words: &[OsString]) -> Command {
    let (program, arguments) = words.split_first().expect("clap asks for at least one word");
    let mut command = Command::new(program);
    command.args(arguments);
    for name in SECRETS {
        // Of URLs, one without credentials is of use to a job that publishes as well.
        let is_public =
            |value: OsString| value.to_str().is_some_and(|url| url.contains("://") && !url.contains('@'));
        if !std::env::var_os(name).is_some_and(is_public) {
            command.env_remove(name);
        }
    }
    command
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_raw(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::is_raw)
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// `true` when the command has ended by now, and this call has noticed it.
    pub(super) fn handle(&mut self, asked: Asked) -> bool {
        match asked {
            Asked::LookAtCommand => return self.look(),
            Asked::LookAtTerminal => {
                if let Some(terminal) = &self.terminal {
                    terminal.handle_change();
                }
            }
            Asked::Forward { signal, is_from_terminal, sender } => {
                let has_it = is_from_terminal && self.terminal.is_none() || sender == Some(self.process());
                if !has_it && self.ended.is_none() {
                    let _it_is_ending = kill(self.process(), signal);
                }
            }
        }
        false
    }

    /// What losing a terminal tells the programs on it.
    pub(super) fn hang_up(&self) {
        if self.ended.is_none() {
            let _it_is_ending = killpg(self.process(), Signal::SIGHUP);
        }
    }

    fn look(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        if let Ok(Some(status)) = self.child.try_wait() {
            self.ended = Some(Ended::of_status(status));
        }
        self.ended.is_some()
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}
