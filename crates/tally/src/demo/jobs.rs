//! The demo's jobs: real commands of this machine, at four different speeds, run again and again.

use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// One job of the demo.
pub(super) struct Job {
    /// Its channel is `job:NAME-1`, then `job:NAME-2` …
    pub(super) name: &'static str,
    /// What a person should look for.
    pub(super) about: &'static str,
    /// A shell script made of commands that every Linux machine has.
    script: &'static str,
    /// The pause between two runs.
    pause: Duration,
}

pub(super) const JOBS: [Job; 4] = [
    Job {
        name: "files",
        about: "lists what is below /usr, 3,000 per second: far too many, so it is throttled to counts",
        script: "find /usr -xdev -type f -printf '{\"event\":\"file\",\"path\":\"%P\",\"bytes\":%s}\\n' \
                 -o -type d -printf '{\"event\":\"directory\",\"path\":\"%P\"}\\n' \
                 -o -type l -printf '{\"event\":\"link\",\"path\":\"%P\"}\\n' 2>&1 | n=0 sh -c '\
                 while IFS= read -r line; do printf \"%s\\n\" \"$line\"; n=$((n + 1)); \
                 [ $((n % 300)) = 0 ] && sleep 0.09; [ $n = 150000 ] && exit; done; true'",
        pause: Duration::from_secs(8),
    },
    Job {
        name: "checksums",
        about: "checksums of programs, about 30 per second: every one in full",
        script: "find /usr/bin -type f | head -n 900 | while read -r file; do \
                 sha256sum \"$file\" && sleep 0.03; done",
        pause: Duration::from_secs(5),
    },
    Job {
        name: "hosts",
        about: "asks 300 hosts that are all this one; JSON lines with the kinds ok, changed and failed",
        script: "i=0; while [ $i -lt 300 ]; do i=$((i+1)); \
                 case $((i % 17)) in 0) e=failed;; 5|11) e=changed;; *) e=ok;; esac; \
                 printf '{\"event\":\"%s\",\"host\":\"web%d\",\"load\":\"%s\"}\\n' \
                 \"$e\" \"$i\" \"$(cut -d' ' -f1 /proc/loadavg)\"; sleep 0.2; done; echo '18 hosts failed' >&2; exit 2",
        pause: Duration::from_secs(5),
    },
    Job {
        name: "load",
        about: "the machine's load, once a second",
        script: "for i in $(seq 120); do uptime; sleep 1; done",
        pause: Duration::from_secs(1),
    },
];

impl Job {
    pub(super) fn channel(&self, run: u64) -> String {
        format!("job:{}-{run}", self.name)
    }

    /// Runs it for ever, one run after the other; ends with the task.
    pub(super) async fn repeat(&self, gateway: String, started: mpsc::Sender<String>) -> anyhow::Result<()> {
        let this = std::env::current_exe()?;
        for run in 1u64.. {
            // Refused only where the demo is ending.
            let _ = started.send(self.channel(run)).await;
            let mut child = self.start(&this, &gateway, run)?;
            child.wait().await?;
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    /// `tally run` of the script, as anybody would call it. Ended together with its handle.
    fn start(&self, this: &std::path::Path, gateway: &str, run: u64) -> std::io::Result<Child> {
        Command::new(this)
            .args(["run", "--quiet", "--to", gateway, "--channel", &self.channel(run), "--"])
            .args(["sh", "-c", self.script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}
