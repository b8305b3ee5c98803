//! The ledgers of a run as a statement: what came in, where it went, and that nothing is left over.

use crate::result::Balance;

/// One line of the statement; a column has one value for each run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) sort: Sort,
    pub(super) values: Vec<i128>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A part of the sum.
    Part,
    /// What the parts must add up to.
    Sum,
    /// Wanted: 0.
    Zero,
    /// Beside the account.
    Note,
}

pub(super) fn lines(balances: &[&Balance]) -> Vec<Line> {
    let line = |label: String, sort: Sort, of: &dyn Fn(&Balance) -> i128| Line {
        label,
        sort,
        values: balances.iter().map(|balance| of(balance)).collect(),
    };
    let mut lines = vec![line("seen in full".into(), Sort::Part, &|of| i128::from(of.full))];
    for why in whys(balances, |of| &of.counted) {
        let label = format!("counted, {why}");
        lines.push(line(label, Sort::Part, &|of| i128::from(of.counted.get(&why).copied().unwrap_or(0))));
    }
    for why in whys(balances, |of| &of.summarised) {
        let label = format!("summarised, {why}");
        lines.push(line(label, Sort::Part, &|of| i128::from(of.summarised.get(&why).copied().unwrap_or(0))));
    }
    lines.push(line("sum of the above".into(), Sort::Sum, &parts));
    lines.push(line("events from attach to cursor".into(), Sort::Sum, &|of| i128::from(of.accounted)));
    lines.push(line("unaccounted".into(), Sort::Zero, &|of| i128::from(of.accounted) - parts(of)));
    lines.push(line("ledgers that do not end at the broker's head".into(), Sort::Zero, &|of| {
        of.unclosed.into()
    }));
    lines.push(line("violations of laws 1 and 2".into(), Sort::Zero, &|of| of.violations_n.into()));
    lines.push(line("resets".into(), Sort::Note, &|of| of.resets.into()));
    lines.push(line("ledgers".into(), Sort::Note, &|of| of.ledgers.into()));
    lines.push(line("clients".into(), Sort::Note, &|of| of.clients.into()));
    lines.push(line("frames checked".into(), Sort::Note, &|of| of.frames_checked.into()));
    lines
}

/// Whether every line that is wanted to be 0 is.
pub(super) fn closes(balance: &Balance) -> bool {
    lines(&[balance]).iter().filter(|line| line.sort == Sort::Zero).all(|line| line.values == [0])
}

fn parts(of: &Balance) -> i128 {
    let reduced: u64 = of.counted.values().chain(of.summarised.values()).sum();
    i128::from(of.full) + i128::from(reduced)
}

fn whys(balances: &[&Balance], of: fn(&Balance) -> &std::collections::BTreeMap<String, u64>) -> Vec<String> {
    let mut whys: Vec<String> = balances.iter().flat_map(|balance| of(balance).keys().cloned()).collect();
    whys.sort_unstable();
    whys.dedup();
    whys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_too_few_does_not_close() {
        let mut balance = Balance { accounted: 10, full: 6, ..Balance::default() };
        balance.counted.insert("throttled".into(), 3);
        balance.summarised.insert("backpressure".into(), 1);
        assert!(closes(&balance));
        for spoil in [
            (|of| of.accounted = 11) as fn(&mut Balance),
            |of| of.full = 7,
            |of| of.unclosed = 1,
            |of| of.violations_n = 1,
        ] {
            let mut spoilt = balance.clone();
            spoil(&mut spoilt);
            assert!(!closes(&spoilt), "{spoilt:?}");
        }
    }
}
