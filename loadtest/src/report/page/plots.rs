//! The plots of the page: which lines stand in which panel, and in what colours.

use crate::report::measure::{middle, name, runs_of};
use crate::report::plot::{self, Frame, Line, SERIES, STEPS, Scale, hex};
use crate::report::table::process_names;
use crate::result::{Percentiles, Report, Sample, Subject};
use maud::{Markup, PreEscaped, html};
use plotters::style::RGBColor;

/// One plot across the page, and one beside others or on a telephone.
const WIDE: (u32, u32) = (1_120, 300);
const NARROW: (u32, u32) = (372, 250);

/// A plot with its heading, legend and caption.
struct Panel {
    title: Option<&'static str>,
    frame: Frame,
    lines: Vec<Line>,
    is_stacked: bool,
}

impl Panel {
    fn draw(&self, size: (u32, u32)) -> anyhow::Result<Markup> {
        let frame = self.frame.sized(size);
        let svg = if self.is_stacked {
            plot::stacked(frame, &self.lines)?
        } else {
            plot::lines(frame, &self.lines)?
        };
        Ok(PreEscaped(svg))
    }
}

/// Panels side by side, or one across the page; each colour of the legend means the same in all.
fn plots(title: &str, lead: &str, legend: &[(RGBColor, String)], panels: &[Panel]) -> anyhow::Result<Markup> {
    let mut figures = Vec::new();
    for panel in panels {
        let narrow = panel.draw(NARROW)?;
        let wide = if panels.len() == 1 { Some(panel.draw(WIDE)?) } else { None };
        figures.push((panel.title, narrow, wide));
    }
    Ok(html! {
        section {
            h2 { (title) }
            p.lead { (lead) }
            @if legend.len() > 1 {
                ul.legend { @for (color, text) in legend {
                    li {
                        svg.swatch viewBox="0 0 28 10" aria-hidden="true" {
                            @if panels.iter().any(|panel| panel.is_stacked) {
                                rect x="9" width="10" height="10" fill=(hex(*color)) {}
                            } @else {
                                polyline points="0,5 28,5" fill="none" stroke=(hex(*color)) stroke-width="3" {}
                            }
                        }
                        (text)
                    }
                } }
            }
            div.panels.many[panels.len() > 1] { @for (heading, narrow, wide) in figures {
                figure {
                    @if let Some(heading) = heading { figcaption { (heading) } }
                    @if let Some(wide) = wide {
                        div.wide { (wide) }
                        div.narrow { (narrow) }
                    } @else {
                        (narrow)
                    }
                }
            } }
        }
    })
}

fn points(series: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
    series.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect()
}

pub(super) fn latency(report: &Report, subjects: &[Subject]) -> anyhow::Result<Markup> {
    type Of = fn(&Percentiles) -> f64;
    const PERCENTILES: [(&str, Of); 4] = [
        ("p50", |of| of.p50_us),
        ("p90", |of| of.p90_us),
        ("p99", |of| of.p99_us),
        ("p99.9", |of| of.p999_us),
    ];
    let mut drawn: Vec<(Subject, Vec<Line>)> = Vec::new();
    for subject in subjects {
        let Some(run) = middle(report, *subject) else { continue };
        let lines = PERCENTILES.iter().zip(STEPS).map(|((_, of), color)| {
            let value = |sample: &Sample| (sample.latency.n > 0).then(|| of(&sample.latency) / 1_000.0);
            Line { color, points: points(&run.series, value) }
        });
        drawn.push((*subject, lines.collect()));
    }
    let all = drawn.iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>();
    let Some(frame) = Frame::of("latency, ms (log scale)", Scale::Log, all) else { return Ok(html! {}) };
    let legend: Vec<_> =
        PERCENTILES.iter().zip(STEPS).map(|((text, _), color)| (color, (*text).into())).collect();
    let lead = "From the publish call to the frame in the receiver's hand, each second, in the middle round by CPU per delivery.";
    let panels: Vec<Panel> = drawn
        .into_iter()
        .map(|(subject, lines)| Panel { title: Some(name(subject)), frame, lines, is_stacked: false })
        .collect();
    plots("Latency", lead, &legend, &panels)
}

pub(super) fn deliveries(report: &Report, subjects: &[Subject]) -> anyhow::Result<Markup> {
    let mut lines = Vec::new();
    let mut legend = Vec::new();
    for (subject, color) in subjects.iter().zip(SERIES) {
        legend.push((color, name(*subject).to_owned()));
        for run in runs_of(report, *subject) {
            let value = |sample: &Sample| Some(sample.deliveries as f64);
            lines.push(Line { color, points: points(&run.series, value) });
        }
    }
    let Some(frame) = Frame::of("events in full per second", Scale::Linear, &lines) else {
        return Ok(html! {});
    };
    let lead = "Events delivered in full, summed over clients, each second; one line for each round.";
    plots("Deliveries", lead, &legend, &[Panel { title: None, frame, lines, is_stacked: false }])
}

pub(super) fn rungs(report: &Report) -> anyhow::Result<Markup> {
    const RUNGS: [&str; 3] = ["full", "counts", "summary"];
    let Some(run) = middle(report, Subject::Gateway) else { return Ok(html! {}) };
    let total = |sample: &Sample| sample.rungs.iter().sum::<u64>();
    if run.series.iter().all(|sample| total(sample) == 0) {
        return Ok(html! {});
    }
    if run.series.iter().all(|sample| sample.rungs[0] == total(sample)) {
        return Ok(html! { section { h2 { "Rungs" } p.lead { "Every subscription stayed at full." } } });
    }
    let heights = Line { color: SERIES[0], points: points(&run.series, |sample| Some(total(sample) as f64)) };
    let Some(frame) = Frame::of("subscriptions", Scale::Linear, [&heights]) else { return Ok(html! {}) };
    let lines = (0..3).map(|rung| Line {
        color: SERIES[rung],
        points: points(&run.series, |sample| Some(sample.rungs[rung] as f64)),
    });
    let legend: Vec<_> = RUNGS.iter().zip(SERIES).map(|(text, color)| (color, (*text).into())).collect();
    let lead = "Subscriptions by the rung that they were last told, in the gateway's middle round.";
    plots("Rungs", lead, &legend, &[Panel { title: None, frame, lines: lines.collect(), is_stacked: true }])
}

pub(super) fn per_process(
    title: &str,
    lead: &str,
    y_title: &'static str,
    report: &Report,
    subjects: &[Subject],
    of: impl Fn(&Sample, &str) -> Option<f64>,
) -> anyhow::Result<Markup> {
    // One colour per process name across all panels; what is measured has another name in each.
    let mut colors: Vec<String> = Vec::new();
    let mut drawn: Vec<(Subject, Vec<Line>)> = Vec::new();
    for subject in subjects {
        let Some(run) = middle(report, *subject) else { continue };
        let mut lines = Vec::new();
        for process in process_names(report, *subject) {
            let points = points(&run.series, |sample| of(sample, &process));
            if points.is_empty() {
                continue;
            }
            let at = colors.iter().position(|known| *known == process).unwrap_or_else(|| {
                colors.push(process);
                colors.len() - 1
            });
            lines.push(Line { color: SERIES[at % SERIES.len()], points });
        }
        drawn.push((*subject, lines));
    }
    let all = drawn.iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>();
    let Some(frame) = Frame::of(y_title, Scale::Linear, all) else { return Ok(html! {}) };
    let legend: Vec<_> =
        colors.into_iter().zip(SERIES.into_iter().cycle()).map(|(text, color)| (color, text)).collect();
    let panels: Vec<Panel> = drawn
        .into_iter()
        .map(|(subject, lines)| Panel { title: Some(name(subject)), frame, lines, is_stacked: false })
        .collect();
    plots(title, lead, &legend, &panels)
}
