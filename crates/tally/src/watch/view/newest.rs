//! The newest things at the foot of the picture, the newest one last, as many as there are rows.

use super::Scene;
use super::words::counted_words;
use crate::watch::model::{Entry, What};
use crate::watch::text::{Line, Tone, clock, fit, plural, thousands};
use tally_client::{Rung, Totals};

/// Columns of a kind and of a channel's name, at most.
const KIND_MAX: usize = 18;
const NAME_MAX: usize = 16;
/// Below this width there is no room for the time.
const TIME_WIDTH_MIN: usize = 56;
/// Kinds named in a counted span.
const KINDS_MAX: usize = 6;

pub(super) fn draw(scene: &Scene<'_>, rows: usize) -> Vec<Line> {
    if rows < 3 {
        return Vec::new();
    }
    let recent = scene.model.paused.as_ref().unwrap_or(&scene.model.recent);
    let shown: Vec<_> = recent.newest().take(rows - 2).collect();
    let kinds = shown.iter().filter_map(|entry| match &entry.what {
        What::Event { kind, .. } | What::Sample { kind, .. } => Some(kind.as_str().len()),
        What::Counted { .. } | What::Turn { .. } => None,
    });
    let columns = Columns {
        time: scene.width >= TIME_WIDTH_MIN,
        name: if scene.model.channels.len() > 1 { name_width(scene) } else { 0 },
        kind: kinds.max().unwrap_or(0).min(KIND_MAX),
    };
    let title = if columns.time { "newest (UTC)" } else { "newest" };
    let mut lines = vec![Line::new(), Line::of(Tone::Dim, title)];
    if recent.is_empty() {
        lines.push(Line::of(Tone::Dim, "nothing yet"));
    }
    lines.extend(shown.into_iter().rev().map(|entry| line(scene, entry, &columns)));
    lines
}

struct Columns {
    time: bool,
    /// 0 where there is one channel only.
    name: usize,
    kind: usize,
}

fn name_width(scene: &Scene<'_>) -> usize {
    let longest = scene.model.channels.iter().map(|channel| channel.name.as_str().len()).max();
    longest.unwrap_or(0).min(NAME_MAX).min(scene.width / 5)
}

fn line(scene: &Scene<'_>, entry: &Entry, columns: &Columns) -> Line {
    let mut line = Line::new();
    if columns.time {
        line.push(Tone::Dim, format!("{}  ", clock(entry.at.get())));
    }
    if columns.name > 0 {
        let name = entry.channel.and_then(|index| scene.model.channels.get(index));
        let name = name.map_or("", |channel| channel.name.as_str());
        let column = line.width() + columns.name + 2;
        line.push(Tone::Accent, fit(name, columns.name));
        line = line.pad_to(column);
    }
    match &entry.what {
        What::Event { kind, is_state, data } => {
            let (sign, tone) = if *is_state { ("◆ ", Tone::Accent) } else { ("  ", Tone::Strong) };
            event(line.then(tone, sign), kind.as_str(), tone, data, Tone::Plain, columns)
        }
        What::Sample { kind, data } => {
            event(line.then(Tone::Dim, "~ "), kind.as_str(), Tone::Dim, data, Tone::Dim, columns)
        }
        What::Counted { form, why, span } => {
            let verb = if *form == Rung::Summary { "summarised" } else { "counted" };
            let n = plural(span.sum(), "event");
            let head = format!("Σ {n} {verb} {}", counted_words(*why));
            line.then(Tone::Caution, head).then(Tone::Dim, format!(": {}", by_kind(span)))
        }
        What::Turn { words, bad } => {
            let (sign, tone) = if *bad { ("▲ ", Tone::Bad) } else { ("▸ ", Tone::Accent) };
            line.then(tone, sign).then(if *bad { Tone::Bad } else { Tone::Dim }, words.clone())
        }
    }
}

fn event(line: Line, kind: &str, kind_tone: Tone, data: &str, data_tone: Tone, columns: &Columns) -> Line {
    let column = line.width() + columns.kind + 2;
    line.then(kind_tone, fit(kind, columns.kind)).pad_to(column).then(data_tone, data)
}

/// `1,180 ok, 24 changed`, the most frequent first.
fn by_kind(span: &Totals) -> String {
    let mut kinds: Vec<_> = span.iter().collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let more = kinds.len().saturating_sub(KINDS_MAX);
    let words: Vec<_> =
        kinds.iter().take(KINDS_MAX).map(|(kind, n)| format!("{} {kind}", thousands(*n))).collect();
    let more = if more > 0 { format!(" and {}", plural(more as u64, "further kind")) } else { String::new() };
    format!("{}{more}", words.join(", "))
}
