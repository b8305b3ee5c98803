//! What a run measured: one value that the engine fills, and that the table, the HTML report, the JSON file and
//! `compare` read.
//!
//! Times are microseconds unless the name says otherwise; sizes are bytes. Everything is absolute: ratios are made by
//! who shows them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format of the JSON file; another number is another format.
pub(crate) const FORMAT: u32 = 2;

/// One invocation: the same scenario against each subject in turn, and those that it is held against, so many rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) scenario: String,
    /// One sentence of the scenario file.
    pub(crate) about: String,
    /// The scenario file as it was read, with what the command line changed applied.
    pub(crate) scenario_toml: String,
    pub(crate) command: String,
    pub(crate) started_unix_ms: u64,
    pub(crate) machine: Machine,
    pub(crate) runs: Vec<Run>,
    pub(crate) references: Vec<Reference>,
}

/// Another scenario, run in turn in the same rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) scenario: String,
    pub(crate) about: String,
    pub(crate) scenario_toml: String,
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) memory_bytes: u64,
    pub(crate) tally_version: String,
    pub(crate) redis_version: String,
}

/// What stands between Redis and the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Gateway,
    /// The least possible work with one write per event and socket.
    FloorEach,
    /// The least possible work with everything pending in one write.
    FloorJoined,
}

/// One run of a scenario against one subject, after its warm-up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) subject: Subject,
    /// From 1.
    pub(crate) round: u32,
    /// Of the measured window.
    pub(crate) seconds: f64,
    pub(crate) published: Published,
    pub(crate) delivered: Delivered,
    /// From the publish call to the frame in the receiver's hand; of the whole window.
    pub(crate) latency: Percentiles,
    /// Of those clients that were neither slow, stalled nor flapping, where the scenario has any of those.
    pub(crate) healthy_latency: Option<Percentiles>,
    pub(crate) processes: Vec<ProcessUse>,
    /// One per second, in order.
    pub(crate) series: Vec<Sample>,
    /// `None` for a floor, which keeps no account.
    pub(crate) ledger: Option<Balance>,
    /// Figures of the scenario's own: what, value, unit.
    pub(crate) figures: Vec<Figure>,
    /// Figures held against other scenarios of the same round.
    pub(crate) compared: Vec<Compared>,
    /// What was promised, and whether it held in this run.
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Acknowledged by the broker; differs from `events` by what is unknown or refused.
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
}

/// Summed over clients.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) events_frames: u64,
    pub(crate) counts_frames: u64,
    pub(crate) summary_frames: u64,
    pub(crate) other_frames: u64,
    /// Events in full: the deliveries of all figures per delivery.
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) n: u64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProcessUse {
    /// `gateway-0`, `redis`, …; of the load test's own process `receivers`, `publishers` and `load test` are the CPU of
    /// its threads, and the memory, which they share, is with the last.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// In the measured window.
    pub(crate) user_us: u64,
    pub(crate) sys_us: u64,
    pub(crate) rss_start_bytes: u64,
    pub(crate) rss_peak_bytes: u64,
    pub(crate) rss_end_bytes: u64,
    /// Its threads by name with their CPU, where the engine can tell them.
    pub(crate) threads: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// What is measured: gateway or floor.
    Subject,
    Redis,
    Load,
}

/// One second of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Since the window began.
    pub(crate) at_s: f64,
    pub(crate) published: u64,
    pub(crate) deliveries: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) latency: Percentiles,
    /// Subscriptions by the rung last told: full, counts, summary.
    pub(crate) rungs: [u64; 3],
    pub(crate) connections: u64,
    /// By process name: percent of one core, and resident bytes.
    pub(crate) cpu_percent: BTreeMap<String, f64>,
    pub(crate) rss_bytes: BTreeMap<String, u64>,
}

/// All ledgers of a run added up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) clients: u64,
    pub(crate) ledgers: u64,
    pub(crate) frames_checked: u64,
    /// Events from attach to cursor, summed over ledgers: must be the sum of the three columns below.
    pub(crate) accounted: u64,
    pub(crate) full: u64,
    /// By why.
    pub(crate) counted: BTreeMap<String, u64>,
    pub(crate) summarised: BTreeMap<String, u64>,
    pub(crate) resets: u64,
    /// Ledgers whose end is not what the gateway says of the channel.
    pub(crate) unclosed: u64,
    /// The first few, in words.
    pub(crate) violations: Vec<String>,
    pub(crate) violations_n: u64,
    /// Rung changes told, as `to why`.
    pub(crate) rung_changes: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) value: f64,
    /// What was taken out before, of which scenario, and how much.
    pub(crate) besides: Option<(String, Figure)>,
    /// The other scenario, and its figure.
    pub(crate) reference: Option<(String, f64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) measured: String,
    pub(crate) wanted: String,
    pub(crate) holds: bool,
    /// Where it is a limit of a figure, which the median over the rounds has to keep; everything else has to hold in
    /// each round.
    pub(crate) limit: Option<Limit>,
}

/// A measured value and its bound.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub(crate) measured: f64,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(crate) fn is_kept_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Run {
    /// CPU of what is measured (user + system) per event delivered in full.
    pub(crate) fn cpu_us_per_delivery(&self) -> f64 {
        if !self.has_subject() {
            return f64::NAN;
        }
        self.subject_cpu_us() as f64 / self.delivered.events as f64
    }

    /// Whether the processes of what is measured could be looked at.
    pub(crate) fn has_subject(&self) -> bool {
        self.processes.iter().any(|process| process.role == Role::Subject)
    }

    /// CPU of what is measured, user + system, of all its processes.
    pub(crate) fn subject_cpu_us(&self) -> u64 {
        let subjects = self.processes.iter().filter(|process| process.role == Role::Subject);
        subjects.map(|process| process.user_us + process.sys_us).sum()
    }

    /// Of all clients, where all are healthy.
    pub(crate) fn healthy_latency(&self) -> Percentiles {
        self.healthy_latency.unwrap_or(self.latency)
    }

    pub(crate) fn deliveries_per_s(&self) -> f64 {
        self.delivered.events as f64 / self.seconds
    }
}
