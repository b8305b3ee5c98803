//! The plots of the page, as SVG: drawn in the light theme's colours, which the page's style sheet replaces in the
//! dark and gives each its own dashes.

use super::number::short;
use anyhow::anyhow;
use plotters::coord::combinators::BindKeyPoints;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// What text, axes and grid are drawn in.
const INK: RGBColor = RGBColor(0x52, 0x51, 0x4E);
const AXIS: RGBColor = RGBColor(0xC3, 0xC2, 0xB7);
const GRID: RGBColor = RGBColor(0xE1, 0xE0, 0xD9);

/// Colours of series that are told apart, in the order in which they are given out.
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0x2A, 0x78, 0xD6),
    RGBColor(0xEB, 0x68, 0x34),
    RGBColor(0x1B, 0xAF, 0x7A),
    RGBColor(0x4A, 0x3A, 0xA7),
    RGBColor(0xED, 0xA1, 0x00),
    RGBColor(0xE8, 0x7B, 0xA4),
];
/// Percentiles, from the least to the most.
pub(super) const STEPS: [RGBColor; 4] = [
    RGBColor(0x86, 0xB6, 0xEF),
    RGBColor(0x55, 0x98, 0xE7),
    RGBColor(0x1C, 0x5C, 0xAB),
    RGBColor(0x0D, 0x36, 0x6B),
];

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) color: RGBColor,
    /// Seconds, value.
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// What plots have in common that stand side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) y_title: &'static str,
    pub(super) scale: Scale,
    pub(super) seconds: f64,
    pub(super) y_min: f64,
    pub(super) y_max: f64,
}

impl Frame {
    /// Sees to it that all lines fit, and that none lies on the upper edge.
    pub(super) fn of<'a>(
        y_title: &'static str,
        scale: Scale,
        lines: impl IntoIterator<Item = &'a Line>,
    ) -> Option<Self> {
        let points = || lines.into_iter().flat_map(|line| &line.points).filter(|point| point.1.is_finite());
        let (mut seconds, mut least, mut most) = (0.0_f64, f64::MAX, 0.0_f64);
        for (at, value) in points() {
            seconds = seconds.max(*at);
            most = most.max(*value);
            least = least.min(if *value > 0.0 { *value } else { f64::MAX });
        }
        if seconds <= 0.0 || most <= 0.0 {
            return None;
        }
        let (y_min, y_max) = match scale {
            Scale::Linear => (0.0, step_above(most * 1.02)),
            Scale::Log => (coarse_below(least * 0.98), coarse_above(most * 1.02)),
        };
        Some(Self { width: 0, height: 0, y_title, scale, seconds, y_min, y_max })
    }

    pub(super) fn sized(self, (width, height): (u32, u32)) -> Self {
        Self { width, height, ..self }
    }
}

/// The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten.
fn step_above(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * unit).find(|step| *step >= value).unwrap_or(10.0 * unit)
}

/// The next of 1, 2, 5 times a power of ten below.
fn coarse_below(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|step| step * unit).find(|step| *step <= value).unwrap_or(unit)
}

/// The same above.
fn coarse_above(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * unit).find(|step| *step >= value).unwrap_or(10.0 * unit)
}

/// Where a logarithmic axis is marked: at 1, 2 and 5 times the powers of ten, at the powers alone where those are many.
fn marks(min: f64, max: f64) -> Vec<f64> {
    const DENSE_MAX: usize = 7;
    let decades = (min.log10().floor() as i32)..=(max.log10().ceil() as i32);
    let of = |steps: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        all.filter(|mark| (min * 0.999..=max * 1.001).contains(mark)).collect()
    };
    let dense = of(&[1.0, 2.0, 5.0]);
    if dense.len() <= DENSE_MAX { dense } else { of(&[1.0]) }
}

/// Lines over time.
pub(super) fn lines(frame: Frame, lines: &[Line]) -> anyhow::Result<String> {
    match frame.scale {
        Scale::Linear => draw(frame, frame.y_min..frame.y_max, lines, false),
        Scale::Log => {
            let range = (frame.y_min..frame.y_max).log_scale();
            draw(frame, range.with_key_points(marks(frame.y_min, frame.y_max)), lines, false)
        }
    }
}

/// Areas that stand on each other; the first is the lowest.
pub(super) fn stacked(frame: Frame, parts: &[Line]) -> anyhow::Result<String> {
    let mut height = vec![0.0; parts.first().map_or(0, |part| part.points.len())];
    let mut levels = Vec::with_capacity(parts.len());
    for part in parts {
        let points = part.points.iter().zip(&mut height).map(|((at, value), height)| {
            *height += value;
            (*at, *height)
        });
        levels.push(Line { color: part.color, points: points.collect() });
    }
    // The highest first: each lower one covers what is not its own.
    levels.reverse();
    draw(frame, frame.y_min..frame.y_max, &levels, true)
}

fn draw<Y>(frame: Frame, y: Y, lines: &[Line], is_filled: bool) -> anyhow::Result<String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (frame.width, frame.height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(38)
            .y_label_area_size(58)
            .build_cartesian_2d(0.0..frame.seconds, y)
            .map_err(|error| anyhow!("cannot lay out a plot: {error}"))?;
        let text = ("sans-serif", 12).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_labels(usize::try_from(frame.width / 90)?)
            .y_labels(5)
            .x_desc("seconds of the measured window")
            .y_desc(frame.y_title)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()
            .map_err(|error| anyhow!("cannot draw the axes of a plot: {error}"))?;
        for line in lines {
            let clip = |value: f64| value.clamp(frame.y_min, frame.y_max);
            let points = line.points.iter().filter(|point| point.1.is_finite());
            let points = points.map(|(at, value)| (*at, clip(*value)));
            let drawn = if is_filled {
                let area = AreaSeries::new(points, 0.0, line.color.filled());
                chart.draw_series(area.border_style(line.color)).map(|_| ())
            } else {
                chart.draw_series(LineSeries::new(points, line.color.stroke_width(2))).map(|_| ())
            };
            drawn.map_err(|error| anyhow!("cannot draw a line of a plot: {error}"))?;
        }
        area.present().map_err(|error| anyhow!("cannot finish a plot: {error}"))?;
    }
    Ok(svg)
}

/// As it stands in the SVG, and therefore in the style sheet.
pub(super) fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_never_without_marks() {
        assert_eq!(marks(0.1, 0.2), [0.1, 0.2]);
        assert_eq!(marks(0.5, 10.0), [0.5, 1.0, 2.0, 5.0, 10.0]);
        assert_eq!(marks(0.01, 1_000.0).len(), 6);
        for (least, most) in [(0.119, 0.121), (3.0, 4.0), (0.9, 1.1), (0.08, 900.0)] {
            let line = Line { color: INK, points: vec![(0.0, least), (1.0, most)] };
            let frame = Frame::of("y", Scale::Log, [&line]).unwrap();
            assert!(frame.y_min < least && most < frame.y_max, "{frame:?}");
            assert!(marks(frame.y_min, frame.y_max).len() >= 2, "{frame:?}");
        }
    }

    #[test]
    fn without_values_there_is_no_plot() {
        let line = Line { color: INK, points: vec![(0.0, f64::NAN), (1.0, 0.0)] };
        assert!(Frame::of("y", Scale::Linear, [&line]).is_none());
        assert!(Frame::of("y", Scale::Log, []).is_none());
    }
}
