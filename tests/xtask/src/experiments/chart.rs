//! Charts as SVG files for the documentation.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (820, 460);
/// Legible on a white page, and ordered by lightness so that they can be told apart without colour.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0x1f, 0x4e, 0x8c),
    RGBColor(0xd1, 0x5a, 0x1b),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x9b, 0x2d, 0x5e),
    RGBColor(0x6b, 0x5b, 0xb0),
    RGBColor(0xb8, 0x8a, 0x00),
    RGBColor(0x1a, 0x93, 0xa8),
    RGBColor(0x7a, 0x4a, 0x2b),
    RGBColor(0x55, 0x66, 0x77),
    RGBColor(0xc2, 0x3b, 0x3b),
    RGBColor(0x5f, 0x8f, 0x2b),
    RGBColor(0x2b, 0x2b, 0x6b),
];

/// Lines over one pair of axes.
#[derive(Debug, Clone, Default)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) log_x: bool,
    pub(super) log_y: bool,
    /// The corner for the legend: one without lines.
    pub(super) legend: Legend,
    pub(super) series: Vec<Series>,
}

/// A corner of the chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Legend {
    #[default]
    UpperRight,
    UpperMiddle,
    LowerRight,
}

/// A labelled line or set of dots.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) style: Style,
    /// Index of the colour; related series share one.
    pub(super) colour: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Line,
    LineAndDots,
    Dots,
}

impl Chart {
    /// Renders the chart as SVG.
    pub(super) fn svg(&self) -> Result<String> {
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            self.draw(&area).map_err(|error| anyhow!("{}: {error}", self.title))?;
        }
        text.push('\n');
        Ok(text)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        // Logarithms are drawn on linear axes with explicit ticks, so that even a range of less than a decade has some.
        let place = |(x, y): (f64, f64)| (scaled(x, self.log_x), scaled(y, self.log_y));
        let all: Vec<(f64, f64)> =
            self.series.iter().flat_map(|series| series.points.iter().copied().map(place)).collect();
        let x = padded(all.iter().map(|point| point.0));
        let y = padded(all.iter().map(|point| point.1));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        // Ticks of a logarithmic axis are rarely round numbers; three digits are enough.
        let label = |log: bool| {
            move |value: &f64| {
                let rounded = |value: f64| format!("{value:.2e}").parse().unwrap_or(value);
                number(if log { rounded(10f64.powf(*value)) } else { *value })
            }
        };
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&label(self.log_x))
            .y_label_formatter(&label(self.log_y))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(0xe4, 0xe8, 0xec))
            .axis_style(RGBColor(0x8a, 0x93, 0x9c))
            .label_style(("sans-serif", 13))
            .draw()?;
        for series in &self.series {
            let colour = COLOURS[series.colour % COLOURS.len()];
            let points: Vec<(f64, f64)> = series.points.iter().copied().map(place).collect();
            let label = |shown: &mut plotters::chart::SeriesAnno<'_, SVGBackend<'_>>| {
                if !series.label.is_empty() {
                    shown
                        .label(&series.label)
                        .legend(move |(x, y)| Rectangle::new([(x, y - 2), (x + 16, y + 2)], colour.filled()));
                }
            };
            if series.style != Style::Dots {
                label(chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?);
            }
            if series.style != Style::Line {
                let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
                let drawn = chart.draw_series(dots)?;
                if series.style == Style::Dots {
                    label(drawn);
                }
            }
        }
        if self.series.iter().any(|series| !series.label.is_empty()) {
            chart
                .configure_series_labels()
                .position(match self.legend {
                    Legend::UpperRight => SeriesLabelPosition::UpperRight,
                    Legend::UpperMiddle => SeriesLabelPosition::UpperMiddle,
                    Legend::LowerRight => SeriesLabelPosition::LowerRight,
                })
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(0xd0, 0xd6, 0xdc))
                .label_font(("sans-serif", 12))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }
}

fn scaled(value: f64, log: bool) -> f64 {
    if log { value.log10() } else { value }
}

/// The smallest and the largest value, padded.
fn padded(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let room = 0.05 * (high - low).max(1e-9 * high.abs()).max(1e-12);
    (low - room, high + room)
}

/// A tick label: few digits, with `k` and `M` for thousands and millions.
fn number(value: f64) -> String {
    let size = value.abs();
    let (value, unit) = match size {
        _ if size >= 1e9 => (value / 1e9, "B"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    if value != 0.0 && value.abs() < 1e-3 {
        return format!("{value:.1e}{unit}");
    }
    let text = format!("{value:.4}");
    let digits = text.find('.').map_or(text.len(), |point| (point + 5).min(text.len()).min(point.max(1) + 4));
    format!("{}{unit}", text[..digits].trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let ticks = [0.0, 3.25, 0.01, 2.0, 474_240.0, 1.5e6, 2e9, 0.000_25, 1024.0].map(number);
        assert_eq!(ticks, ["0", "3.25", "0.01", "2", "474.24k", "1.5M", "2B", "2.5e-4", "1024"]);
    }

    #[test]
    fn a_chart_has_its_labels_and_is_the_same_each_time() {
        let series = Series {
            label: "a line".to_owned(),
            points: vec![(1.0, 3.0), (10.0, 2.0)],
            style: Style::LineAndDots,
            colour: 0,
        };
        let chart = Chart { title: "a title".to_owned(), log_x: true, series: vec![series], ..Chart::default() };
        let svg = chart.svg().expect("draws");
        assert!(svg.contains("a line") && svg.contains("a title") && svg.starts_with("<svg"));
        assert_eq!(svg, chart.svg().expect("draws"));
        assert!(Chart::default().svg().is_ok(), "nothing is a chart, too");
    }
}
