//! What was promised, held against what a run measured.

use crate::result::{Bound, Check, Figure, Limit, Run, Subject};
use crate::scenario::Scenario;
use tally_producer::Stats;

/// Checks of one run by itself.
pub(crate) fn checks(
    scenario: &Scenario,
    run: &Run,
    stats: &Stats,
    lost: &[String],
    lost_n: u64,
) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(check(
        "every accepted event published in full",
        format!(
            "{} refused, {} unknown, {} counted for want of room",
            stats.refused,
            stats.unknown,
            stats.counted - stats.unheard
        ),
        "0, 0, 0",
        stats.refused == 0 && stats.unknown == 0 && stats.counted == stats.unheard,
    ));
    let because = lost.first().map_or_else(String::new, |first| format!("; the first: {first}"));
    checks.push(check("connections lost", format!("{lost_n}{because}"), "0", lost_n == 0));
    if let Some(ledger) = &run.ledger {
        let first =
            ledger.violations.first().map_or_else(String::new, |first| format!("; the first: {first}"));
        checks.push(check(
            "laws broken",
            format!("{}{first}", ledger.violations_n),
            "0",
            ledger.violations_n == 0,
        ));
        checks.push(check(
            "ledgers not closed",
            format!("{}{first}", ledger.unclosed),
            "0",
            ledger.unclosed == 0,
        ));
        let columns =
            ledger.full + ledger.counted.values().sum::<u64>() + ledger.summarised.values().sum::<u64>();
        let whole = columns == ledger.accounted;
        checks.push(check(
            "events unaccounted",
            format!("{} of {}", ledger.accounted.abs_diff(columns), ledger.accounted),
            "0",
            whole,
        ));
        checks.push(check("resets", ledger.resets.to_string(), "0", ledger.resets == 0));
    }
    if run.subject == Subject::Gateway {
        expected(scenario, run, &mut checks);
    }
    checks
}

/// What the scenario's own table asks for.
fn expected(scenario: &Scenario, run: &Run, checks: &mut Vec<Check>) {
    let expect = &scenario.expect;
    let healthy = run.healthy_latency();
    let seconds = run.seconds;
    let asked = scenario.rate().map(|rate| rate * scenario.publish.channels as f64 * seconds);
    let held = asked.map_or(1.0, |asked| run.published.events as f64 / asked);
    let percent = run.subject_cpu_us() as f64 / seconds / 10_000.0;
    let figure = |name: &str| figure(&run.figures, name);
    // A gateway elsewhere has no CPU that could be limited.
    let of_subject = |value: f64| run.has_subject().then_some(value);
    let most = [
        ("CPU per delivery, µs", of_subject(run.cpu_us_per_delivery()), expect.cpu_us_per_delivery_max),
        ("p50 of healthy clients, ms", Some(healthy.p50_us / 1e3), expect.p50_ms_max),
        ("p99 of healthy clients, ms", Some(healthy.p99_us / 1e3), expect.p99_ms_max),
        ("CPU of the gateways, % of a core", of_subject(percent), expect.cpu_percent_max),
        ("memory per connection, B", figure(RSS_PER_CONNECTION), expect.rss_per_connection_max),
        ("held by the kernel for one client, B", figure(KERNEL_PER_CLIENT), expect.kernel_per_client_max),
        ("Redis CPU per event, µs", figure(REDIS_US_PER_EVENT), expect.redis_us_per_event_max),
    ];
    let least = [
        ("deliveries per second", run.deliveries_per_s(), expect.deliveries_per_s_min),
        ("share of the rate that was published", held, expect.rate_held_min),
        ("published per second", run.published.events as f64 / seconds, expect.published_per_s_min),
    ];
    let most =
        most.into_iter().filter_map(|(name, value, limit)| Some((name, value?, Bound::AtMost(limit?))));
    let least =
        least.into_iter().filter_map(|(name, value, limit)| Some((name, value, Bound::AtLeast(limit?))));
    checks.extend(most.chain(least).map(|(name, value, bound)| limit(name, value, bound)));
    if let (Some(most), Some(ledger)) = (expect.reduced_max, &run.ledger) {
        let reduced = ledger.accounted.saturating_sub(ledger.full);
        let whys: Vec<&str> =
            ledger.counted.keys().chain(ledger.summarised.keys()).map(String::as_str).collect();
        let words = format!("{reduced} of {}, {}", ledger.accounted, whys.join(", "));
        let told = if reduced == 0 { "0".to_owned() } else { words };
        checks.push(check("events not seen in full", told, &format!("<= {most}"), reduced <= most));
    }
    if let Some(most) = expect.rung_changes_max {
        let changes = run.ledger.as_ref().map_or(0, |ledger| ledger.rung_changes.values().sum::<u64>());
        checks.push(check("rung changes told", changes.to_string(), &format!("<= {most}"), changes <= most));
    }
}

/// Whether each gateway's connections are spread evenly over the shards that the scenario expects; `spread` is by
/// gateway, then shard.
pub(crate) fn shard_check(scenario: &Scenario, spread: &[Vec<u64>]) -> Option<Check> {
    let shards = scenario.expect.shards?;
    let even = |counts: &Vec<u64>| {
        let (least, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        counts.len() == shards && most - least <= 1
    };
    let told = spread.iter().map(|counts| counts.iter().map(u64::to_string).collect::<Vec<_>>().join(" + "));
    Some(check(
        "connections by shard",
        told.collect::<Vec<_>>().join("; "),
        &format!("{shards} shards, apart by at most 1"),
        !spread.is_empty() && spread.iter().all(even),
    ))
}

fn figure(figures: &[Figure], name: &str) -> Option<f64> {
    figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
}

pub(crate) const RSS_PER_CONNECTION: &str = "memory per connection at the end";
pub(crate) const REDIS_US_PER_EVENT: &str = "Redis CPU per event";
pub(crate) const KERNEL_PER_CLIENT: &str = "held by the kernel for one client, peak";

/// Checks of a gateway's run against the one-write floor of the same round.
pub(crate) fn floor_checks(scenario: &Scenario, run: &mut Run, floor: &Run) {
    let expect = &scenario.expect;
    let over = |quantile: fn(&crate::result::Percentiles) -> f64| {
        (quantile(&run.latency) - quantile(&floor.latency)) / 1e3
    };
    let ratio = run.cpu_us_per_delivery() / floor.cpu_us_per_delivery();
    let (p50, p99) = (over(|latency| latency.p50_us), over(|latency| latency.p99_us));
    let limits = [
        ("CPU per delivery ÷ that of the one-write floor", ratio, expect.cpu_of_floor_each_max),
        ("p50 above the one-write floor's, ms", p50, expect.p50_over_floor_each_ms_max),
        ("p99 above the one-write floor's, ms", p99, expect.p99_over_floor_each_ms_max),
    ];
    let asked =
        limits.into_iter().filter_map(|(name, value, most)| Some((name, value, Bound::AtMost(most?))));
    run.checks.extend(asked.map(|(name, value, bound)| limit(name, value, bound)));
}

pub(crate) fn limit(name: &str, measured: f64, bound: Bound) -> Check {
    let wanted = match bound {
        Bound::AtMost(most) => format!("<= {}", shown(most)),
        Bound::AtLeast(least) => format!(">= {}", shown(least)),
    };
    Check {
        limit: Some(Limit { measured, bound }),
        ..check(name, shown(measured), &wanted, bound.is_kept_by(measured))
    }
}

fn check(name: &str, measured: String, wanted: &str, holds: bool) -> Check {
    Check { name: name.to_owned(), measured, wanted: wanted.to_owned(), holds, limit: None }
}

pub(crate) fn shown(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
