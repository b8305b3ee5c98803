//! Several channels: one row each, with what is most telling at this width.

use super::Scene;
use super::words::{rung_sign, why_word};
use crate::watch::model::{Channel, Phase};
use crate::watch::text::{Line, Tone, fit, per_second, plural, thousands};
use std::cmp::Reverse;
use tally_client::{Ledger, Totals};

/// Columns of a channel's name, at most and at least.
const NAME_MAX: usize = 28;
const NAME_MIN: usize = 8;
/// Columns of the ladder with its name, of a reason, of a seq and of a rate, with the blanks before them.
const RUNG_WIDTH: usize = 14;
const WHY_WIDTH: usize = 13;
const SEQ_WIDTH: usize = 11;
const RATE_WIDTH: usize = 10;
/// Columns of the newest state's kind, where there is room.
const STATE_WIDTH: usize = 17;
/// Columns of kinds that are worth showing.
const KINDS_MIN: usize = 14;

pub(super) fn draw(scene: &Scene<'_>, channels: &[Channel], rows: usize) -> Vec<Line> {
    let columns = Columns::new(channels, scene.width);
    let mut lines = vec![columns.title()];
    // The newest things need some rows too.
    let room = rows.saturating_sub(2).min((rows * 2 / 3).max(3));
    let shown = if channels.len() <= room { channels.len() } else { room.saturating_sub(1) };
    lines.extend(channels.iter().take(shown).map(|channel| columns.channel(scene, channel)));
    if channels.len() > shown {
        let rest = &channels[shown..];
        let rate: f64 = rest.iter().map(|one| one.rate.sum(scene.model.rung(one).0, scene.now.instant)).sum();
        let together = if rate > 0.0 { format!(", together {}", per_second(rate)) } else { String::new() };
        let words = format!("and {}{together}", plural(rest.len() as u64, "more channel"));
        lines.push(Line::of(Tone::Dim, words));
    }
    lines
}

/// Which columns there are; each takes its width with the blanks before it.
struct Columns {
    name: usize,
    why: usize,
    kinds: usize,
    state: usize,
}

impl Columns {
    fn new(channels: &[Channel], width: usize) -> Self {
        let longest = channels.iter().map(|channel| channel.name.as_str().len()).max().unwrap_or(0);
        let name = longest.clamp(NAME_MIN, NAME_MAX.min((width / 4).max(NAME_MIN)));
        let mut left = width.saturating_sub(name + RUNG_WIDTH + SEQ_WIDTH + RATE_WIDTH);
        let mut take = |columns: usize, keep: usize| {
            let fits = left >= columns + keep;
            left -= if fits { columns } else { 0 };
            if fits { columns } else { 0 }
        };
        let why = take(WHY_WIDTH, 0);
        let state = take(STATE_WIDTH, KINDS_MIN);
        Self { name, why, kinds: if left < KINDS_MIN { 0 } else { left }, state }
    }

    fn title(&self) -> Line {
        let mut line = Line::of(Tone::Dim, "channel").pad_to(self.name);
        line.push(Tone::Dim, format!("{:RUNG_WIDTH$}", "  rung"));
        line.push(Tone::Dim, format!("{:why$}", if self.why > 0 { "why" } else { "" }, why = self.why));
        line.push(Tone::Dim, format!("{:>SEQ_WIDTH$}{:>RATE_WIDTH$}", "seq", "rate"));
        line.push(
            Tone::Dim,
            format!("{:kinds$}", if self.kinds > 0 { "  kinds" } else { "" }, kinds = self.kinds),
        );
        line.push(Tone::Dim, if self.state > 0 { "  state" } else { "" });
        line
    }

    fn channel(&self, scene: &Scene<'_>, channel: &Channel) -> Line {
        let ledger = (scene.ledger)(&channel.name);
        let (rung, why) = scene.model.rung(channel);
        let mut line = Line::of(Tone::Strong, fit(channel.name.as_str(), self.name)).pad_to(self.name + 2);
        match &channel.phase {
            Phase::Attached => line.append(rung_sign(rung)),
            Phase::Asked => line.push(Tone::Caution, "◌ waiting"),
            Phase::Pending => line.push(Tone::Caution, "◌ pending"),
            Phase::Ended(_) => line.push(Tone::Bad, "✖ ended"),
        }
        line = line.pad_to(self.name + RUNG_WIDTH);
        if self.why > 0 {
            let word = if channel.phase == Phase::Attached { why_word(rung, why) } else { "" };
            line.push(Tone::Dim, format!("{:why$}", word, why = self.why));
        }
        let seq = ledger.map_or_else(|| "–".into(), |ledger| thousands(ledger.cursor().get()));
        let rate = channel.rate.sum(rung, scene.now.instant);
        line.push(Tone::Plain, format!("{seq:>SEQ_WIDTH$}"));
        line.push(
            if rate > 0.0 { Tone::Strong } else { Tone::Dim },
            format!("{:>RATE_WIDTH$}", per_second(rate)),
        );
        let end = line.width() + self.kinds;
        if let Some(ledger) = ledger.filter(|_| self.kinds > 0) {
            line.push(Tone::Dim, format!("  {}", top_kinds(ledger.totals(), self.kinds - 2)));
        }
        line = line.pad_to(end);
        if let Some(state) = ledger.and_then(Ledger::state).filter(|_| self.state > 0) {
            line.push(Tone::Accent, format!("  ◆ {}", fit(state.kind.as_str(), self.state - 4)));
        }
        line
    }
}

/// `ok 79 %  changed 19 %`, the most frequent first, as many as fit whole.
fn top_kinds(totals: &Totals, width: usize) -> String {
    let mut kinds: Vec<_> = totals.iter().collect();
    kinds.sort_by_key(|(_, n)| Reverse(*n));
    let all = u128::from(totals.sum().max(1));
    let mut words = String::new();
    for (kind, n) in kinds {
        let word = format!("{kind} {} %", u128::from(n) * 100 / all);
        let between = if words.is_empty() { "" } else { "  " };
        if words.len() + between.len() + word.len() > width {
            return if words.is_empty() { fit(&word, width) } else { words };
        }
        words = words + between + &word;
    }
    words
}
