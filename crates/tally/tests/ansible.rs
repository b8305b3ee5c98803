//! A real ansible job on a channel: posted by ansible-runner's HTTP plugin, and as lines through `tally run`.
//!
//! Owns the virtual environment (once per requirements.txt, under target/tmp) and every process it starts; each wait
//! is bounded. The laws are checked from outside: what the listener printed, what ansible-runner itself kept in
//! `job_events/`, and what the gateway says the totals are must be one and the same.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it is broken; clippy's allowance does not reach helpers"
)]

#[path = "support/redis.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod redis;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

/// The playbook project, in the layout that ansible-runner calls a private data directory.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ansible");
/// Longer than the whole job takes on a busy machine, and short enough to name what hangs.
const JOB_MAX: Duration = Duration::from_secs(180);
/// For single steps: a server that binds, a frame that is due.
const STEP_MAX: Duration = Duration::from_secs(30);
/// As the Redis of the other tests knows it.
const PATIENCE: Duration = STEP_MAX;
/// In the environment of the job, so that the plugin's first body carries it.
const SECRET: &str = "never-on-the-wire-7f3a";

type Totals = BTreeMap<String, u64>;

#[test]
#[ignore = "needs a Python virtual environment; cargo verify runs it"]
fn runner_http_plugin_posts_every_event_in_order() {
    let gateway = Gateway::start(&[]);
    runner_posts_to_one_and_is_heard_on_another(&gateway, &gateway);
}

#[test]
#[ignore = "needs a Python virtual environment; cargo verify runs it"]
fn runner_posts_to_one_gateway_and_listeners_on_another_see_all() {
    let redis = redis::Redis::start();
    let gateways = [0, 1].map(|_| Gateway::start(&["--redis", &redis.url()]));
    runner_posts_to_one_and_is_heard_on_another(&gateways[0], &gateways[1]);
}

fn runner_posts_to_one_and_is_heard_on_another(posted: &Gateway, gateway: &Gateway) {
    let venv = virtual_environment();
    let mut listener = gateway.listen("job:42");
    let artifacts = gateway.dir.path().join("artifacts");

    let mut runner = job_command(venv.join("bin/ansible-runner"), &venv, posted);
    runner.args(["run", PROJECT, "--playbook", "site.yml", "--ident", "42"]);
    runner.arg("--artifact-dir").arg(&artifacts);
    runner.env("RUNNER_HTTP_URL", posted.url("/v1/channels/job:42/events"));
    let done = finish(runner);
    assert!(done.status.success(), "ansible-runner: {}\n{}", done.status, done.stderr);

    let snapshot = gateway.snapshot("job:42");
    listener.read_up_to(snapshot.seq);
    let seen = listener.end();

    let kept = kept_events(&artifacts.join("42/job_events"));
    assert!(kept.len() > 300, "a few hundred results, not {}", kept.len());
    assert_bodies_are_kept(&seen.events, &kept);
    assert_statuses(&seen.events);
    let command = fs::read_to_string(artifacts.join("42/command")).unwrap();
    assert!(command.contains(SECRET), "without the secret in `env` this proves nothing");
    assert!(!seen.printed.contains(SECRET), "`env` is dropped before it is published");

    let mut expected = tally(kept.iter().map(|event| event.kind.as_str()));
    expected.extend(tally(["starting", "running", "successful"].into_iter()));
    assert_eq!(snapshot.totals, expected);
    assert_closed(&seen, &snapshot);
    assert_eq!(snapshot.state.unwrap()["kind"], "successful");
}

#[test]
#[ignore = "needs a Python virtual environment; cargo verify runs it"]
fn the_same_playbook_through_tally_run() {
    let gateway = Gateway::start(&[]);
    run_publishes_to(&gateway.url(""), &gateway);
}

#[test]
#[ignore = "needs a Python virtual environment; cargo verify runs it"]
fn the_same_playbook_through_tally_run_straight_to_redis() {
    let redis = redis::Redis::start();
    let gateway = Gateway::start(&["--redis", &redis.url()]);
    run_publishes_to(&redis.url(), &gateway);
}

fn run_publishes_to(to: &str, gateway: &Gateway) {
    let venv = virtual_environment();
    let mut listener = gateway.listen("job:43");

    let mut run = job_command(tally_binary(), &venv, gateway);
    run.args(["run", "--to", to, "--channel", "job:43", "--"]);
    run.args(["ansible-playbook", "--inventory", &format!("{PROJECT}/inventory")]);
    run.arg(format!("{PROJECT}/project/site.yml"));
    let done = finish(run);
    assert!(done.status.success(), "tally run: {}\n{}", done.status, done.stderr);
    assert!(done.stdout.contains("PLAY RECAP"), "output is passed through:\n{}", done.stdout);

    let snapshot = gateway.snapshot("job:43");
    listener.read_up_to(snapshot.seq);
    let seen = listener.end();

    let (first, last) = (seen.events.first().unwrap(), seen.events.last().unwrap());
    assert_eq!((first.kind.as_str(), first.is_state()), ("run_started", true));
    assert_eq!((last.kind.as_str(), last.is_state()), ("run_finished", true));
    assert_eq!(last.value()["exit_code"], 0, "{}", last.data);
    assert_eq!(
        lines_of(&seen.events, "stdout"),
        done.stdout,
        "each line is one event, in order, with its text"
    );
    let others = seen.events.len() - 2;
    let lines = |kind: &str| seen.events.iter().filter(|event| event.kind == kind).count();
    assert_eq!(lines("stdout") + lines("stderr"), others, "nothing else is on the channel");

    assert_eq!(snapshot.totals, tally(seen.events.iter().map(|event| event.kind.as_str())));
    assert_closed(&seen, &snapshot);
    let index = gateway.snapshot("jobs");
    assert_eq!(index.totals, tally(["run_started", "run_finished"].into_iter()));
    assert_eq!(index.state.unwrap()["kind"], "run_finished");
}

/// Every body with an `event` field arrived as ansible-runner wrote it to disk: same bytes, same order, kind as sent.
fn assert_bodies_are_kept(events: &[Event], kept: &[KeptEvent]) {
    let posted: Vec<&Event> = events.iter().filter(|event| event.value().get("event").is_some()).collect();
    assert_eq!(posted.len(), kept.len(), "every job event arrives once");
    for (index, (posted, kept)) in posted.iter().zip(kept).enumerate() {
        assert_eq!(kept.counter, index as u64 + 1, "ansible-runner kept every event");
        assert_eq!(posted.kind, kept.kind, "event {}", kept.counter);
        assert!(!posted.is_state(), "a job event is bulk: {}", posted.kind);
        assert_eq!(posted.data.get(), kept.text, "event {} is verbatim", kept.counter);
    }
}

/// The bodies that have only `status` are state events: two before the first job event, one after the last.
fn assert_statuses(events: &[Event]) {
    let statuses: Vec<(usize, &Event)> =
        events.iter().enumerate().filter(|(_, event)| event.is_state()).collect();
    let places: Vec<(usize, &str)> = statuses.iter().map(|(at, event)| (*at, event.kind.as_str())).collect();
    assert_eq!(places, [(0, "starting"), (1, "running"), (events.len() - 1, "successful")]);
    let starting = statuses[0].1.value();
    let keys: Vec<&str> = starting.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["command", "cwd", "runner_ident", "status"], "all but `env`");
    assert_eq!(statuses[2].1.data.get(), r#"{"status": "successful", "runner_ident": "42"}"#);
}

/// Law 1 from outside: attached from nothing, all seen in full, and the sum is what the gateway says was published.
fn assert_closed(seen: &Seen, snapshot: &Snapshot) {
    let ledger = &seen.ledger;
    assert!(ledger.closes, "{ledger:?}");
    assert_eq!(ledger.attached, 0);
    assert_eq!((ledger.epoch.as_str(), ledger.cursor), (snapshot.epoch.as_str(), snapshot.seq));
    assert_eq!(ledger.full, snapshot.totals, "a listener that asked for 10,000/s misses nothing");
    assert_eq!((sum(&ledger.counted), sum(&ledger.summarised)), (0, 0));
    assert_eq!(sum(&snapshot.totals), snapshot.seq);
    assert_eq!(seen.events.len() as u64, snapshot.seq);
}

fn tally<'a>(kinds: impl Iterator<Item = &'a str>) -> Totals {
    let mut totals = Totals::new();
    for kind in kinds {
        *totals.entry(kind.to_owned()).or_default() += 1;
    }
    totals
}

fn sum(totals: &Totals) -> u64 {
    totals.values().sum()
}

fn lines_of(events: &[Event], kind: &str) -> String {
    let lines = events.iter().filter(|event| event.kind == kind);
    lines.map(|line| line.value().as_str().unwrap().to_owned() + "\n").collect()
}

/// One file of ansible-runner's `job_events/`: the body as posted, byte for byte.
struct KeptEvent {
    counter: u64,
    kind: String,
    text: String,
}

fn kept_events(dir: &Path) -> Vec<KeptEvent> {
    let mut kept: Vec<KeptEvent> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let body: Value = serde_json::from_str(&text).unwrap();
            let kind = body["event"].as_str().unwrap().to_owned();
            KeptEvent { counter: body["counter"].as_u64().unwrap(), kind, text }
        })
        .collect();
    kept.sort_by_key(|event| event.counter);
    kept
}

#[derive(Deserialize)]
struct Addresses {
    listen: String,
}

#[derive(Deserialize)]
struct Snapshot {
    epoch: String,
    seq: u64,
    totals: Totals,
    state: Option<Value>,
}

/// A `tally serve` on ports of its own, with the recipe's configuration.
struct Gateway {
    _process: Process,
    listen: String,
    dir: TempDir,
}

impl Gateway {
    fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (config, addresses) = (dir.path().join("tally.toml"), dir.path().join("addresses.json"));
        fs::write(&config, "[[channels]]\npattern = \"job:*\"\ndrop = [\"env\"]\n").unwrap();
        let mut serve = Command::new(tally_binary());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        serve.arg("--config").arg(&config).arg("--addresses-file").arg(&addresses);
        serve.args(more).stdout(Stdio::null());
        let mut process = Process::spawn(&mut serve);
        let listen = process.wait_for_addresses(&addresses).listen;
        Self { _process: process, listen, dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    fn snapshot(&self, channel: &str) -> Snapshot {
        let body = http_get(&self.listen, &format!("/v1/channels/{channel}"));
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// A listener that is attached when this returns, so that the job's first event already has one.
    fn listen(&self, channel: &str) -> Listener {
        let mut watch = Command::new(tally_binary());
        watch.args(["watch", "--gateway", &self.url(""), "--json", "--max-rate", "10000", channel]);
        watch.stdout(Stdio::piped());
        let mut process = Process::spawn(&mut watch);
        let lines = lines_in_background(process.0.stdout.take().unwrap());
        let mut listener =
            Listener { process, lines, cursor: None, events: Vec::new(), printed: String::new() };
        while listener.cursor.is_none() {
            let line = listener.next_line();
            listener.take_frame(&line);
        }
        listener
    }
}

/// One frame as `tally watch --json` prints it; only what these tests look at.
#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    name: String,
    seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    kind: String,
    class: Option<String>,
    data: Box<RawValue>,
}

impl Event {
    fn is_state(&self) -> bool {
        self.class.as_deref() == Some("state")
    }

    fn value(&self) -> Value {
        serde_json::from_str(self.data.get()).unwrap()
    }
}

#[derive(Debug, Deserialize)]
struct Ledger {
    epoch: String,
    cursor: u64,
    attached: u64,
    full: Totals,
    counted: Totals,
    summarised: Totals,
    closes: bool,
}

/// A `tally watch --json` on one channel, with what it printed so far.
struct Listener {
    process: Process,
    lines: Receiver<String>,
    cursor: Option<u64>,
    events: Vec<Event>,
    printed: String,
}

/// All that a listener saw, and its own account of it.
struct Seen {
    events: Vec<Event>,
    ledger: Ledger,
    printed: String,
}

impl Listener {
    fn read_up_to(&mut self, seq: u64) {
        while self.cursor.unwrap() < seq {
            let line = self.next_line();
            self.take_frame(&line);
        }
    }

    /// Interrupts the watch as a person does, and takes the ledger that it prints on its way out.
    fn end(mut self) -> Seen {
        kill(self.process.pid(), Signal::SIGINT).unwrap();
        loop {
            let line = self.next_line();
            if line_type(&line) == "ledger" {
                let ledger = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                return Seen { events: self.events, ledger, printed: self.printed };
            }
            self.take_frame(&line);
        }
    }

    fn next_line(&mut self) -> String {
        let line = self.lines.recv_timeout(STEP_MAX);
        let line = line.unwrap_or_else(|_| panic!("no frame within {STEP_MAX:?}; cursor {:?}", self.cursor));
        self.printed.push_str(&line);
        line
    }

    fn take_frame(&mut self, line: &str) {
        let frame: Frame = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match frame.name.as_str() {
            "subscribed" => self.cursor = frame.seq,
            "events" => {
                let before = self.cursor.unwrap();
                let to = before + frame.events.len() as u64;
                assert_eq!((frame.from, frame.to), (Some(before + 1), Some(to)), "law 2: {line}");
                self.cursor = Some(to);
                self.events.extend(frame.events);
            }
            "counts" | "summary" | "reset" => panic!("this listener is at full throughout: {line}"),
            _ => {}
        }
    }
}

fn line_type(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    value["type"].as_str().unwrap_or_default().to_owned()
}

/// A child in a process group of its own, which ends with this value.
struct Process(Child);

impl Process {
    fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).process_group(0);
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Looks for the file again and again: it has no reader's end to block on, and may be seen half written.
    fn wait_for_addresses(&mut self, path: &Path) -> Addresses {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            if let Some(addresses) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                return addresses;
            }
            assert_eq!(self.0.try_wait().unwrap(), None, "tally serve ended before it was bound");
            assert!(Instant::now() < deadline, "tally serve was not bound within {STEP_MAX:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

struct Finished {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end, which is when its output closes, within `JOB_MAX`.
fn finish(mut command: Command) -> Finished {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    let stdout = text_in_background(process.0.stdout.take().unwrap());
    let stderr = text_in_background(process.0.stderr.take().unwrap());
    let stdout = stdout.recv_timeout(JOB_MAX).unwrap_or_else(|_| panic!("{command:?} ran past {JOB_MAX:?}"));
    let stderr = stderr.recv_timeout(STEP_MAX).unwrap_or_else(|_| panic!("{command:?} left stderr open"));
    Finished { status: process.0.wait().unwrap(), stdout, stderr }
}

fn text_in_background(mut source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = source.read_to_end(&mut bytes);
        if read.is_ok() {
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    receiver
}

fn lines_in_background(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn tally_binary() -> &'static str {
    env!("CARGO_BIN_EXE_tally")
}

/// A command with nothing of the developer's environment: no proxies, no ansible.cfg, no settings of Tally.
fn job_command(program: impl AsRef<OsStr>, venv: &Path, gateway: &Gateway) -> Command {
    let system = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(venv.join("bin")).chain(std::env::split_paths(&system));
    let mut command = Command::new(program);
    command.env_clear();
    command.env("PATH", std::env::join_paths(paths).unwrap());
    command.env("HOME", gateway.dir.path()).env("LC_ALL", "C.UTF-8").env("JOB_SECRET", SECRET);
    command.current_dir(gateway.dir.path());
    command
}

fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(STEP_MAX)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {answer}"));
    assert!(head.starts_with("HTTP/1.1 200 "), "GET {path}: {answer}");
    body.to_owned()
}

/// The environment for this requirements.txt; the first caller makes it, all others wait for that and use it.
fn virtual_environment() -> PathBuf {
    let requirements = Path::new(PROJECT).join("requirements.txt");
    let mut key = DefaultHasher::new();
    fs::read(&requirements).unwrap().hash(&mut key);
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ansible-{:016x}", key.finish()));
    let lock = File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = venv.join("complete");
    if !complete.exists() {
        let mut create = Command::new("python3");
        create.args(["-m", "venv", "--clear"]).arg(&venv);
        install_step(
            &mut create,
            "python3 (3.11 or newer) with its venv module is needed; Debian: apt-get install python3-venv",
        );
        let mut install = Command::new(venv.join("bin/python"));
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ]);
        install_step(install.arg(&requirements), "the pinned packages come from PyPI");
        File::create(&complete).unwrap();
    }
    venv
}

fn install_step(command: &mut Command, advice: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\n{advice}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}{advice}", output.status);
}
