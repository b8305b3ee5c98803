//! One channel in full: rung and rate, its kinds with shares and rates, its newest state.

use super::Scene;
use super::words::{rung_sign, rung_words};
use crate::watch::model::{BUCKETS_MAX, Channel, Phase};
use crate::watch::text::{Line, Tone, data_line, fit, per_second, span, thousands};
use std::time::Duration;
use tally_client::{Kind, Ledger};

/// Columns of the rate's picture; one second each.
const PICTURE_MAX: usize = 30;
/// Characters of an epoch: enough to see that it changed.
const EPOCH_SHOWN: usize = 9;
/// Columns of a kind's name, of a share in percent and of a rate, with the blanks before them.
const KIND_MAX: usize = 24;
const PERCENT_WIDTH: usize = 8;
const RATE_WIDTH: usize = 10;
/// Columns of a bar: fewer say nothing, more say no more.
const BAR_MIN: usize = 5;
const BAR_MAX: usize = 60;

pub(super) fn draw(scene: &Scene<'_>, channel: &Channel, rows: usize) -> Vec<Line> {
    let ledger = (scene.ledger)(&channel.name);
    let mut lines = vec![rung_line(scene, channel, ledger), rate_line(scene, channel, ledger)];
    let Some(ledger) = ledger else { return lines };
    let state = state_line(scene, ledger);
    // Kinds and newest things share what is left, kinds with the smaller half.
    let left = rows.saturating_sub(lines.len() + 2 + state.len());
    if left >= 3 {
        lines.push(Line::new());
        lines.extend(kind_lines(scene, channel, ledger, (left / 2).max(3)));
    }
    lines.extend(state);
    lines
}

fn rung_line(scene: &Scene<'_>, channel: &Channel, ledger: Option<&Ledger>) -> Line {
    let (rung, why) = scene.model.rung(channel);
    match &channel.phase {
        Phase::Attached => {
            rung_sign(rung).then(Tone::Dim, format!("  {}", rung_words(rung, why, channel.max_rate)))
        }
        Phase::Asked => {
            let words = match ledger {
                Some(ledger) => format!("  goes on from seq {}", thousands(ledger.cursor().get())),
                None => String::new(),
            };
            Line::of(Tone::Caution, "◌ not attached").then(Tone::Dim, words)
        }
        Phase::Pending => {
            Line::of(Tone::Caution, "◌ pending").then(Tone::Dim, "  the gateway has no broker yet")
        }
        Phase::Ended(code) => Line::of(Tone::Bad, "✖ ended").then(Tone::Dim, format!("  {code}")),
    }
}

fn rate_line(scene: &Scene<'_>, channel: &Channel, ledger: Option<&Ledger>) -> Line {
    let (rung, _) = scene.model.rung(channel);
    let seq = ledger.map_or(0, |ledger| ledger.cursor().get());
    let epoch = ledger.and_then(Ledger::epoch).map_or("–", |epoch| epoch.as_str());
    let epoch = fit(epoch, EPOCH_SHOWN);
    let right = Line::of(Tone::Dim, "seq ")
        .then(Tone::Strong, thousands(seq))
        .then(Tone::Dim, "  epoch ")
        .then(Tone::Plain, epoch);
    let left =
        Line::of(Tone::Strong, per_second(channel.rate.sum(rung, scene.now.instant))).pad_to(RATE_WIDTH);
    let room = scene.width.saturating_sub(left.width() + right.width() + 3).min(PICTURE_MAX);
    left.then(Tone::Accent, picture(channel, room)).with_right(right, scene.width)
}

/// The rate of the last seconds as little columns, the tallest being the fastest of them.
fn picture(channel: &Channel, width: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let history: Vec<u64> = channel.rate.history().collect();
    let shown = &history[history.len().saturating_sub(width.min(BUCKETS_MAX))..];
    let highest = shown.iter().copied().max().unwrap_or(0).max(1);
    let step = |n: u64| STEPS[usize::try_from(u128::from(n) * 7 / u128::from(highest)).unwrap_or(7)];
    shown.iter().map(|n| if *n == 0 { ' ' } else { step(*n) }).collect()
}

fn kind_lines(scene: &Scene<'_>, channel: &Channel, ledger: &Ledger, rows: usize) -> Vec<Line> {
    let mut kinds: Vec<(&Kind, u64)> = ledger.totals().iter().collect();
    kinds.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.as_str().cmp(b.as_str())));
    let shown = if kinds.len() < rows { kinds.len() } else { rows.saturating_sub(2) };
    let longest = kinds.iter().map(|(kind, _)| kind.as_str().len()).max().unwrap_or(0);
    let highest = kinds.first().map_or(0, |(_, n)| *n);
    let columns = Columns::new(longest, highest, scene.width);
    let mut lines = vec![columns.title()];
    if kinds.is_empty() {
        lines.push(Line::of(Tone::Dim, "no events yet"));
    }
    let (rung, _) = scene.model.rung(channel);
    let all = ledger.cursor().get();
    for (kind, n) in kinds.iter().take(shown) {
        let rate = channel.rate.of(kind.as_str(), rung, scene.now.instant);
        lines.push(columns.kind(kind.as_str(), *n, all, rate));
    }
    if kinds.len() > shown {
        let (rest, sum) = (kinds.len() - shown, kinds[shown..].iter().map(|(_, n)| n).sum());
        lines.push(columns.rest(rest, sum));
    }
    lines
}

/// Widths of the table of kinds, 0 for what has no room; the bar takes what is left.
struct Columns {
    kind: usize,
    count: usize,
    percent: usize,
    rate: usize,
    bar: usize,
}

impl Columns {
    fn new(longest: usize, highest: u64, width: usize) -> Self {
        let kind = longest.clamp(4, KIND_MAX.min((width / 3).max(4)));
        let count = thousands(highest).len().max("count".len()) + 2;
        let mut left = width.saturating_sub(kind + count);
        let mut take = |columns: usize| {
            let taken = if left >= columns { columns } else { 0 };
            left -= taken;
            taken
        };
        let (rate, percent) = (take(RATE_WIDTH), take(PERCENT_WIDTH));
        let bar = left.saturating_sub(2).min(BAR_MAX);
        Self { kind, count, percent, rate, bar: if bar < BAR_MIN { 0 } else { bar } }
    }

    fn title(&self) -> Line {
        let rate = if self.rate > 0 { "rate" } else { "" };
        let share = if self.bar > 0 { "share" } else { "" };
        let mut line = Line::of(Tone::Dim, "kind").pad_to(self.kind);
        line.push(Tone::Dim, format!("{:>width$}", "count", width = self.count));
        line.push(Tone::Dim, format!("  {share}"));
        line.pad_to(self.before_rate()).then(Tone::Dim, format!("{rate:>width$}", width = self.rate))
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one decimal")]
    fn kind(&self, kind: &str, n: u64, all: u64, rate: f64) -> Line {
        let share = n as f64 / all.max(1) as f64;
        let rate_tone = if rate > 0.0 { Tone::Plain } else { Tone::Dim };
        let mut line = Line::of(Tone::Strong, fit(kind, self.kind)).pad_to(self.kind);
        line.push(Tone::Plain, format!("{:>width$}", thousands(n), width = self.count));
        if self.bar > 0 {
            line = line.then(Tone::Plain, "  ").then(Tone::Accent, bar(share, self.bar));
        }
        line = line.pad_to(self.before_rate() - self.percent);
        if self.percent > 0 {
            line.push(Tone::Dim, format!("{:>PERCENT_WIDTH$}", percent(share)));
        }
        if self.rate > 0 {
            line.push(rate_tone, format!("{:>RATE_WIDTH$}", per_second(rate)));
        }
        line
    }

    fn rest(&self, kinds: usize, n: u64) -> Line {
        let words = fit(&format!("and {kinds} more"), self.kind + 3);
        let count = (self.kind + self.count).saturating_sub(words.chars().count());
        Line::of(Tone::Dim, words).then(Tone::Dim, format!("{:>count$}", thousands(n)))
    }

    fn before_rate(&self) -> usize {
        let bar = if self.bar > 0 { self.bar + 2 } else { 0 };
        self.kind + self.count + bar + self.percent
    }
}

/// Not `100.0 %` before it is all, not `0.0 %` where there is something.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.05 {
        return "<0.1 %".into();
    }
    let shown = if share < 1.0 { percent.min(99.9) } else { percent };
    format!("{shown:.1} %")
}

/// In halves of a column; whatever there is shows.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1 times a terminal's width"
)]
fn bar(share: f64, width: usize) -> String {
    let halves = ((share * width as f64 * 2.0).round() as usize).clamp(1, (width * 2).max(1));
    format!("{}{}", "━".repeat(halves / 2), if halves % 2 == 1 { "╸" } else { "" })
}

fn state_line(scene: &Scene<'_>, ledger: &Ledger) -> Vec<Line> {
    let Some(state) = ledger.state() else { return Vec::new() };
    let age = span(Duration::from_millis(scene.now.unix.get().saturating_sub(state.at.get())));
    let kind = state.sent_as.as_ref().unwrap_or(&state.kind);
    let line = Line::of(Tone::Dim, "state ")
        .then(Tone::Accent, format!("◆ {kind}"))
        .then(Tone::Dim, format!("  {age} ago  "))
        .then(Tone::Plain, data_line(state.data.as_str()));
    vec![Line::new(), line]
}
