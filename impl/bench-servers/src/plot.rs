//! What was measured, as a picture.

use crate::measure::Figures;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

/// Figures of one system, by the number of clients.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(usize, Figures)>,
}

/// Draws operations a second over the number of clients, both on logarithmic axes.
pub(crate) fn draw(path: &Path, title: &str, lines: &[Line]) -> Result<()> {
    let area = SVGBackend::new(path, (640, 400)).into_drawing_area();
    let failed = |error: DrawingAreaErrorKind<std::io::Error>| anyhow!("cannot draw: {error}");
    area.fill(&WHITE).map_err(failed)?;
    let points = || lines.iter().flat_map(|line| &line.points);
    let most_clients = points().map(|(clients, _)| *clients).max().unwrap_or(1);
    let rates = || points().map(|(_, figures)| figures.rate);
    let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(1.0, f64::max));
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (1.0..most_clients as f64).log_scale(),
            (least / 2.0..most * 2.0).log_scale(),
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("clients")
        .y_desc("operations a second")
        .draw()
        .map_err(failed)?;
    for (line, color) in lines.iter().zip([&RED, &BLUE]) {
        let points = line.points.iter().map(|(clients, figures)| (*clients as f64, figures.rate));
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style).point_size(4))
            .map_err(failed)?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(failed)?;
    area.present().map_err(failed)
}
