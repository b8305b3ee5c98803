//! The report on the terminal.

use super::measure::{
    CPU, CPU_PER_DELIVERY, DELIVERIES, HEALTHY_P99, Measure, P50, P99, P999, RSS, Spread, all_runs, compared,
    memory, name, own_figures, percent, ratio, runs_of, spread, subjects,
};
use super::number::{NOTHING, count, plain};
use super::promise::promises;
use super::statement::{self, Sort};
use crate::result::{ProcessUse, Report, Run, Subject};
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// The one word among the headings that a narrow terminal would break.
const DELIVERIES_WIDTH: u16 = 12;

/// How a table looks where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Lines and colour, as wide as the terminal.
    Terminal,
    /// The same without colour.
    Mono,
    /// ASCII, as wide as need be: for files and logs.
    Plain,
}

impl Look {
    pub(crate) fn of_stdout() -> Self {
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match (std::io::stdout().is_terminal(), coloured) {
            (true, true) => Self::Terminal,
            (true, false) => Self::Mono,
            (false, _) => Self::Plain,
        }
    }

    pub(crate) fn table(self) -> Table {
        let mut table = Table::new();
        match self {
            Self::Terminal | Self::Mono => table
                .load_preset(presets::UTF8_BORDERS_ONLY)
                .set_content_arrangement(ContentArrangement::Dynamic),
            Self::Plain => table.load_preset(presets::ASCII_MARKDOWN).force_no_tty(),
        };
        table
    }

    /// Colour only underlines what the words say.
    fn mark(self, text: String, holds: bool) -> Cell {
        let cell = Cell::new(text);
        match (self, holds) {
            (Self::Terminal, true) => cell.fg(Color::Green),
            (Self::Terminal, false) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            _ => cell,
        }
    }
}

pub(super) fn render(report: &Report, look: Look) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n{}: {}", report.scenario, report.about);
    section(&mut out, "Figures: median over the rounds, and least to most", &figures(report, look));
    if let Some(own) = own(report, look) {
        section(&mut out, "The scenario's own figures", &own);
    }
    if let Some(compared) = comparisons(report, look) {
        section(&mut out, "Held against other scenarios: each in the same round, then the median", &compared);
    }
    section(&mut out, "Processes: medians", &processes(report, look));
    if let Some(ledgers) = ledgers(report, look) {
        section(&mut out, "Ledgers: summed over clients", &ledgers);
    }
    if let Some(checks) = checks(report, look) {
        section(&mut out, "Checks", &checks);
    }
    for violation in all_runs(report).filter_map(|run| run.ledger.as_ref()).flat_map(|of| &of.violations) {
        let _ = writeln!(out, "violation: {violation}");
    }
    out
}

fn section(out: &mut String, title: &str, table: &Table) {
    let _ = writeln!(out, "\n{title}\n{table}");
}

/// The median, and beneath it the least and the most where there was more than one round.
pub(crate) fn spread_text(spread: Option<Spread>) -> String {
    match spread {
        None => NOTHING.into(),
        Some(of) => match range_text(of) {
            None => plain(of.median),
            Some(range) => format!("{}\n{range}", plain(of.median)),
        },
    }
}

/// The least and the most, where they differ in the digits that are shown.
pub(super) fn range_text(of: Spread) -> Option<String> {
    let (min, max) = (plain(of.min), plain(of.max));
    (min != max).then(|| format!("{min}–{max}"))
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn figures(report: &Report, look: Look) -> Table {
    let mut columns: Vec<&Measure> = vec![&CPU_PER_DELIVERY, &DELIVERIES, &P50, &P99, &P999];
    if report.runs.iter().any(|run| run.healthy_latency.is_some()) {
        columns.push(&HEALTHY_P99);
    }
    columns.extend([&CPU, &RSS]);
    let floors = [Subject::FloorEach, Subject::FloorJoined];
    let present = subjects(report);
    let floors: Vec<Subject> = floors.into_iter().filter(|floor| present.contains(floor)).collect();
    let mut table = look.table();
    let mut header = vec![Cell::new("")];
    for column in &columns {
        header.push(right(format!("{}\n{}", column.name, column.unit)));
        if column.name == CPU_PER_DELIVERY.name {
            header.extend(floors.iter().map(|floor| right(format!("times the\n{}", name(*floor)))));
        }
    }
    table.set_header(header);
    // It stands behind the name, CPU per delivery, and the ratios.
    if let Some(deliveries) = table.column_mut(2 + floors.len()).filter(|_| look != Look::Plain) {
        deliveries.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(DELIVERIES_WIDTH)));
    }
    for subject in present {
        let mut row = vec![Cell::new(name(subject))];
        for column in &columns {
            row.push(right(spread_text(spread(report, subject, column))));
            if column.name == CPU_PER_DELIVERY.name {
                let ratios = floors.iter().map(|floor| match subject {
                    Subject::Gateway => ratio(report, *floor, column),
                    _ => None,
                });
                row.extend(ratios.map(|ratio| right(spread_text(ratio))));
            }
        }
        table.add_row(row);
    }
    for reference in &report.references {
        let mut row = vec![Cell::new(&reference.scenario)];
        for column in &columns {
            row.push(right(spread_text(Spread::of(reference.runs.iter().filter_map(column.of)))));
            if column.name == CPU_PER_DELIVERY.name {
                row.extend(floors.iter().map(|_| right(NOTHING)));
            }
        }
        table.add_row(row);
    }
    table
}

fn own(report: &Report, look: Look) -> Option<Table> {
    let mut table = look.table();
    let subjects = subjects(report);
    let columns = subjects.iter().map(|subject| right(name(*subject)));
    table.set_header([Cell::new("")].into_iter().chain(columns).chain([Cell::new("")]));
    for own in own_figures([report]) {
        let values = subjects.iter().map(|subject| right(spread_text(own.spread(report, *subject))));
        table.add_row([Cell::new(own.name)].into_iter().chain(values).chain([Cell::new(own.unit)]));
    }
    (!table.is_empty()).then_some(table)
}

fn comparisons(report: &Report, look: Look) -> Option<Table> {
    let mut table = look.table();
    let header = ["gateway", "reference", "ratio", "difference"];
    table.set_header([Cell::new("")].into_iter().chain(header.map(right)).chain([Cell::new("")]));
    for of in compared(report) {
        table.add_row(vec![
            Cell::new(of.title()),
            right(spread_text(of.value)),
            right(spread_text(of.reference)),
            right(spread_text(of.ratio)),
            right(spread_text(of.difference)),
            Cell::new(of.unit),
        ]);
    }
    (!table.is_empty()).then_some(table)
}

fn processes(report: &Report, look: Look) -> Table {
    let mut table = look.table();
    let header =
        ["user\n% of a core", "system\n% of a core", "memory at start\nMiB", "peak\nMiB", "end\nMiB"];
    table.set_header([Cell::new(""), Cell::new("process")].into_iter().chain(header.map(right)));
    for subject in subjects(report) {
        for process in process_names(report, subject) {
            let column = |of: fn(&Run, &ProcessUse) -> f64| {
                let uses = runs_of(report, subject).filter_map(|run| {
                    run.processes.iter().find(|is| is.name == process).map(|is| of(run, is))
                });
                right(Spread::of(uses).map_or(NOTHING.into(), |spread| plain(spread.median)))
            };
            table.add_row(vec![
                Cell::new(name(subject)),
                Cell::new(&process),
                column(|run, is| percent(is.user_us, run.seconds)),
                column(|run, is| percent(is.sys_us, run.seconds)),
                column(|_, is| memory(is.rss_start_bytes)),
                column(|_, is| memory(is.rss_peak_bytes)),
                column(|_, is| memory(is.rss_end_bytes)),
            ]);
        }
    }
    table
}

pub(super) fn process_names(report: &Report, subject: Subject) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for process in runs_of(report, subject).flat_map(|run| &run.processes) {
        if !names.contains(&process.name) {
            names.push(process.name.clone());
        }
    }
    names
}

fn ledgers(report: &Report, look: Look) -> Option<Table> {
    let kept: Vec<(&Run, _)> =
        report.runs.iter().filter_map(|run| Some((run, run.ledger.as_ref()?))).collect();
    let balances: Vec<_> = kept.iter().map(|(_, balance)| *balance).collect();
    if balances.is_empty() {
        return None;
    }
    let mut table = look.table();
    let rounds = kept.iter().map(|(run, _)| right(format!("round {}", run.round)));
    table.set_header([Cell::new("events")].into_iter().chain(rounds));
    for line in statement::lines(&balances) {
        let label = if line.sort == Sort::Sum { format!("= {}", line.label) } else { line.label };
        let values = line.values.iter().map(|value| {
            let text = u64::try_from(*value).map_or_else(|_| value.to_string(), count);
            let cell = if line.sort == Sort::Zero { look.mark(text, *value == 0) } else { Cell::new(text) };
            cell.set_alignment(CellAlignment::Right)
        });
        table.add_row([Cell::new(label)].into_iter().chain(values));
    }
    let closes = balances.iter().map(|balance| {
        let closes = statement::closes(balance);
        look.mark(if closes { "closes" } else { "DOES NOT CLOSE" }.into(), closes)
            .set_alignment(CellAlignment::Right)
    });
    table.add_row([Cell::new("")].into_iter().chain(closes));
    Some(table)
}

fn checks(report: &Report, look: Look) -> Option<Table> {
    let mut table = look.table();
    table.set_header(["", "check", "wanted", "measured", "verdict"]);
    for promise in promises(report) {
        table.add_row(vec![
            Cell::new(promise.of),
            Cell::new(promise.name),
            Cell::new(promise.wanted),
            Cell::new(promise.measured.join("\n")),
            look.mark(promise.verdict(), promise.holds()),
        ]);
    }
    (!table.is_empty()).then_some(table)
}
