//! The ledger as a sum that adds up, in one line or as few as the width allows.

use super::Scene;
use crate::watch::text::{Line, Tone, plural, thousands};
use std::collections::BTreeMap;
use tally_client::{Ledger, Totals, Why};

/// Lines of one ledger in the picture.
const LINES_MAX: usize = 5;

/// The four columns and what they come to.
#[derive(Debug, Default)]
struct Sum {
    attached: u64,
    full: u64,
    counted: BTreeMap<Why, u64>,
    summarised: BTreeMap<Why, u64>,
    cursor: u64,
    open: usize,
    closing: usize,
}

impl Sum {
    fn add(&mut self, ledger: &Ledger) {
        self.attached += ledger.attached_seq().get();
        self.full += ledger.full().sum();
        add_all(&mut self.counted, ledger.counted());
        add_all(&mut self.summarised, ledger.summarised());
        self.cursor += ledger.cursor().get();
        self.open += 1;
        self.closing += usize::from(ledger.closes());
    }

    fn total(&self) -> u64 {
        self.attached + self.full + self.counted.values().chain(self.summarised.values()).sum::<u64>()
    }

    fn terms(&self) -> Vec<Line> {
        let term = |sign: &str, word: &str, n: u64, whys: &str| {
            let tone = if n == 0 { Tone::Dim } else { Tone::Plain };
            let line = Line::of(Tone::Dim, format!("{sign}{word} ")).then(tone, thousands(n));
            line.then(Tone::Dim, whys)
        };
        let closes = self.closing == self.open && self.total() == self.cursor;
        let (tone, sign) = if closes { (Tone::Good, "✓") } else { (Tone::Bad, "✗") };
        vec![
            term("", "attached", self.attached, ""),
            term("+ ", "full", self.full, ""),
            term("+ ", "counted", self.counted.values().sum(), &whys(&self.counted)),
            term("+ ", "summarised", self.summarised.values().sum(), &whys(&self.summarised)),
            Line::of(Tone::Dim, "= ")
                .then(Tone::Strong, format!("{} ", thousands(self.total())))
                .then(tone, format!("{sign} cursor {}", thousands(self.cursor))),
        ]
    }
}

fn add_all(sums: &mut BTreeMap<Why, u64>, spans: &BTreeMap<Why, Totals>) {
    for (why, totals) in spans {
        *sums.entry(*why).or_default() += totals.sum();
    }
}

/// ` (throttled)`, or each with its number where there are several.
fn whys(sums: &BTreeMap<Why, u64>) -> String {
    let sums: Vec<_> = sums.iter().filter(|(_, n)| **n > 0).collect();
    match &sums[..] {
        [] => String::new(),
        [(why, _)] => format!(" ({why})"),
        several => {
            let words: Vec<_> = several.iter().map(|(why, n)| format!("{} {why}", thousands(**n))).collect();
            format!(" ({})", words.join(", "))
        }
    }
}

/// At the foot of the picture: the one ledger, or the sum of all.
pub(super) fn summary(scene: &Scene<'_>) -> Vec<Line> {
    let mut sum = Sum::default();
    for channel in &scene.model.channels {
        if let Some(ledger) = (scene.ledger)(&channel.name) {
            sum.add(ledger);
        }
    }
    let word = if scene.model.channels.len() == 1 { "ledger" } else { "ledgers" };
    if sum.open == 0 {
        return vec![label(word).then(Tone::Dim, "opens with the attach")];
    }
    let mut terms = sum.terms();
    let missing = scene.model.channels.len() - sum.open;
    if missing > 0 {
        terms.push(Line::of(Tone::Caution, format!("({} not attached)", plural(missing as u64, "channel"))));
    }
    let mut lines = flow(label(word), terms, scene.width);
    lines.truncate(LINES_MAX);
    lines
}

/// A ledger with the name of its channel, for the normal screen.
pub(in crate::watch) fn ledger_lines(name: &str, ledger: &Ledger, width: usize) -> Vec<Line> {
    let mut sum = Sum::default();
    sum.add(ledger);
    let mut lines = vec![Line::of(Tone::Strong, name)];
    lines.extend(flow(Line::of(Tone::Dim, "  ledger  "), sum.terms(), width));
    lines
}

fn label(word: &str) -> Line {
    Line::of(Tone::Strong, word).then(Tone::Plain, "  ")
}

/// Puts terms one after the other; one that does not fit begins the next line.
fn flow(label: Line, terms: Vec<Line>, width: usize) -> Vec<Line> {
    let indent = label.width();
    let mut lines = vec![label];
    let mut first = true;
    for term in terms {
        let Some(line) = lines.last_mut() else { break };
        if !first && line.width() + 1 + term.width() > width {
            lines.push(Line::new().pad_to(indent));
            first = true;
        }
        if let Some(line) = lines.last_mut() {
            line.push(Tone::Plain, if first { "" } else { " " });
            line.append(term);
        }
        first = false;
    }
    lines
}
