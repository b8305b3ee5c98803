//! Figures that no other part of a result says: costs per published event, frames, memory per connection.

use crate::expect;
use crate::result::{Figure, Role, Run};
use crate::scenario::Scenario;
use crate::usage::Census;

/// What no other figure says: costs per published event, frames, memory per connection.
pub(super) fn figures(
    scenario: &Scenario,
    run: &Run,
    nobody_yet: &Census,
    (redis_in_bytes, unread_bytes_max): (Option<u64>, Option<u64>),
    stats: &tally_producer::Stats,
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
    add("gateway CPU per published event", run.subject_cpu_us() as f64 / events, "µs");
    add("publisher CPU per event", cpu(Role::Load, "publishers") / events, "µs");
    add("receiver CPU per delivery", cpu(Role::Load, "receivers") / run.delivered.events as f64, "µs");
    add(expect::REDIS_US_PER_EVENT, cpu(Role::Redis, "redis") / events, "µs");
    if let Some(bytes) = redis_in_bytes {
        add("bytes into Redis per event", bytes as f64 / events, "B");
    }
    if let (Some(bytes), Some(stalled)) = (unread_bytes_max, scenario.listen.stalled) {
        add("held by the kernel for one client, peak", bytes as f64, "B");
        let clients = (stalled.share * scenario.connections() as f64).round();
        let subjects = run.processes.iter().filter(|it| it.role == Role::Subject);
        let grown: u64 = subjects.map(|it| it.rss_peak_bytes - it.rss_start_bytes).sum();
        add("gateway memory growth per stalled client, peak", grown as f64 / clients, "B");
    }
    if stats.unheard > 0 {
        add("events told as counts because nobody listened", stats.unheard as f64, "events");
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
        add("gateway memory per connection when the window began", per_connection(start), "B");
        add(expect::RSS_PER_CONNECTION, per_connection(end), "B");
    }
    figures
}
