//! A gateway's figures held against those of other scenarios that were run in the same round.

use crate::expect::limit;
use crate::result::{Bound, Compared, Figure, Role, Run};
use crate::run::CPU_BEFORE_BURST;
use crate::scenario::{Against, Of};

/// Adds to a run what `against` asks for; `other` finds the run of another scenario in the same round.
pub(crate) fn compare<'a>(run: &mut Run, against: &[Against], other: impl Fn(&str) -> Option<&'a Run>) {
    for against in against {
        let besides = against.besides.as_ref().and_then(|name| Some((name, other(name)?)));
        let its_besides = against.scenario_besides.as_ref().and_then(|name| other(name));
        let reference = against.scenario.as_ref().and_then(|name| Some((name, other(name)?, its_besides)));
        let Some(compared) = compared(against.of, run, besides, reference) else { continue };
        run.checks.extend(checks(against, &compared));
        run.compared.push(compared);
    }
}

fn compared(
    of: Of,
    run: &Run,
    besides: Option<(&String, &Run)>,
    reference: Option<(&String, &Run, Option<&Run>)>,
) -> Option<Compared> {
    let words = words(of);
    let taken = besides.and_then(|(name, other)| {
        let (cost, _) = rates(of, other)?;
        let (value, unit) = match of {
            Of::RedisBytesPerEvent => (cost, "B/s"),
            _ => (cost / 10_000.0, "% of a core"),
        };
        Some((name.clone(), Figure { name: words.cost.to_owned(), value, unit: unit.to_owned() }))
    });
    let compared = Compared {
        name: words.name.to_owned(),
        unit: words.unit.to_owned(),
        value: value(of, run, besides.map(|(_, other)| other))?,
        besides: taken,
        reference: match reference {
            Some((name, other, its_besides)) => Some((name.clone(), value(of, other, its_besides)?)),
            None => None,
        },
    };
    Some(compared)
}

fn checks(against: &Against, compared: &Compared) -> Vec<crate::result::Check> {
    let besides = compared.besides.as_ref().map_or_else(String::new, |(name, _)| format!(" besides {name}"));
    let figure = format!("{}{besides}", compared.name);
    let mut checks = Vec::new();
    let mut add = |name: String, value: f64, bound: Option<Bound>| {
        checks.extend(bound.map(|bound| limit(&name, value, bound)));
    };
    add(format!("{figure}, {}", compared.unit), compared.value, against.max.map(Bound::AtMost));
    if let Some((name, of_reference)) = &compared.reference {
        let (ratio, difference) = (compared.value / of_reference, compared.value - of_reference);
        add(format!("{figure} ÷ that of {name}"), ratio, against.ratio_max.map(Bound::AtMost));
        add(format!("{figure} ÷ that of {name}"), ratio, against.ratio_min.map(Bound::AtLeast));
        let unit = &compared.unit;
        let bound = against.difference_max.map(Bound::AtMost);
        add(format!("{figure} above that of {name}, {unit}"), difference, bound);
    }
    checks
}

/// The figure; where something is to be left out, its cost and its events each second are taken out of both.
fn value(of: Of, run: &Run, besides: Option<&Run>) -> Option<f64> {
    let (mut cost, mut per) = rates(of, run)?;
    if let Some(other) = besides {
        let (other_cost, other_per) = rates(of, other)?;
        cost -= other_cost;
        per -= other_per;
    }
    Some(cost / per).filter(|value| value.is_finite())
}

/// Each second: what is counted, and what it is divided by.
fn rates(of: Of, run: &Run) -> Option<(f64, f64)> {
    let seconds = run.seconds;
    let cpu_us = |role: Role, name: &str| {
        let those = run.processes.iter().filter(|it| it.role == role && it.name.starts_with(name));
        those.map(|it| it.user_us + it.sys_us).sum::<u64>() as f64
    };
    let figure = |name: &str| run.figures.iter().find(|it| it.name == name).map(|it| it.value);
    let events = run.published.events as f64 / seconds;
    let subject_us = run.subject_cpu_us() as f64 / seconds;
    Some(match of {
        Of::CpuPerEvent => (subject_us, events),
        // What an event is made of is the load test's work, whoever publishes it and however.
        Of::PublisherCpuPerEvent => {
            (cpu_us(Role::Load, "publishers") / seconds - figure(crate::run::MAKING)? * events, events)
        }
        Of::RedisBytesPerEvent => (figure(crate::run::REDIS_BYTES_PER_EVENT)? * events, events),
        Of::CpuPerDelivery => (run.cpu_us_per_delivery(), 1.0),
        Of::DeliveriesPerS => (run.deliveries_per_s(), 1.0),
        Of::CpuPercent => (figure(CPU_BEFORE_BURST).unwrap_or(subject_us / 10_000.0), 1.0),
        Of::P99 => (run.healthy_latency().p99_us / 1e3, 1.0),
        Of::MemoryGrowth => {
            let subjects = run.processes.iter().filter(|it| it.role == Role::Subject);
            (subjects.map(|it| it.rss_peak_bytes - it.rss_start_bytes).sum::<u64>() as f64, 1.0)
        }
    })
}

struct Words {
    name: &'static str,
    unit: &'static str,
    /// What is taken out where something is.
    cost: &'static str,
}

fn words(of: Of) -> Words {
    let words = |name, unit, cost| Words { name, unit, cost };
    match of {
        Of::CpuPerEvent => words("CPU per published event", "µs", "CPU"),
        Of::PublisherCpuPerEvent => words("publisher CPU per event, the making aside", "µs", "publisher CPU"),
        Of::RedisBytesPerEvent => words("bytes into Redis per event", "B", "bytes into Redis"),
        Of::CpuPerDelivery => words("CPU per delivery", "µs", "CPU"),
        Of::DeliveriesPerS => words("deliveries", "/s", "deliveries"),
        Of::CpuPercent => words("CPU", "% of a core", "CPU"),
        Of::P99 => words("p99 of healthy clients", "ms", "p99"),
        Of::MemoryGrowth => words("memory growth to the peak", "B", "memory"),
    }
}

#[cfg(test)]
mod tests;
