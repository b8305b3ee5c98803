//! What was promised, held against what a run measured.

use crate::result::{Check, Run, Subject};
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
    let healthy = run.healthy_latency.unwrap_or(run.latency);
    let seconds = run.seconds;
    let asked = scenario.rate().map(|rate| rate * scenario.publish.channels as f64 * seconds);
    let held = asked.map_or(1.0, |asked| run.published.events as f64 / asked);
    let percent = run.subject_cpu_us() as f64 / seconds / 10_000.0;
    let changes = run.ledger.as_ref().map_or(0, |ledger| ledger.rung_changes.values().sum::<u64>());
    let figure =
        |name: &str| run.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value);
    let most = [
        ("CPU per delivery, µs", run.cpu_us_per_delivery(), expect.cpu_us_per_delivery_max),
        ("p50 of healthy clients, ms", healthy.p50_us / 1e3, expect.p50_ms_max),
        ("p99 of healthy clients, ms", healthy.p99_us / 1e3, expect.p99_ms_max),
        ("rung changes told", changes as f64, expect.rung_changes_max.map(|most| most as f64)),
        ("CPU of the gateways, % of a core", percent, expect.cpu_percent_max),
    ];
    for (name, value, limit) in most {
        at_most(checks, name, Some(value), limit);
    }
    at_most(
        checks,
        "memory per connection, bytes",
        figure(RSS_PER_CONNECTION),
        expect.rss_per_connection_max,
    );
    at_most(checks, "Redis CPU per event, µs", figure(REDIS_US_PER_EVENT), expect.redis_us_per_event_max);
    let least = [
        ("deliveries per second", run.deliveries_per_s(), expect.deliveries_per_s_min),
        ("share of the rate that was published", held, expect.rate_held_min),
        ("published per second", run.published.events as f64 / seconds, expect.published_per_s_min),
    ];
    for (name, value, limit) in least {
        if let Some(limit) = limit {
            checks.push(check(name, shown(value), &format!(">= {}", shown(limit)), value >= limit));
        }
    }
}

pub(crate) const RSS_PER_CONNECTION: &str = "gateway memory per connection at the end";
pub(crate) const REDIS_US_PER_EVENT: &str = "Redis CPU per event";

/// Checks of a gateway's run against the one-write floor of the same round.
pub(crate) fn floor_checks(scenario: &Scenario, run: &mut Run, floor: &Run) {
    let expect = &scenario.expect;
    let over = |quantile: fn(&crate::result::Percentiles) -> f64| {
        (quantile(&run.latency) - quantile(&floor.latency)) / 1e3
    };
    let ratio = run.cpu_us_per_delivery() / floor.cpu_us_per_delivery();
    let (p50, p99) = (over(|latency| latency.p50_us), over(|latency| latency.p99_us));
    let mut checks = Vec::new();
    at_most(&mut checks, "CPU per delivery / one-write floor", Some(ratio), expect.cpu_of_floor_each_max);
    at_most(&mut checks, "p50 above the one-write floor, ms", Some(p50), expect.p50_over_floor_each_ms_max);
    at_most(&mut checks, "p99 above the one-write floor, ms", Some(p99), expect.p99_over_floor_each_ms_max);
    run.checks.extend(checks);
}

fn at_most(checks: &mut Vec<Check>, name: &str, value: Option<f64>, limit: Option<f64>) {
    if let (Some(value), Some(limit)) = (value, limit) {
        checks.push(check(name, shown(value), &format!("<= {}", shown(limit)), value <= limit));
    }
}

fn check(name: &str, measured: String, wanted: &str, holds: bool) -> Check {
    Check { name: name.to_owned(), measured, wanted: wanted.to_owned(), holds }
}

fn shown(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
