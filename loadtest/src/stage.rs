//! What a run needs around it: a Redis server, gateways or a floor; started, waited for, and ended by id.

mod child;
mod listener;

use crate::http;
use crate::result::{Role, Subject};
use crate::scenario::{Backplane, Scenario};
use anyhow::Context;
use child::Child;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a process may take until it is ready.
const READY: Duration = Duration::from_secs(15);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// Where the processes of a run come from, and on which cores they run.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    pub(crate) tally: PathBuf,
    pub(crate) redis_server: PathBuf,
    pub(crate) pin: Option<Pin>,
    /// Running ones, in place of our own.
    pub(crate) redis_url: Option<String>,
    pub(crate) gateways: Vec<SocketAddr>,
    pub(crate) prefix: String,
}

impl Means {
    /// Where the running Redis is, in place of one of our own.
    pub(crate) fn redis(&self) -> Option<SocketAddr> {
        let (_, rest) = self.redis_url.as_ref()?.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit('@').next()?;
        host.to_socket_addrs().or_else(|_| (host, 6_379).to_socket_addrs()).ok()?.next()
    }
}

/// Lists of cores as `taskset -c` takes them.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) subject: String,
    pub(crate) others: String,
}

/// A process of the run that is measured.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) pid: u32,
}

/// Everything that stands while a run runs; it falls when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Where clients connect.
    pub(crate) doors: Vec<SocketAddr>,
    /// Where producers publish.
    pub(crate) publish_url: String,
    pub(crate) redis: Option<SocketAddr>,
    pub(crate) actors: Vec<Actor>,
    children: Vec<Child>,
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn set(scenario: &Scenario, subject: Subject, means: &Means) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("tally-loadtest-").context("cannot make a temporary folder")?;
        let mut stage = Self {
            doors: means.gateways.clone(),
            publish_url: means.redis_url.clone().unwrap_or_default(),
            redis: means.redis(),
            actors: Vec::new(),
            children: Vec::new(),
            _folder: folder,
        };
        let embedded = scenario.backplane == Backplane::Embedded;
        anyhow::ensure!(
            !embedded || subject == Subject::Gateway,
            "scenario {} has an embedded backplane, so it has no floor to be held against",
            scenario.name
        );
        let running = stage.redis.and_then(listener::pid_of);
        stage.actors.extend(running.map(|pid| Actor { name: "redis".to_owned(), role: Role::Redis, pid }));
        if !embedded && means.redis_url.is_none() {
            stage.start_redis(scenario, means)?;
        }
        for (number, door) in means.gateways.iter().enumerate() {
            let name = format!("gateway-{number}");
            let running = listener::pid_of(*door);
            stage.actors.extend(running.map(|pid| Actor { name, role: Role::Subject, pid }));
        }
        if means.gateways.is_empty() {
            for number in 0..scenario.gateways {
                match subject {
                    Subject::Gateway => stage.start_gateway(number, scenario, means)?,
                    Subject::FloorEach => stage.start_floor(number, "each", means)?,
                    Subject::FloorJoined => stage.start_floor(number, "joined", means)?,
                }
            }
        }
        if embedded && let Some(door) = stage.doors.first() {
            stage.publish_url = format!("http://{door}");
        }
        Ok(stage)
    }

    /// Whether a process of ours has ended before its time, in words.
    pub(crate) fn fallen(&mut self) -> Option<String> {
        self.children.iter_mut().find_map(Child::fallen)
    }

    /// Where no gateway is measured, Redis has the cores that it would have, so that publishers have theirs alone.
    fn start_redis(&mut self, scenario: &Scenario, means: &Means) -> anyhow::Result<()> {
        let address = free_address()?;
        let port = address.port().to_string();
        let mut command = pinned(
            &means.redis_server,
            means.pin.as_ref().map(|pin| if scenario.gateways == 0 { &*pin.subject } else { &*pin.others }),
        );
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--daemonize", "no", "--dir"]).arg(self._folder.path());
        let child = Child::spawn("redis", &command, &self._folder.path().join("redis.log"))?;
        self.admit(child, Role::Redis);
        self.redis = Some(address);
        self.publish_url = format!("redis://{address}");
        self.wait(|| http::redis_answers(address))
    }

    fn start_gateway(&mut self, number: usize, scenario: &Scenario, means: &Means) -> anyhow::Result<()> {
        anyhow::ensure!(
            means.tally.exists(),
            "there is no gateway to measure at {}; build it with `cargo build --release --package tally-cli`, or name \
             another with --tally PATH",
            means.tally.display()
        );
        let addresses = self._folder.path().join(format!("gateway-{number}.json"));
        let mut command = pinned(&means.tally, means.pin.as_ref().map(|pin| &*pin.subject));
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--addresses-file"]);
        command.arg(&addresses);
        if scenario.backplane == Backplane::Redis {
            command.args(["--redis", &self.publish_url, "--set", &format!("redis_prefix={}", means.prefix)]);
        }
        for (name, value) in &scenario.gateway {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            command.args(["--set", &format!("{name}={value}")]);
        }
        let name = format!("gateway-{number}");
        let child = Child::spawn(&name, &command, &self._folder.path().join(format!("{name}.log")))?;
        self.admit(child, Role::Subject);
        self.wait(|| addresses.exists())?;
        let text = std::fs::read_to_string(&addresses)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let listen = value["listen"].as_str().context("the gateway's file of addresses has no `listen`")?;
        self.doors.push(listen.parse()?);
        Ok(())
    }

    fn start_floor(&mut self, number: usize, write: &str, means: &Means) -> anyhow::Result<()> {
        anyhow::ensure!(
            means.redis_url.is_none(),
            "a floor needs a Redis server of our own; leave --redis out, or name `--subjects gateway`"
        );
        let redis = self.redis.context("a floor needs a Redis server")?;
        let door = free_address()?;
        let ourselves = std::env::current_exe().context("cannot tell where our own executable is")?;
        let mut command = pinned(&ourselves, means.pin.as_ref().map(|pin| &*pin.subject));
        command.args(["floor", "--listen", &door.to_string(), "--redis", &redis.to_string()]);
        command.args(["--prefix", &means.prefix, "--write", write]);
        let name = format!("floor-{number}");
        let log = self._folder.path().join(format!("{name}.log"));
        let child = Child::spawn(&name, &command, &log)?;
        self.admit(child, Role::Subject);
        self.wait(|| std::fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on ")))?;
        self.doors.push(door);
        Ok(())
    }

    fn admit(&mut self, child: Child, role: Role) {
        self.actors.push(Actor { name: child.name().to_owned(), role, pid: child.pid() });
        self.children.push(child);
    }

    fn wait(&mut self, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        while !ready() {
            if let Some(fallen) = self.fallen() {
                anyhow::bail!(fallen);
            }
            let latest = self.children.last().map(Child::name).unwrap_or_default();
            anyhow::ensure!(Instant::now() < deadline, "{latest} was not ready within {READY:?}");
            crate::signal::check()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// A command on certain cores.
fn pinned(program: &Path, cores: Option<&str>) -> Command {
    match cores {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A port that nobody has now; who starts there takes it within milliseconds.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?)
}
