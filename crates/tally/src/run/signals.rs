//! Signals: which of them are listened to, and which of those are the command's.
//!
//! The command is in our process group, so what a terminal sends (Ctrl-C) reaches it without us, and would otherwise
//! reach it twice. What somebody sends to us alone is passed on. What was ignored when we began stays ignored, by us
//! and by the command: that is how nohup(1) and a shell's background jobs work. SIGTSTP and SIGCONT keep their usual
//! effect.

use super::Input;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use std::io;
use std::thread;
use tokio::sync::mpsc::Sender;

const FORWARDED: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// What a signal asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Perhaps the command has ended.
    LookAtCommand,
    /// For the command; `is_from_terminal` where it has it already, if it shares our terminal.
    Forward { signal: Signal, is_from_terminal: bool, sender: Option<Pid> },
    /// The window has another size, or we are in the foreground again.
    LookAtTerminal,
}

/// Listens from now on, until the process ends.
pub(super) fn listen(inputs: Sender<Input>) -> io::Result<()> {
    let ignored = ignored_at_start();
    let wanted = FORWARDED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted.chain([SIGCHLD, SIGWINCH, SIGCONT]))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in &mut signals {
            if let Some(asked) = read_origin(&origin)
                && inputs.blocking_send(Input::Signal(asked)).is_err()
            {
                return;
            }
        }
    })?;
    Ok(())
}

fn read_origin(origin: &Origin) -> Option<Asked> {
    match origin.signal {
        SIGCHLD => Some(Asked::LookAtCommand),
        SIGWINCH | SIGCONT => Some(Asked::LookAtTerminal),
        signal => Some(Asked::Forward {
            signal: Signal::try_from(signal).ok()?,
            is_from_terminal: origin.process.is_none(),
            sender: origin.process.map(|process| Pid::from_raw(process.pid)),
        }),
    }
}

/// As bits. The standard library has no way to ask; where there is no /proc, nothing counts as ignored.
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
