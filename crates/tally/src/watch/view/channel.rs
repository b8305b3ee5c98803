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
/// Columns of a kind's name, of counts, of a share in percent, of a rate, and the blanks between them.
const KIND_MAX: usize = 24;
const COUNT_WIDTH: usize = 13;
const PERCENT_WIDTH: usize = 7;
const RATE_WIDTH: usize = 10;

pub(super) fn draw(scene: &Scene<'_>, channel: &Channel, rows: usize) -> Vec<Line> {
    let ledger = (scene.ledger)(&channel.name);
    let mut lines = vec![rung_line(scene, channel), rate_line(scene, channel, ledger)];
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

fn rung_line(scene: &Scene<'_>, channel: &Channel) -> Line {
    let (rung, why) = scene.model.rung(channel);
    match &channel.phase {
        Phase::Attached => {
            rung_sign(rung).then(Tone::Dim, format!("  {}", rung_words(rung, why, channel.max_rate)))
        }
        Phase::Asked => Line::of(Tone::Caution, "◌ not attached"),
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
    let columns = Columns::new(longest, scene.width);
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

/// Columns of the table of kinds; the bar takes what is left, and goes first where that is little.
struct Columns {
    kind: usize,
    bar: usize,
}

impl Columns {
    fn new(longest: usize, width: usize) -> Self {
        let kind = longest.clamp(4, KIND_MAX.min((width / 3).max(4)));
        let bar = width.saturating_sub(kind + COUNT_WIDTH + PERCENT_WIDTH + RATE_WIDTH + 2);
        Self { kind, bar: if bar < 6 { 0 } else { bar.min(60) } }
    }

    fn title(&self) -> Line {
        let text = format!(
            "{:kind$}{:>COUNT_WIDTH$}  {:bar$}{:>PERCENT_WIDTH$}{:>RATE_WIDTH$}",
            "kind",
            "count",
            if self.bar == 0 { "" } else { "share" },
            "",
            "rate",
            kind = self.kind,
            bar = self.bar,
        );
        Line::of(Tone::Dim, text)
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one decimal")]
    fn kind(&self, kind: &str, n: u64, all: u64, rate: f64) -> Line {
        let share = n as f64 / all.max(1) as f64;
        let rate_tone = if rate > 0.0 { Tone::Plain } else { Tone::Dim };
        Line::of(Tone::Strong, fit(kind, self.kind))
            .pad_to(self.kind)
            .then(Tone::Plain, format!("{:>COUNT_WIDTH$}  ", thousands(n)))
            .then(Tone::Accent, bar(share, self.bar))
            .pad_to(self.kind + COUNT_WIDTH + 2 + self.bar)
            .then(Tone::Dim, format!("{:>PERCENT_WIDTH$}", percent(share)))
            .then(rate_tone, format!("{:>RATE_WIDTH$}", per_second(rate)))
    }

    fn rest(&self, kinds: usize, n: u64) -> Line {
        let words = fit(&format!("and {kinds} more"), self.kind + 4);
        let count = (self.kind + COUNT_WIDTH).saturating_sub(words.chars().count());
        Line::of(Tone::Dim, words).then(Tone::Dim, format!("{:>count$}", thousands(n)))
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

/// In eighths of a column; whatever there is shows.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1 times a terminal's width"
    )]
    let eighths = ((share * width as f64 * 8.0).round() as usize).clamp(1, (width * 8).max(1));
    if width == 0 {
        return String::new();
    }
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
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
