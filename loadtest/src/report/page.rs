//! The report as one HTML page that needs nothing else: no script, no font, no address.

mod plots;

use super::measure::{
    CPU_PER_DELIVERY, DELIVERIES, MEASURES, P50, P99, Spread, compared, memory, mib, name, own_figures,
    percent, ratio, runs_of, spread, subjects,
};
use super::number::{NOTHING, count, plain};
use super::promise::promises;
use super::statement::{self, Sort};
use super::table::{process_names, range_text};
use crate::result::{Report, Run, Subject};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page/style.css");
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let subjects = subjects(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.scenario) " · Tally load test" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report))
                    (tiles(report))
                    (figures(report, &subjects))
                    (comparisons(report))
                    (plots::latency(report, &subjects)?)
                    (plots::deliveries(report, &subjects)?)
                    (plots::rungs(report)?)
                    (plots::per_process("CPU", "Percent of one core, by process.", "% of a core", report, &subjects, |sample, process| {
                        sample.cpu_percent.get(process).copied()
                    })?)
                    (plots::per_process("Memory", "Resident memory, by process.", "MiB", report, &subjects, |sample, process| {
                        sample.rss_bytes.get(process).map(|bytes| mib(*bytes))
                    })?)
                    (ledgers(report))
                    (checks(report))
                    (own(report, &subjects))
                    (processes(report, &subjects))
                    (details(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

fn head(report: &Report) -> Markup {
    let machine = &report.machine;
    let rounds = report.runs.iter().map(|run| run.round).max().unwrap_or(0);
    let seconds = Spread::of(report.runs.iter().map(|run| run.seconds)).map_or(0.0, |of| of.median);
    html! {
        header {
            p.eyebrow { "Tally load test" }
            h1 { (report.scenario) }
            p.about { (report.about) }
            dl.facts {
                div { dt { "Started" } dd { (super::time(report).strftime("%-d %B %Y, %H:%M UTC")) } }
                div { dt { "Measured" } dd { (rounds) @if rounds == 1 { " round" } @else { " rounds" } " of " (plain(seconds)) " s" } }
                div { dt { "Tally" } dd { (machine.tally_version) } }
                div { dt { "Redis" } dd { (machine.redis_version) } }
                div { dt { "Machine" } dd { (machine.cores) @if machine.cores == 1 { " core, " } @else { " cores, " } (plain(mib(machine.memory_bytes) / 1024.0)) " GiB, " (machine.cpu) } }
                div { dt { "Kernel" } dd { (machine.kernel) } }
            }
        }
    }
}

fn tiles(report: &Report) -> Markup {
    let promises = promises(report);
    let failed = promises.iter().filter(|promise| !promise.holds()).count();
    html! {
        section.tiles aria-label="At a glance" {
            @for (measure, label) in [
                (&CPU_PER_DELIVERY, "CPU per delivery"),
                (&DELIVERIES, "Deliveries"),
                (&P50, "Latency p50"),
                (&P99, "Latency p99"),
            ] {
                @let of = spread(report, Subject::Gateway, measure);
                div.tile {
                    p.label { (label) }
                    p.value { (of.map_or(NOTHING.into(), |of| plain(of.median))) @if of.is_some() { span.unit { " " (measure.unit) } } }
                    @for floor in [Subject::FloorEach, Subject::FloorJoined] {
                        @if let Some(ratio) = ratio(report, floor, measure) {
                            p.note { (plain(ratio.median)) " × " (name(floor)) }
                        }
                    }
                }
            }
            div.tile {
                p.label { "Checks" }
                @if promises.is_empty() {
                    p.value { (NOTHING) }
                    p.note { "the scenario promises nothing" }
                } @else if failed == 0 {
                    p.value { (verdict(true, &format!("{} hold", promises.len()))) }
                } @else {
                    p.value { (verdict(false, &format!("{failed} of {} fail", promises.len()))) }
                }
            }
        }
    }
}

fn verdict(holds: bool, text: &str) -> Markup {
    html! {
        span.verdict.good[holds].bad[!holds] {
            span aria-hidden="true" { @if holds { "✓ " } @else { "✗ " } }
            (text)
        }
    }
}

fn figures(report: &Report, subjects: &[Subject]) -> Markup {
    let floors: Vec<Subject> =
        subjects.iter().copied().filter(|subject| *subject != Subject::Gateway).collect();
    let measures =
        MEASURES.iter().filter(|measure| report.runs.iter().any(|run| (measure.of)(run).is_some()));
    let has_gateway = subjects.contains(&Subject::Gateway);
    html! {
        section {
            h2 { "Figures" }
            p.lead {
                "Medians over the rounds, with the least and the most beneath. A ratio is made within each round, so that what the machine did to one it did to the other."
            }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Figure" }
                    @for subject in subjects { th.n scope="col" { (name(*subject)) } }
                    @if has_gateway { @for floor in &floors { th.n scope="col" { "gateway ÷ " (name(*floor)) } } }
                } }
                tbody { @for measure in measures { tr {
                    th scope="row" { (measure.name) " " span.unit { (measure.unit) } }
                    @for subject in subjects { td.n { (spread_cell(spread(report, *subject, measure))) } }
                    @if has_gateway { @for floor in &floors { td.n { (spread_cell(ratio(report, *floor, measure))) } } }
                } } }
            } }
        }
    }
}

fn comparisons(report: &Report) -> Markup {
    let compared = compared(report);
    html! {
        @if !compared.is_empty() {
            section {
                h2 { "Held against other scenarios" }
                p.lead {
                    "Those were run in turn with this one. Ratio and difference are made within each round; the medians stand here."
                }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Figure" }
                        @for column in ["Gateway", "Reference", "Ratio", "Difference"] { th.n scope="col" { (column) } }
                    } }
                    tbody { @for held in &compared { tr {
                        th scope="row" { @for line in held.title().lines() { (line) br; } span.unit { (held.unit) } }
                        @for spread in [held.value, held.reference, held.ratio, held.difference] { td.n { (spread_cell(spread)) } }
                    } } }
                } }
            }
        }
    }
}

fn spread_cell(spread: Option<Spread>) -> Markup {
    html! {
        @match spread {
            None => (NOTHING),
            Some(of) => {
                (plain(of.median))
                @if let Some(range) = range_text(of) { span.range { (range) } }
            }
        }
    }
}

fn ledgers(report: &Report) -> Markup {
    let kept: Vec<(&Run, _)> =
        report.runs.iter().filter_map(|run| Some((run, run.ledger.as_ref()?))).collect();
    let balances: Vec<_> = kept.iter().map(|(_, balance)| *balance).collect();
    let changes = |balance: &crate::result::Balance| {
        let told = balance.rung_changes.iter().map(|(what, n)| format!("{what}: {}", count(*n)));
        told.collect::<Vec<_>>().join(", ")
    };
    html! {
        section {
            h2 { "Ledgers" }
            @if kept.is_empty() {
                p.lead { "No ledger: a floor keeps no account." }
            } @else {
                p.lead { "What every client counted for itself, added up. What was published to it while it listened is what it saw, counted or was summarised, to the event." }
                div.scroll { table.statement {
                    thead { tr {
                        th scope="col" { "Events" }
                        @for (run, _) in &kept { th.n scope="col" { "round " (run.round) } }
                    } }
                    tbody { @for line in statement::lines(&balances) {
                        tr.sum[line.sort == Sort::Sum].zero[line.sort == Sort::Zero].note[line.sort == Sort::Note] {
                            th scope="row" { (line.label) }
                            @for value in &line.values {
                                @let text = u64::try_from(*value).map_or_else(|_| value.to_string(), count);
                                td.n { @if line.sort == Sort::Zero { (verdict(*value == 0, &text)) } @else { (text) } }
                            }
                        }
                    } }
                    tfoot { tr {
                        th scope="row" { "The account" }
                        @for balance in &balances {
                            @let closes = statement::closes(balance);
                            td.n { (verdict(closes, if closes { "closes" } else { "does not close" })) }
                        }
                    } }
                } }
                @for (run, balance) in &kept {
                    @if !balance.rung_changes.is_empty() {
                        p.note { "Rung changes told in round " (run.round) ": " (changes(balance)) "." }
                    }
                    @for violation in &balance.violations { p.bad { "✗ round " (run.round) ": " (violation) } }
                }
            }
        }
    }
}

fn checks(report: &Report) -> Markup {
    let promises = promises(report);
    html! {
        @if !promises.is_empty() {
            section {
                h2 { "Checks" }
                div.scroll { table {
                    thead { tr { th scope="col" { "Of" } th scope="col" { "Check" } th scope="col" { "Wanted" } th scope="col" { "Measured, by round" } th scope="col" { "Verdict" } } }
                    tbody { @for promise in &promises { tr {
                        td { (promise.of) }
                        th scope="row" { (promise.name) }
                        td { (promise.wanted) }
                        td { (promise.measured.join(" · ")) }
                        td { (verdict(promise.holds(), &promise.verdict())) }
                    } } }
                } }
            }
        }
    }
}

fn own(report: &Report, subjects: &[Subject]) -> Markup {
    let figures = own_figures([report]);
    html! {
        @if !figures.is_empty() {
            section {
                h2 { "The scenario's own figures" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Figure" }
                        @for subject in subjects { th.n scope="col" { (name(*subject)) } }
                    } }
                    tbody { @for own in figures { tr {
                        th scope="row" { (own.name) " " span.unit { (own.unit) } }
                        @for subject in subjects { td.n { (spread_cell(own.spread(report, *subject))) } }
                    } } }
                } }
            }
        }
    }
}

fn processes(report: &Report, subjects: &[Subject]) -> Markup {
    html! {
        section {
            h2 { "Processes" }
            p.lead { "CPU in the measured window as percent of one core, and resident memory in MiB; medians over the rounds. Publishers and receivers are threads of the load test's process, with which their memory is told." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "With" } th scope="col" { "Process" }
                    @for column in ["user %", "system %", "MiB at start", "MiB peak", "MiB at end"] { th.n scope="col" { (column) } }
                } }
                tbody { @for subject in subjects { @for process in process_names(report, *subject) {
                    @let of = |value: fn(&Run, &crate::result::ProcessUse) -> f64| {
                        let uses = runs_of(report, *subject).filter_map(|run| {
                            run.processes.iter().find(|is| is.name == process).map(|is| value(run, is))
                        });
                        Spread::of(uses).map_or(NOTHING.into(), |spread| plain(spread.median))
                    };
                    tr {
                        td { (name(*subject)) }
                        th scope="row" { (process) }
                        td.n { (of(|run, is| percent(is.user_us, run.seconds))) }
                        td.n { (of(|run, is| percent(is.sys_us, run.seconds))) }
                        td.n { (of(|_, is| memory(is.rss_start_bytes))) }
                        td.n { (of(|_, is| memory(is.rss_peak_bytes))) }
                        td.n { (of(|_, is| memory(is.rss_end_bytes))) }
                    }
                } } }
            } }
        }
    }
}

fn details(report: &Report) -> Markup {
    html! {
        section {
            h2 { "How it was run" }
            pre.scroll { (report.command) }
            details { summary { "The scenario" } pre.scroll { (report.scenario_toml) } }
            @for reference in &report.references {
                details { summary { "The scenario " (reference.scenario) ", run in turn with it" } pre.scroll { (reference.scenario_toml) } }
            }
        }
    }
}
