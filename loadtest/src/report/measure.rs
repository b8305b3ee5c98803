//! The key figures of a run, each made in one place for the table, the page and `compare`.

use super::number::{NOTHING, plain};
use crate::result::{Compared, Figure, Percentiles, Report, Role, Run, Subject};
use std::fmt::Write as _;

/// A figure that every run has.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// Nothing where the run has no such figure: no delivery, no client of that sort.
    pub(crate) of: fn(&Run) -> Option<f64>,
}

/// User and system time of what is measured, per event delivered in full: the first-class figure.
pub(crate) const CPU_PER_DELIVERY: Measure = Measure {
    name: "CPU per delivery",
    unit: "µs",
    of: |run| Some(run.cpu_us_per_delivery()).filter(|value| value.is_finite()),
};
pub(crate) const DELIVERIES: Measure = Measure {
    name: "deliveries",
    unit: "/s",
    of: |run| Some(run.deliveries_per_s()).filter(|value| value.is_finite() && *value > 0.0),
};
pub(crate) const P50: Measure =
    Measure { name: "p50", unit: "ms", of: |run| latency_ms(&run.latency, |of| of.p50_us) };
pub(crate) const P99: Measure =
    Measure { name: "p99", unit: "ms", of: |run| latency_ms(&run.latency, |of| of.p99_us) };
pub(crate) const P999: Measure =
    Measure { name: "p99.9", unit: "ms", of: |run| latency_ms(&run.latency, |of| of.p999_us) };
pub(crate) const HEALTHY_P99: Measure = Measure {
    name: "p99 of healthy clients",
    unit: "ms",
    of: |run| latency_ms(run.healthy_latency.as_ref()?, |of| of.p99_us),
};
pub(crate) const CPU: Measure = Measure {
    name: "CPU",
    unit: "% of a core",
    of: |run| {
        run.has_subject()
            .then(|| percent(run.subject_cpu_us(), run.seconds))
            .filter(|value| value.is_finite())
    },
};
pub(crate) const RSS: Measure = Measure {
    name: "memory, peak",
    unit: "MiB",
    of: |run| {
        let subjects = run.processes.iter().filter(|process| process.role == Role::Subject);
        let peak: u64 = subjects.map(|process| process.rss_peak_bytes).sum();
        (peak > 0).then_some(mib(peak))
    },
};

/// In the order in which a reader wants them.
pub(crate) const MEASURES: [&Measure; 8] =
    [&CPU_PER_DELIVERY, &DELIVERIES, &P50, &P99, &P999, &HEALTHY_P99, &CPU, &RSS];

/// A figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max, rounds: values.len() })
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

pub(crate) fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Gateway => "gateway",
        Subject::FloorEach => "floor, each",
        Subject::FloorJoined => "floor, joined",
    }
}

/// The subjects that a report has, gateway first.
pub(crate) fn subjects(report: &Report) -> Vec<Subject> {
    let mut subjects: Vec<Subject> = report.runs.iter().map(|run| run.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

pub(crate) fn runs_of(report: &Report, subject: Subject) -> impl Iterator<Item = &Run> {
    report.runs.iter().filter(move |run| run.subject == subject)
}

pub(crate) fn spread(report: &Report, subject: Subject, measure: &Measure) -> Option<Spread> {
    Spread::of(runs_of(report, subject).filter_map(measure.of))
}

/// Gateway over floor, each of the same round: what the machine did to one it did to the other.
pub(crate) fn ratio(report: &Report, floor: Subject, measure: &Measure) -> Option<Spread> {
    Spread::of(runs_of(report, Subject::Gateway).filter_map(|run| {
        let of_round = runs_of(report, floor).find(|other| other.round == run.round)?;
        Some((measure.of)(run)? / (measure.of)(of_round)?)
    }))
}

/// The run that stands for a subject in plots: the middle one by CPU per delivery.
pub(crate) fn middle(report: &Report, subject: Subject) -> Option<&Run> {
    let mut runs: Vec<&Run> = runs_of(report, subject).collect();
    runs.sort_by(|a, b| a.cpu_us_per_delivery().total_cmp(&b.cpu_us_per_delivery()));
    runs.get(runs.len().saturating_sub(1) / 2).copied()
}

/// A figure of the scenario's own, over the rounds.
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
}

impl Own<'_> {
    pub(crate) fn spread(&self, report: &Report, subject: Subject) -> Option<Spread> {
        let figures = runs_of(report, subject).flat_map(|run| &run.figures);
        let same = figures.filter(|of| of.name == self.name && of.unit == self.unit);
        Spread::of(same.map(|of| of.value))
    }
}

/// The scenario's own figures by name and unit, in the order in which runs have them.
pub(crate) fn own_figures<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<Own<'a>> {
    let mut all: Vec<Own<'a>> = Vec::new();
    for figure in reports.into_iter().flat_map(|report| &report.runs).flat_map(|run| &run.figures) {
        if !all.iter().any(|own| own.name == figure.name && own.unit == figure.unit) {
            all.push(Own { name: &figure.name, unit: &figure.unit });
        }
    }
    all
}

/// A figure held against another scenario, over the rounds.
pub(crate) struct Held<'a> {
    name: &'a str,
    pub(crate) unit: &'a str,
    against: Option<&'a str>,
    /// The scenario that was taken out, what of it, how much, and in what.
    besides: Option<(&'a str, &'a Figure, Option<Spread>)>,
    pub(crate) value: Option<Spread>,
    pub(crate) reference: Option<Spread>,
    pub(crate) ratio: Option<Spread>,
    pub(crate) difference: Option<Spread>,
}

impl Held<'_> {
    /// What is held against what, in a few lines.
    pub(crate) fn title(&self) -> String {
        let mut title = self.name.to_owned();
        if let Some((scenario, taken, value)) = &self.besides {
            let value = value.map_or(NOTHING.into(), |of| plain(of.median));
            let _ = write!(title, "\nbesides {scenario}: {value} {} of {}", taken.unit, taken.name);
        }
        if let Some(against) = self.against {
            let _ = write!(title, "\nagainst {against}");
        }
        title
    }
}

/// What the gateway's runs were held against, in the order of the scenario.
pub(crate) fn compared(report: &Report) -> Vec<Held<'_>> {
    let Some(first) = runs_of(report, Subject::Gateway).next() else { return Vec::new() };
    let same = |one: &Compared, other: &Compared| {
        let names = |of: &Compared| {
            let reference = of.reference.as_ref().map(|(name, _)| name.clone());
            (of.name.clone(), reference, of.besides.as_ref().map(|(name, _)| name.clone()))
        };
        names(one) == names(other)
    };
    let held = |of: &'_ Compared| {
        let rounds =
            || runs_of(report, Subject::Gateway).flat_map(|run| &run.compared).filter(|it| same(it, of));
        let pairs = || rounds().filter_map(|it| Some((it.value, it.reference.as_ref()?.1)));
        let taken = || rounds().filter_map(|it| Some(it.besides.as_ref()?.1.value));
        (
            Spread::of(taken()),
            Spread::of(rounds().map(|it| it.value)),
            Spread::of(pairs().map(|(_, reference)| reference)),
            Spread::of(pairs().map(|(value, reference)| value / reference)),
            Spread::of(pairs().map(|(value, reference)| value - reference)),
        )
    };
    let each = first.compared.iter().map(|of| {
        let (taken, value, reference, ratio, difference) = held(of);
        Held {
            name: &of.name,
            unit: &of.unit,
            against: of.reference.as_ref().map(|(name, _)| &**name),
            besides: of.besides.as_ref().map(|(name, figure)| (&**name, figure, taken)),
            value,
            reference,
            ratio,
            difference,
        }
    });
    each.collect()
}

/// Every run of a report, those of its references too.
pub(crate) fn all_runs(report: &Report) -> impl Iterator<Item = &Run> {
    report.runs.iter().chain(report.references.iter().flat_map(|reference| &reference.runs))
}

pub(crate) fn percent(cpu_us: u64, seconds: f64) -> f64 {
    cpu_us as f64 / (seconds * 10_000.0)
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1024 * 1024)
}

/// The same, and nothing where the memory is told with another process: it is not a number then.
pub(crate) fn memory(bytes: u64) -> f64 {
    if bytes == 0 { f64::NAN } else { mib(bytes) }
}

fn latency_ms(latency: &Percentiles, of: fn(&Percentiles) -> f64) -> Option<f64> {
    (latency.n > 0).then(|| of(latency) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        let odd = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max, odd.rounds), (2.0, 1.0, 3.0, 3));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let mut report = sample();
        // The machine was three times as slow in round 2, for both.
        for run in report.runs.iter_mut().filter(|run| run.round == 2) {
            for process in &mut run.processes {
                (process.user_us, process.sys_us) = (3 * process.user_us, 3 * process.sys_us);
            }
        }
        let each = ratio(&report, Subject::FloorEach, &CPU_PER_DELIVERY).unwrap();
        assert!(each.max / each.min < 1.2, "{each:?}");
        let gateway = spread(&report, Subject::Gateway, &CPU_PER_DELIVERY).unwrap();
        assert!(gateway.max / gateway.min > 2.0, "{gateway:?}");
    }

    #[test]
    fn a_run_without_deliveries_has_no_cpu_per_delivery() {
        let mut report = sample();
        report.runs.retain(|run| run.subject == Subject::Gateway);
        for run in &mut report.runs {
            run.delivered.events = 0;
            run.latency.n = 0;
        }
        for measure in [&CPU_PER_DELIVERY, &DELIVERIES, &P99] {
            assert_eq!(spread(&report, Subject::Gateway, measure), None, "{}", measure.name);
        }
        assert!(spread(&report, Subject::Gateway, &CPU).is_some());
    }
}
