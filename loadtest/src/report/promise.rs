//! Promises over the rounds: laws hold in each of them, limits of figures hold for their median.

use super::measure::{Spread, name, runs_of, subjects};
use super::number::plain;
use crate::result::{Check, Report};

/// One promise to one subject, over the rounds.
pub(crate) struct Promise<'a> {
    /// The subject, or the scenario that is the reference.
    pub(crate) of: &'a str,
    pub(crate) name: &'a str,
    pub(crate) wanted: &'a str,
    pub(crate) measured: Vec<&'a str>,
    checks: Vec<&'a Check>,
}

impl Promise<'_> {
    pub(crate) fn holds(&self) -> bool {
        let held = self.checks.iter().all(|check| check.holds);
        self.bound_and_median().map_or(held, |(bound, median)| bound.is_kept_by(median))
    }

    pub(crate) fn verdict(&self) -> String {
        let rounds = self.checks.len();
        let held = self.checks.iter().filter(|check| check.holds).count();
        let verdict = if self.holds() { "holds" } else { "FAILS" };
        match self.bound_and_median() {
            _ if rounds == 1 => verdict.into(),
            Some((_, median)) => format!("{verdict}: median {}", plain(median)),
            None if self.holds() => format!("holds in all {rounds} rounds"),
            None => format!("FAILS in {} of {rounds} rounds", rounds - held),
        }
    }

    fn bound_and_median(&self) -> Option<(crate::result::Bound, f64)> {
        let bound = self.checks.first()?.limit?.bound;
        let values = self.checks.iter().filter_map(|check| Some(check.limit?.measured));
        Some((bound, Spread::of(values)?.median))
    }
}

/// Those of each subject, then those of each reference.
pub(crate) fn promises(report: &Report) -> Vec<Promise<'_>> {
    let mut promises = Vec::new();
    for subject in subjects(report) {
        let checks = runs_of(report, subject).flat_map(|run| &run.checks);
        promises.extend(gather(name(subject), checks));
    }
    for reference in &report.references {
        promises.extend(gather(&reference.scenario, reference.runs.iter().flat_map(|run| &run.checks)));
    }
    promises
}

fn gather<'a>(of: &'a str, checks: impl Iterator<Item = &'a Check>) -> Vec<Promise<'a>> {
    let mut promises: Vec<Promise<'a>> = Vec::new();
    for check in checks {
        let same = |is: &&mut Promise<'_>| is.name == check.name && is.wanted == check.wanted;
        if let Some(promise) = promises.iter_mut().find(same) {
            promise.measured.push(&check.measured);
            promise.checks.push(check);
        } else {
            let (name, wanted, measured) = (&check.name, &check.wanted, vec![&*check.measured]);
            promises.push(Promise { of, name, wanted, measured, checks: vec![check] });
        }
    }
    promises
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::limit;
    use crate::result::Bound;

    fn verdict(values: &[f64], bound: Bound) -> (bool, String) {
        let checks: Vec<Check> = values.iter().map(|value| limit("figure", *value, bound)).collect();
        let promises = gather("gateway", checks.iter());
        assert_eq!(promises.len(), 1);
        (promises[0].holds(), promises[0].verdict())
    }

    #[test]
    fn a_limit_is_one_of_the_median() {
        assert_eq!(verdict(&[0.9, 3.0, 0.8], Bound::AtMost(1.0)), (true, "holds: median 0.900".into()));
        assert_eq!(verdict(&[1.1, 0.2, 1.2], Bound::AtMost(1.0)), (false, "FAILS: median 1.10".into()));
        assert_eq!(verdict(&[1.1, 0.2, 1.2], Bound::AtLeast(1.0)), (true, "holds: median 1.10".into()));
        assert_eq!(verdict(&[1.1], Bound::AtMost(1.0)), (false, "FAILS".into()));
        assert!(!verdict(&[f64::NAN, f64::NAN], Bound::AtMost(1.0)).0, "what was not measured is not kept");
    }

    #[test]
    fn a_law_has_to_hold_in_every_round() {
        let law = |holds: bool| Check {
            name: "laws broken".into(),
            measured: u8::from(!holds).to_string(),
            wanted: "0".into(),
            holds,
            limit: None,
        };
        let checks = [law(true), law(false), law(true)];
        let promises = gather("gateway", checks.iter());
        assert_eq!(promises[0].verdict(), "FAILS in 1 of 3 rounds");
        assert!(!promises[0].holds());
        assert_eq!(gather("gateway", checks[..1].iter())[0].verdict(), "holds");
    }
}
