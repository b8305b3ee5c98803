//! One process of ours: it ends when it is dropped, and with us however we end.

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end by itself. Longer: it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of a fallen process's output that are shown.
const OUTPUT_SHOWN: usize = 2_000;

#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts it with its output in a file, none of our settings in its environment, and a group of its own, so that
    /// Ctrl-C reaches us alone and we end everything in order.
    pub(super) fn spawn(name: &str, command: &Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = bound_to_us(command);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("TALLY_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let process = command.spawn().with_context(|| format!("cannot start {name} with {program}"))?;
        Ok(Self { name: name.to_owned(), process, log: log.to_owned() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What became of it, where it has ended.
    pub(super) fn fallen(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok().flatten()?;
        let output = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut from = output.len().saturating_sub(OUTPUT_SHOWN);
        while !output.is_char_boundary(from) {
            from += 1;
        }
        Some(format!("{} ended with {status}; its output ends with:\n{}", self.name, &output[from..]))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("the kernel's process ids are below 2^22");
        // It has ended already where this fails.
        let _sent = kill(Pid::from_raw(pid), signal);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
        let _reaped = self.process.wait();
    }
}

/// The same command, killed by the kernel when the thread that starts it ends: so nothing outlives us even if we are
/// killed ourselves. `setpriv` sets that up and then becomes the command; where it is not installed, only the end in
/// order is left.
fn bound_to_us(command: &Command) -> Command {
    let installed = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("setpriv").exists()));
    let mut bound = if installed {
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL"]).arg(command.get_program());
        bound
    } else {
        Command::new(command.get_program())
    };
    bound.args(command.get_args());
    bound
}
