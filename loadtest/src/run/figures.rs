//! Figures that no other part of a result says: costs per published event, frames, memory per connection.

use super::{CPU_BEFORE_BURST, MAKING, REDIS_BYTES_PER_EVENT};
use crate::expect;
use crate::publisher::Account;
use crate::result::{Figure, Role, Run, Sample};
use crate::scenario::Scenario;
use crate::usage::Census;

/// What the window saw beside what a run has.
pub(super) struct Seen {
    pub(super) redis_in_bytes: Option<u64>,
    pub(super) unread_bytes_max: Option<u64>,
    /// Connections by gateway, then shard.
    pub(super) shards: Vec<Vec<u64>>,
}

/// What no other figure says: costs per published event, frames, memory per connection.
pub(super) fn figures(
    scenario: &Scenario,
    run: &Run,
    nobody_yet: &Census,
    window: &Seen,
    publishing: &Account,
) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, value: f64, unit: &str| {
        if value.is_finite() {
            figures.push(Figure { name: name.to_owned(), value, unit: unit.to_owned() });
        }
    };
    let events = run.published.events as f64;
    let cpu = |role: Role, name: &str| {
        let mine = run.processes.iter().filter(|it| it.role == role && it.name.starts_with(name));
        mine.map(|it| it.user_us + it.sys_us).sum::<u64>() as f64
    };
    add("events per frame", run.delivered.events as f64 / run.delivered.events_frames as f64, "events");
    if run.has_subject() {
        add("CPU per published event", run.subject_cpu_us() as f64 / events, "µs");
    }
    add("publisher CPU per event", cpu(Role::Load, "publishers") / events, "µs");
    if !publishing.making_ns.is_empty() {
        add(MAKING, publishing.making_ns.value_at_quantile(0.5) as f64 / 1e3, "µs");
    }
    add("receiver CPU per delivery", cpu(Role::Load, "receivers") / run.delivered.events as f64, "µs");
    if run.processes.iter().any(|it| it.role == Role::Redis) {
        add(expect::REDIS_US_PER_EVENT, cpu(Role::Redis, "redis") / events, "µs");
    }
    if let Some(bytes) = window.redis_in_bytes {
        add(REDIS_BYTES_PER_EVENT, bytes as f64 / events, "B");
    }
    if let (Some(bytes), Some(stalled)) = (window.unread_bytes_max, scenario.listen.stalled) {
        add(expect::KERNEL_PER_CLIENT, bytes as f64, "B");
        let clients = (stalled.share * scenario.connections() as f64).round();
        let subjects = run.processes.iter().filter(|it| it.role == Role::Subject);
        let grown: u64 = subjects.map(|it| it.rss_peak_bytes - it.rss_start_bytes).sum();
        add("memory growth per stalled client, peak", grown as f64 / clients, "B");
    }
    if run.delivered.events == 0 {
        let frames = run.delivered.counts_frames as f64;
        add("CPU per frame of counts", run.subject_cpu_us() as f64 / frames, "µs");
    }
    if let Some(burst) = scenario.publish.burst {
        add(CPU_BEFORE_BURST, subject_percent(run, burst.at_s), "% of a core");
    }
    let all_shards = window.shards.iter().flatten();
    if let (Some(least), Some(most)) = (all_shards.clone().min(), all_shards.clone().max()) {
        add(
            "shards with connections",
            all_shards.filter(|connections| **connections > 0).count() as f64,
            "shards",
        );
        add("connections of a shard, least", *least as f64, "connections");
        add("connections of a shard, most", *most as f64, "connections");
    }
    if publishing.stats.unheard > 0 {
        add("events told as counts because nobody listened", publishing.stats.unheard as f64, "events");
    }
    let connections = scenario.connections() as f64;
    let before: u64 = nobody_yet
        .values()
        .filter(|(role, _)| *role == Role::Subject)
        .map(|(_, usage)| usage.rss_bytes)
        .sum();
    let subjects = || run.processes.iter().filter(|it| it.role == Role::Subject);
    let per_connection = |bytes: u64| bytes.saturating_sub(before) as f64 / connections;
    if subjects().next().is_some() && connections > 0.0 {
        let start = subjects().map(|it| it.rss_start_bytes).sum();
        let end = subjects().map(|it| it.rss_end_bytes).sum();
        add("memory per connection when the window began", per_connection(start), "B");
        add(expect::RSS_PER_CONNECTION, per_connection(end), "B");
    }
    figures
}

/// CPU of what is measured over the seconds that ended before `until_s`.
fn subject_percent(run: &Run, until_s: f64) -> f64 {
    let subjects: Vec<&str> =
        run.processes.iter().filter(|it| it.role == Role::Subject).map(|it| &*it.name).collect();
    let before: Vec<_> = run.series.iter().filter(|sample| sample.at_s <= until_s).collect();
    let of_second =
        |sample: &&Sample| subjects.iter().filter_map(|name| sample.cpu_percent.get(*name)).sum::<f64>();
    before.iter().map(of_second).sum::<f64>() / before.len() as f64
}
