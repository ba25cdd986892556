//! The plots, as SVG that reads on light and on dark pages: no background, and grey for what is no curve.

use super::rows::ROWS;
use crate::engine::Kind;
use crate::results::Results;
use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;

pub struct Plot {
    pub file: &'static str,
    pub title: &'static str,
    pub svg: String,
}

/// In the middle between black and white.
const GREY: RGBColor = RGBColor(128, 128, 128);
const FONT: (&str, i32) = ("sans-serif", 14);

/// Colours that colour-blind eyes tell apart too, after Okabe and Ito; Pumice's is the strongest.
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Pumice => RGBColor(213, 94, 0),
        Kind::PumicePacked => RGBColor(245, 170, 110),
        Kind::Redb => RGBColor(0, 114, 178),
        Kind::Fjall => RGBColor(0, 158, 115),
        Kind::Sqlite => RGBColor(86, 180, 233),
        Kind::Lmdb => RGBColor(204, 121, 167),
        Kind::Emdb => RGBColor(200, 160, 0),
        Kind::Raw => GREY,
        Kind::RawAhead => RGBColor(160, 160, 160),
    }
}

struct Lines {
    file: &'static str,
    title: &'static str,
    /// The cases, with a number behind that is the place on the horizontal axis.
    cases: &'static str,
    measure: &'static str,
    horizontal: &'static str,
    vertical: &'static str,
    /// What the measure is multiplied with.
    scale: f64,
}

const LINES: [Lines; 5] = [
    Lines {
        file: "writers.svg",
        title: "Durable puts, by writers",
        cases: "puts/writers=",
        measure: "per_second",
        horizontal: "writers",
        vertical: "thousand puts a second",
        scale: 1e-3,
    },
    Lines {
        file: "slow-flush.svg",
        title: "Durable puts with a flush that costs 1 ms more, by writers",
        cases: "slow-flush/writers=",
        measure: "per_second",
        horizontal: "writers",
        vertical: "thousand puts a second",
        scale: 1e-3,
    },
    Lines {
        file: "sizes.svg",
        title: "Durable batches of 1,000, by bytes of a document",
        cases: "batches/bytes=",
        measure: "per_second",
        horizontal: "bytes of a document",
        vertical: "thousand documents a second",
        scale: 1e-3,
    },
    Lines {
        file: "opening.svg",
        title: "From opening to the first get, warm, by documents",
        cases: "open-warm/",
        measure: "first_get_seconds",
        horizontal: "thousand documents",
        vertical: "milliseconds",
        scale: 1e3,
    },
    Lines {
        file: "gets.svg",
        title: "Point gets, by documents",
        cases: "gets/",
        measure: "per_second",
        horizontal: "thousand documents",
        vertical: "thousand gets a second",
        scale: 1e-3,
    },
];

/// Those of which there is something to show.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn plots(results: &Results) -> Result<Vec<Plot>> {
    let mut all = Vec::new();
    let mut add = |file, title, svg: Option<String>| all.extend(svg.map(|svg| Plot { file, title, svg }));
    add("ratios.svg", "Pumice against the best of the others", ratios(results)?);
    for lines in &LINES {
        add(lines.file, lines.title, lines.draw(results)?);
    }
    Ok(all)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot could not be drawn: {error}")
}

impl Lines {
    fn draw(&self, results: &Results) -> Result<Option<String>> {
        let per = if self.horizontal.starts_with("thousand") { 1e-3 } else { 1.0 };
        let series: Vec<(Kind, Vec<(f64, f64)>)> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let point = |n: u64| {
                    let value = results.median(kind, &format!("{}{n}", self.cases), self.measure)?;
                    (value > 0.0).then_some((n as f64 * per, value * self.scale))
                };
                (kind, results.numbered(self.cases).into_iter().filter_map(point).collect())
            })
            .filter(|(_, points): &(_, Vec<_>)| points.len() > 1)
            .collect();
        let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
        let Some((left, right)) = range(points().map(|(x, _)| x)) else { return Ok(None) };
        let Some((low, high)) = range(points().map(|(_, y)| y)) else { return Ok(None) };
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (800, 420)).into_drawing_area();
            let (left_part, legend) = area.split_horizontally(600);
            let grey = FONT.into_font().color(&GREY);
            let mut chart = ChartBuilder::on(&left_part)
                .margin(12)
                .margin_right(24)
                .caption(self.title, ("sans-serif", 18).into_font().color(&GREY))
                .x_label_area_size(44)
                .y_label_area_size(72)
                .build_cartesian_2d((left..right).log_scale(), (low / 1.5..high * 1.5).log_scale())
                .map_err(failed)?;
            chart
                .configure_mesh()
                .x_desc(self.horizontal)
                .y_desc(self.vertical)
                .label_style(grey.clone())
                .axis_desc_style(grey.clone())
                .axis_style(GREY)
                .bold_line_style(GREY.mix(0.35))
                .light_line_style(TRANSPARENT)
                .x_label_formatter(&|x| short(*x))
                .y_label_formatter(&|y| short(*y))
                .draw()
                .map_err(failed)?;
            for (line, (kind, points)) in (0..).zip(&series) {
                let width = if *kind == Kind::Pumice { 4 } else { 2 };
                let style = colour(*kind).stroke_width(width);
                chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(failed)?;
                let y = 60 + 22 * line;
                legend.draw(&PathElement::new([(0, y), (22, y)], style)).map_err(failed)?;
                legend.draw(&Text::new(kind.title(), (30, y - 7), grey.clone())).map_err(failed)?;
                let dots = points.iter().map(|point| Circle::new(*point, width, colour(*kind).filled()));
                chart.draw_series(dots).map_err(failed)?;
            }
            area.present().map_err(failed)?;
        }
        Ok(Some(svg))
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// A number on an axis.
fn short(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}

/// One bar a row of the table of targets: to the right of 1, Pumice is better.
fn ratios(results: &Results) -> Result<Option<String>> {
    let mut rows: Vec<(&str, f64)> =
        ROWS.iter().filter_map(|row| Some((row.work, row.outcome(results)?.ratio?))).collect();
    rows.reverse();
    let Some((low, high)) = range(rows.iter().map(|(_, ratio)| *ratio)) else { return Ok(None) };
    let (low, high) = (low.min(0.5) / 1.3, high.max(2.0) * 1.6);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (760, 60 + 26 * rows.len() as u32)).into_drawing_area();
        let grey = FONT.into_font().color(&GREY);
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(310)
            .build_cartesian_2d((low..high).log_scale(), (0..rows.len()).into_segmented())
            .map_err(failed)?;
        let name = |segment: &SegmentValue<usize>| match segment {
            SegmentValue::CenterOf(row) => rows.get(*row).map_or("", |(work, _)| work).to_owned(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .x_desc("times as good as the best of the others")
            .y_labels(rows.len())
            .label_style(grey.clone())
            .axis_desc_style(grey.clone())
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.35))
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&name)
            .draw()
            .map_err(failed)?;
        for (at, (_, ratio)) in rows.iter().enumerate() {
            let kind = if *ratio >= 1.0 { Kind::Pumice } else { Kind::Redb };
            let corners = [(1.0, SegmentValue::Exact(at)), (*ratio, SegmentValue::Exact(at + 1))];
            let mut bar = Rectangle::new(corners, colour(kind).filled());
            bar.set_margin(5, 5, 0, 0);
            let label = format!("{}×", super::unit::three_digits(*ratio));
            let place = (ratio.max(1.0), SegmentValue::CenterOf(at));
            let offset = EmptyElement::at(place) + Text::new(label, (6, -7), FONT.into_font().color(&GREY));
            chart.draw_series(std::iter::once(bar)).map_err(failed)?;
            chart.draw_series(std::iter::once(offset)).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(Some(svg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_data::results;

    #[test]
    fn plots_name_what_they_show_and_have_no_background() {
        let plots = plots(&results()).unwrap();
        let files: Vec<_> = plots.iter().map(|plot| plot.file).collect();
        assert_eq!(files, ["ratios.svg", "slow-flush.svg"]);
        for plot in &plots {
            assert!(plot.svg.starts_with("<svg") && plot.svg.trim_end().ends_with("</svg>"));
            assert!(!plot.svg.contains("#FFFFFF") && !plot.svg.contains("#000000"), "{}", plot.svg);
        }
        assert!(plots[0].svg.contains("durable put, 1 writer") && plots[0].svg.contains("0.75×"));
        assert!(plots[1].svg.contains("Pumice"));
    }
}
