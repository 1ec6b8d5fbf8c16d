//! Writes the results into a page: tables between two markers, and plots in a folder next to it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::*;

use crate::comparison::{Comparison, Goal, Percentiles, median, median_of};

const BEGIN_MARKER: &str = "<!-- speed: begin -->";
const END_MARKER: &str = "<!-- speed: end -->";

/// Latencies of one operation at a constant rate of requests.
pub struct LatencyProfile {
    pub name: String,
    pub requests_per_second: f64,
    pub percentiles: Percentiles,
    /// Pairs of a share of the requests and the latency that it does not exceed, in microseconds.
    pub curve: Vec<(f64, u64)>,
}

/// An operation under the load of several clients, each compared with the same baseline.
pub struct ClientComparison {
    pub name: String,
    pub clients: Vec<ClientRuns>,
    pub baseline: ClientRuns,
}

/// The runs of one client, one per round.
pub struct ClientRuns {
    pub client: String,
    pub runs: Vec<Run>,
}

/// One run: its throughput, and the processors that were busy on average with client, service and
/// database.
#[derive(Clone, Copy)]
pub struct Run {
    pub per_second: f64,
    pub client: f64,
    pub service: f64,
    pub database: f64,
}

impl ClientRuns {
    pub fn new(client: &str) -> Self {
        Self { client: client.to_owned(), runs: Vec::new() }
    }

    fn median_of(&self, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(value).collect())
    }

    /// Returns the ratio of each round to the baseline, in ascending order.
    fn ratios(&self, baseline: &Self) -> Vec<f64> {
        let pairs = self.runs.iter().zip(&baseline.runs);
        let mut ratios: Vec<f64> =
            pairs.map(|(run, baseline)| run.per_second / baseline.per_second).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }
}

#[derive(Default)]
pub struct Report {
    pub comparisons: Vec<Comparison>,
    pub clients: Vec<ClientComparison>,
    pub latencies: Vec<LatencyProfile>,
}

impl Report {
    /// Replaces the tables between the markers of the page, and writes the plots.
    pub fn write(&self, page: &Path) -> Result<()> {
        let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let missing = |marker: &str| anyhow!("{} lacks the marker {marker}", page.display());
        let (before, rest) = text.split_once(BEGIN_MARKER).ok_or_else(|| missing(BEGIN_MARKER))?;
        let (_, after) = rest.split_once(END_MARKER).ok_or_else(|| missing(END_MARKER))?;
        let tables = self.to_markdown()?;
        std::fs::write(page, format!("{before}{BEGIN_MARKER}\n\n{tables}\n{END_MARKER}{after}"))?;
        let folder = page.with_extension("");
        std::fs::create_dir_all(&folder)?;
        self.plot_ratios(&folder.join("ratios.svg"))?;
        self.plot_latencies(&folder.join("latencies.svg"))
    }

    pub fn to_markdown(&self) -> Result<String> {
        let mut text = String::new();
        if !self.comparisons.is_empty() {
            self.write_comparisons(&mut text)?;
        }
        if !self.clients.is_empty() {
            self.write_clients(&mut text)?;
        }
        if !self.latencies.is_empty() {
            writeln!(text, "\n| at a constant rate | requests/s | median | p99 | max |")?;
            writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
        }
        for latency in &self.latencies {
            let Percentiles { median, p99, max } = latency.percentiles;
            let (name, rate) = (&latency.name, latency.requests_per_second);
            writeln!(text, "| {name} | {rate:.0} | {median} µs | {p99} µs | {max} µs |")?;
        }
        Ok(text)
    }

    fn write_comparisons(&self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "| operation | compared with | service | other | ratio | min..max | goal | result |"
        )?;
        writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")?;
        for comparison in &self.comparisons {
            let ratios = comparison.ratios();
            let (min, max) = (ratios.first(), ratios.last());
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {}..{} | {} | {} |",
                comparison.name,
                comparison.baseline,
                format_value(median_of(&comparison.service_values), comparison.unit),
                format_value(median_of(&comparison.baseline_values), comparison.unit),
                format_ratio(comparison.ratio()),
                format_ratio(min.copied().unwrap_or(f64::NAN)),
                format_ratio(max.copied().unwrap_or(f64::NAN)),
                format_goal(comparison.goal),
                if comparison.is_met() { "met" } else { "missed" },
            )?;
        }
        Ok(())
    }

    fn write_clients(&self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "\n| loaded by several clients | client | requests/s | ratio to pgbench | min..max \
             | busy cores: client | service | PostgreSQL |"
        )?;
        writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for ClientComparison { name, clients, baseline } in &self.clients {
            for client in clients.iter().chain([baseline]) {
                let ratios = client.ratios(baseline);
                let bound = |ratio: Option<&f64>| format_ratio(ratio.copied().unwrap_or(f64::NAN));
                let (min, max) = (bound(ratios.first()), bound(ratios.last()));
                writeln!(
                    text,
                    "| {name} | {} | {:.0} | {} | {min}..{max} | {:.2} | {:.2} | {:.2} |",
                    client.client,
                    client.median_of(|run| run.per_second),
                    format_ratio(median(ratios)),
                    client.median_of(|run| run.client),
                    client.median_of(|run| run.service),
                    client.median_of(|run| run.database),
                )?;
            }
        }
        Ok(())
    }

    /// Plots each ratio as a share of its goal, on a logarithmic scale.
    fn plot_ratios(&self, path: &Path) -> Result<()> {
        let rows = self.comparisons.len().max(1);
        let size = (960, u32::try_from(60 + 28 * rows)?);
        let area = SVGBackend::new(path, size).into_drawing_area();
        area.fill(&WHITE)?;
        let count = i32::try_from(rows)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(30)
            .build_cartesian_2d((0.1..100.0).log_scale(), 0..count)?;
        chart.configure_mesh().disable_y_mesh().disable_y_axis().draw()?;
        let share = |comparison: &Comparison| match comparison.goal {
            Goal::AtLeast(min) => comparison.ratio() / min,
            Goal::AtMost(max) => max / comparison.ratio(),
        };
        for (row, comparison) in (0..).zip(&self.comparisons) {
            let y = count - 1 - row;
            let colour =
                if comparison.is_met() { RGBColor(70, 130, 90) } else { RGBColor(190, 90, 60) };
            let bar = [(0.1, y), (share(comparison).clamp(0.1, 100.0), y + 1)];
            chart.draw_series([Rectangle::new(bar, colour.mix(0.6).filled())])?;
            let name = format!(
                "{} / {}: {} of {}",
                comparison.name.replace('`', ""),
                comparison.baseline.replace('`', ""),
                format_ratio(comparison.ratio()),
                format_goal(comparison.goal)
            );
            let style = ("sans-serif", 13).into_font().color(&BLACK);
            chart.draw_series([Text::new(name, (0.105, y + 1), style)])?;
        }
        chart.draw_series([PathElement::new([(1.0, 0), (1.0, count)], BLACK)])?;
        area.present()?;
        Ok(())
    }

    /// Plots the latency that a share of the requests does not exceed.
    fn plot_latencies(&self, path: &Path) -> Result<()> {
        let area = SVGBackend::new(path, (960, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d((1.0..10_000.0).log_scale(), (10.0..1_000_000.0).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("one request in this many takes longer")
            .y_desc("microseconds")
            .draw()?;
        for (index, latency) in self.latencies.iter().enumerate() {
            let colour = Palette99::pick(index).to_rgba();
            let points = latency.curve.iter().map(|(share, latency)| {
                let latency = f64::from(u32::try_from(*latency).unwrap_or(u32::MAX));
                (1.0 / (1.0 - share), latency)
            });
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(latency.name.replace('`', ""))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

fn format_value(value: f64, unit: &str) -> String {
    if value < 100.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

fn format_ratio(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2}"),
        ..100.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

fn format_goal(goal: Goal) -> String {
    match goal {
        Goal::AtLeast(min) => format!(">= {min}"),
        Goal::AtMost(max) => format!("<= {max}"),
    }
}
