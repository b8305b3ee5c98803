//! The picture: model and ledgers to lines of at most the terminal's width, as many as it has rows.
//!
//! Top to bottom: a headline, what must not be overlooked, the channel (or a table of them), the newest things, the
//! ledger, the keys. The newest things get the rows that the rest leaves.

mod channel;
mod ledger;
mod newest;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub(super) use ledger::ledger_lines;

use super::model::{Link, Model, Now, Phase};
use super::text::{Line, Tone, plural, span, thousands};
use std::time::Duration;
use tally_client::{ChannelName, Ledger, Rung};

/// How long a reset is shown above everything else.
const RESET_SHOWN: Duration = Duration::from_secs(30);
/// Alarms at once; violations and the link come first.
const ALARMS_MAX: usize = 4;

/// What a picture is made of.
pub(super) struct Scene<'a> {
    pub(super) model: &'a Model,
    pub(super) ledger: &'a dyn Fn(&ChannelName) -> Option<&'a Ledger>,
    pub(super) now: Now,
    pub(super) width: usize,
    pub(super) height: usize,
}

pub(super) fn draw(scene: &Scene<'_>) -> Vec<Line> {
    // One column is left free on either side.
    let inner = &Scene { width: scene.width.saturating_sub(2), ..*scene };
    let mut top = vec![headline(inner), rule(inner.width)];
    top.extend(alarms(inner));
    let mut bottom = vec![rule(inner.width)];
    bottom.extend(ledger::summary(inner));
    bottom.push(keys(inner));
    let rows = scene.height.saturating_sub(top.len() + bottom.len());
    let middle = match &inner.model.channels[..] {
        [channel] => channel::draw(inner, channel, rows),
        channels => table::draw(inner, channels, rows),
    };
    let mut lines = top;
    lines.extend(middle);
    let newest_rows = scene.height.saturating_sub(lines.len() + bottom.len());
    lines.extend(newest::draw(inner, newest_rows));
    lines.resize(scene.height.saturating_sub(bottom.len()).max(lines.len()), Line::new());
    lines.extend(bottom);
    // In a terminal with hardly any rows the last ones say most.
    let surplus = lines.len().saturating_sub(scene.height);
    lines.drain(..surplus);
    lines.into_iter().map(|line| margin(line, inner.width)).collect()
}

fn margin(line: Line, width: usize) -> Line {
    let mut whole = Line::of(Tone::Plain, " ");
    whole.append(line.cut(width));
    whole
}

fn rule(width: usize) -> Line {
    Line::of(Tone::Dim, "─".repeat(width))
}

fn headline(scene: &Scene<'_>) -> Line {
    let name = match &scene.model.channels[..] {
        [channel] => channel.name.to_string(),
        channels => plural(channels.len() as u64, "channel"),
    };
    let left = Line::of(Tone::Accent, "tally").then(Tone::Plain, "  ").then(Tone::Strong, name);
    let (tone, words) = match &scene.model.link {
        Link::Up => (Tone::Good, "● connected"),
        Link::Connecting => (Tone::Caution, "◌ connecting"),
        Link::Down { retry_at: Some(_), .. } => (Tone::Bad, "○ reconnecting"),
        Link::Down { retry_at: None, .. } => (Tone::Bad, "○ disconnected"),
    };
    let state = Line::of(tone, words);
    let long = state.clone().then(Tone::Dim, format!("  {}", scene.model.gateway));
    if left.width() + long.width() + 2 <= scene.width {
        return left.with_right(long, scene.width);
    }
    left.with_right(state, scene.width)
}

/// What must not be overlooked, the worst first.
fn alarms(scene: &Scene<'_>) -> Vec<Line> {
    let model = scene.model;
    let mut words = Vec::new();
    if let Some(violation) = &model.violation {
        words.push(format!(
            "✖ the gateway broke a law, {} so far: {violation}",
            plural(model.violations, "time")
        ));
    }
    match &model.link {
        Link::Down { reason, retry_at: Some(at) } => {
            let wait = at.saturating_duration_since(scene.now.instant).as_secs_f64();
            words.push(format!("▲ next attempt in {wait:.1} s: {reason}"));
        }
        Link::Down { reason, retry_at: None } => words.push(format!("✖ {reason}")),
        Link::Connecting | Link::Up => {}
    }
    let deaf: Vec<_> = model.channels.iter().filter_map(|one| one.deaf_since.map(|at| (one, at))).collect();
    let pending = model.channels.iter().filter(|one| one.phase == Phase::Pending).count();
    if pending > 0 {
        let which = of_channels(pending, model.channels.len());
        words.push(format!("▲ upstream pending{which}: the gateway has no broker yet; the attach follows"));
    } else if let Some((_, since)) = deaf.iter().min_by_key(|(_, since)| *since) {
        let ago = span(Duration::from_millis(scene.now.unix.get().saturating_sub(since.get())));
        let which = of_channels(deaf.len(), model.channels.len());
        words.push(format!("▲ upstream down for {ago}{which}: what is missed will be counted exactly"));
    }
    for channel in &model.channels {
        if let Phase::Ended(code) = &channel.phase {
            words.push(format!("✖ {} ended: {code}", channel.name));
        }
        let reset =
            channel.reset.map(|(at, cursor)| (scene.now.instant.saturating_duration_since(at), cursor));
        if let Some((ago, cursor)) = reset.filter(|(ago, _)| *ago < RESET_SHOWN) {
            let (name, cursor) = (&channel.name, thousands(cursor));
            let ago = span(ago);
            words
                .push(format!("↺ {name} was reset {ago} ago: its ledger ended at {cursor}, a new one began"));
        }
    }
    words.truncate(ALARMS_MAX);
    words.into_iter().map(|words| Line::of(Tone::Alarm, format!(" {words} ")).cut(scene.width)).collect()
}

fn of_channels(n: usize, all: usize) -> String {
    if n == all { String::new() } else { format!(" for {n} of {all} channels") }
}

fn keys(scene: &Scene<'_>) -> Line {
    let model = scene.model;
    let mut line = Line::new();
    let pause = if model.paused.is_some() { "go on" } else { "pause" };
    for (key, word, is_on) in [
        ("q", "quit", false),
        ("space", pause, model.paused.is_some()),
        ("f", "full", model.asked == Rung::Full),
        ("c", "counts", model.asked == Rung::Counts),
        ("s", "summary", model.asked == Rung::Summary),
    ] {
        if line.width() > 0 {
            line.push(Tone::Plain, "  ");
        }
        line.push(Tone::Strong, key);
        line.push(if is_on { Tone::Accent } else { Tone::Dim }, format!(" {word}"));
    }
    let right = match &model.paused {
        Some(paused) => {
            let newer = model.recent.pushed().saturating_sub(paused.pushed());
            Line::of(Tone::Caution, format!("paused, {} newer", thousands(newer)))
        }
        None => Line::new(),
    };
    line.with_right(right, scene.width)
}
