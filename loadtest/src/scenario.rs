//! Scenario files: raw text, then a checked value; each error names the file, the key, the value and the rule.

mod against;
mod check;

pub(crate) use against::{Against, Of};

use crate::result::Subject;
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One scenario, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// The text of what is run, with what the command line changed applied.
    #[serde(skip)]
    pub(crate) text: String,
    /// What it is about, in one sentence.
    pub(crate) about: String,
    /// Seconds of the measured window.
    pub(crate) seconds: f64,
    #[serde(default = "default_warm_up_s")]
    pub(crate) warm_up_s: f64,
    /// Gateways; clients are spread over them in turn. 0: nobody listens, only the publish path is measured.
    #[serde(default = "one")]
    pub(crate) gateways: usize,
    /// What is measured where the command line does not say it.
    #[serde(default = "default_subjects")]
    pub(crate) subjects: Vec<Subject>,
    /// Cores of each subject when pinned.
    #[serde(default = "one")]
    pub(crate) cores: usize,
    /// When pinned, the load and Redis may use the subject's cores too.
    #[serde(default)]
    pub(crate) load_shares_cores: bool,
    #[serde(default)]
    pub(crate) backplane: Backplane,
    pub(crate) publish: Publish,
    pub(crate) listen: Listen,
    /// Settings of the gateway by their names (`tally config default`).
    #[serde(default)]
    pub(crate) gateway: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub(crate) expect: Expect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backplane {
    #[default]
    Redis,
    /// The broker inside the one gateway; producers reach it over HTTP.
    Embedded,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    pub(crate) channels: usize,
    /// As fast as possible: ahead of the slowest healthy listener by at most the window.
    #[serde(default)]
    pub(crate) fast: bool,
    /// Events per second of each channel.
    pub(crate) per_channel: Option<f64>,
    /// Events per second of all channels together.
    pub(crate) in_all: Option<f64>,
    /// Events of a channel that are on their way at most when as fast as possible.
    #[serde(default = "default_window_events")]
    pub(crate) window_events: u64,
    /// The same in bytes of data; the smaller of the two holds.
    #[serde(default = "default_window_bytes")]
    pub(crate) window_bytes: u64,
    #[serde(default = "default_data_bytes")]
    pub(crate) data_bytes: usize,
    #[serde(default = "default_kinds")]
    pub(crate) kinds: usize,
    /// The share of events that are of class state.
    #[serde(default)]
    pub(crate) state_share: f64,
    pub(crate) burst: Option<Burst>,
    /// Threads that publish.
    #[serde(default = "one")]
    pub(crate) threads: usize,
    /// Producers that publish to each channel, each with a connection of its own; spread over the threads.
    #[serde(default = "one")]
    pub(crate) producers_per_channel: usize,
    /// Settings of the producer SDK; its defaults where absent.
    pub(crate) batch_age_ms: Option<u64>,
    pub(crate) batch_events_max: Option<usize>,
    pub(crate) in_flight_max: Option<usize>,
    pub(crate) listener_aware: Option<bool>,
}

/// So many events to each channel at once, beside what the rate asks for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Burst {
    /// Since the window began.
    pub(crate) at_s: f64,
    pub(crate) events: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// Of the channels, those that somebody listens to: the first so many. All where absent.
    pub(crate) channels: Option<usize>,
    /// Listeners of each of those.
    pub(crate) per_channel: usize,
    /// Channels of one connection; the channels are dealt in groups of so many.
    #[serde(default = "one")]
    pub(crate) channels_per_connection: usize,
    #[serde(default)]
    pub(crate) rungs: Rungs,
    /// What each subscription asks for; the gateway's default where absent.
    pub(crate) max_rate: Option<u64>,
    #[serde(default = "default_tick_ms")]
    pub(crate) tick_ms: u64,
    #[serde(default)]
    pub(crate) tail: bool,
    pub(crate) slow: Option<Slow>,
    pub(crate) stalled: Option<Stalled>,
    pub(crate) flapping: Option<Flapping>,
    pub(crate) churning: Option<Churning>,
    /// Threads that receive.
    #[serde(default = "one")]
    pub(crate) threads: usize,
}

/// Shares of connections by the rung that they ask for; they add up to 1.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rungs {
    #[serde(default)]
    pub(crate) full: f64,
    #[serde(default)]
    pub(crate) counts: f64,
    #[serde(default)]
    pub(crate) summary: f64,
}

impl Default for Rungs {
    fn default() -> Self {
        Self { full: 1.0, counts: 0.0, summary: 0.0 }
    }
}

/// Connections that read at a steady pace.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slow {
    pub(crate) share: f64,
    pub(crate) bytes_per_s: u64,
}

/// Connections that read nothing for a while.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stalled {
    pub(crate) share: f64,
    /// Since the window began.
    pub(crate) from_s: f64,
    pub(crate) for_s: f64,
}

/// Connections that break off, and come back with their ledger.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flapping {
    pub(crate) share: f64,
    pub(crate) every_s: f64,
    pub(crate) away_s: f64,
}

/// Connections whose place another client takes, which attaches anew.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Churning {
    pub(crate) share: f64,
    pub(crate) every_s: f64,
}

/// What has to hold beside what always has to: nothing lost, every ledger closed, no law broken.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) cpu_us_per_delivery_max: Option<f64>,
    pub(crate) deliveries_per_s_min: Option<f64>,
    /// Of healthy clients.
    pub(crate) p50_ms_max: Option<f64>,
    pub(crate) p99_ms_max: Option<f64>,
    /// Times a rung was told during the run.
    pub(crate) rung_changes_max: Option<u64>,
    /// Events that clients were told as counts or in a summary, in place of seeing them in full.
    pub(crate) reduced_max: Option<u64>,
    /// Of the rate that was asked for, the share that was published at least.
    pub(crate) rate_held_min: Option<f64>,
    /// CPU of the gateways in percent of one core.
    pub(crate) cpu_percent_max: Option<f64>,
    /// Resident memory of the gateways at the end, less what they had before anybody connected, per connection.
    pub(crate) rss_per_connection_max: Option<f64>,
    /// The most that the kernel holds for one client at any look; only where clients stall.
    pub(crate) kernel_per_client_max: Option<f64>,
    /// Each gateway spreads its connections over so many shards, with one more or less at most.
    pub(crate) shards: Option<usize>,
    /// CPU of Redis per published event.
    pub(crate) redis_us_per_event_max: Option<f64>,
    pub(crate) published_per_s_min: Option<f64>,
    /// Against the one-write floor of the same round.
    pub(crate) cpu_of_floor_each_max: Option<f64>,
    pub(crate) p50_over_floor_each_ms_max: Option<f64>,
    pub(crate) p99_over_floor_each_ms_max: Option<f64>,
    /// Against other scenarios, each of which is run in turn with this one.
    #[serde(default)]
    pub(crate) against: Vec<Against>,
}

fn default_warm_up_s() -> f64 {
    2.0
}

fn default_subjects() -> Vec<Subject> {
    vec![Subject::Gateway]
}

fn one() -> usize {
    1
}

/// With what is in flight at the broker it stays within a channel's log of 2 MiB.
fn default_window_events() -> u64 {
    100_000
}

fn default_window_bytes() -> u64 {
    1024 * 1024
}

fn default_data_bytes() -> usize {
    2_048
}

fn default_kinds() -> usize {
    4
}

fn default_tick_ms() -> u64 {
    250
}

impl Listen {
    /// Whether some connections are not read as fast as they can be, or do not stay.
    pub(crate) fn has_unhealthy(&self) -> bool {
        self.slow.is_some() || self.stalled.is_some() || self.flapping.is_some() || self.churning.is_some()
    }
}

impl Scenario {
    /// A file of the scenarios folder by its name, or any file by its path; `changes` are `key=value` of the command
    /// line, with dots between tables.
    ///
    /// # Errors
    /// Names the file, the key, the value and the rule.
    pub(crate) fn load(name: &str, changes: &[String]) -> anyhow::Result<Self> {
        let path = find(name)?;
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the scenario file {}", path.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::read(&stem, &text, changes).with_context(|| format!("scenario file {}", path.display()))
    }

    pub(crate) fn read(name: &str, text: &str, changes: &[String]) -> anyhow::Result<Self> {
        let text = change(text, changes)?;
        let mut scenario: Self = toml::from_str(&text)?;
        name.clone_into(&mut scenario.name);
        scenario.text = text;
        scenario.check()?;
        Ok(scenario)
    }

    /// Channels that somebody listens to.
    pub(crate) fn heard_channels(&self) -> usize {
        self.listen.channels.unwrap_or(self.publish.channels)
    }

    pub(crate) fn connections(&self) -> usize {
        self.heard_channels().div_ceil(self.listen.channels_per_connection) * self.listen.per_channel
    }

    /// Events of a channel that may be on their way, when as fast as possible.
    pub(crate) fn window(&self) -> u64 {
        let bytes = self.publish.window_bytes / self.publish.data_bytes.max(1) as u64;
        self.publish.window_events.min(bytes).max(1)
    }

    /// Events per second of one channel; `None`: as fast as possible.
    pub(crate) fn rate(&self) -> Option<f64> {
        let channels = self.publish.channels as f64;
        self.publish.per_channel.or_else(|| self.publish.in_all.map(|rate| rate / channels))
    }
}

/// The scenarios that stand beside this crate's sources.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Names of the scenarios folder, sorted.
pub(crate) fn names() -> anyhow::Result<Vec<String>> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot list the scenarios of {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

fn find(name: &str) -> anyhow::Result<PathBuf> {
    if name.ends_with(".toml") || name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = folder().join(format!("{name}.toml"));
    if path.exists() {
        return Ok(path);
    }
    anyhow::bail!(
        "there is no scenario {name:?}; known are {}; or give a path to a file",
        names()?.join(", ")
    )
}

/// The text with `key=value` pairs put into its tables.
fn change(text: &str, changes: &[String]) -> anyhow::Result<String> {
    if changes.is_empty() {
        return Ok(text.to_owned());
    }
    let mut root: toml::Table = text.parse()?;
    for pair in changes {
        let (key, value) =
            pair.split_once('=').with_context(|| format!("--set {pair:?} must be KEY=VALUE"))?;
        let value = format!("v = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let mut table = &mut root;
        let (path, last) = key.trim().rsplit_once('.').unwrap_or(("", key.trim()));
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let entry = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = entry.as_table_mut().with_context(|| format!("--set {pair:?}: {part} is no table"))?;
        }
        table.insert(last.to_owned(), value);
    }
    Ok(toml::to_string(&root)?)
}

#[cfg(test)]
mod tests;
