//! The figures as a table and as plots, put between two marks of a page.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::*;

use crate::comparison::{Comparison, Goal, Times, median_of};

const BEGIN: &str = "<!-- speed: begin -->";
const END: &str = "<!-- speed: end -->";

/// Times of requests that come at a constant rate.
pub struct Latency {
    pub work: String,
    pub per_second: f64,
    pub times: Times,
    /// Shares of requests and the time within which they are answered, in microseconds.
    pub curve: Vec<(f64, u64)>,
}

#[derive(Default)]
pub struct Report {
    pub comparisons: Vec<Comparison>,
    pub latencies: Vec<Latency>,
}

impl Report {
    /// Puts the figures into the page, and the plots beside it.
    pub fn write(&self, page: &Path) -> Result<()> {
        let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let marks = || anyhow!("{} lacks its marks", page.display());
        let (before, rest) = text.split_once(BEGIN).ok_or_else(marks)?;
        let (_, after) = rest.split_once(END).ok_or_else(marks)?;
        let figures = self.to_markdown()?;
        std::fs::write(page, format!("{before}{BEGIN}\n\n{figures}\n{END}{after}"))?;
        let folder = page.with_extension("");
        std::fs::create_dir_all(&folder)?;
        self.plot_ratios(&folder.join("ratios.svg"))?;
        self.plot_latencies(&folder.join("latencies.svg"))
    }

    pub fn to_markdown(&self) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "| work | against | ours | theirs | ratio | min..max | goal | |")?;
        writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")?;
        for comparison in &self.comparisons {
            let ratios = comparison.ratios();
            let (least, most) = (ratios.first(), ratios.last());
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {}..{} | {} | {} |",
                comparison.work,
                comparison.against,
                figure(median_of(&comparison.ours), comparison.unit),
                figure(median_of(&comparison.theirs), comparison.unit),
                ratio(comparison.ratio()),
                ratio(least.copied().unwrap_or(f64::NAN)),
                ratio(most.copied().unwrap_or(f64::NAN)),
                goal(comparison.goal),
                if comparison.is_met() { "met" } else { "missed" },
            )?;
        }
        if !self.latencies.is_empty() {
            writeln!(text, "\n| at a constant rate | a second | median | 99 of 100 | longest |")?;
            writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
        }
        for latency in &self.latencies {
            let Times { median, p99, longest } = latency.times;
            let (work, rate) = (&latency.work, latency.per_second);
            writeln!(text, "| {work} | {rate:.0} | {median} µs | {p99} µs | {longest} µs |")?;
        }
        Ok(text)
    }

    /// How much of its goal each ratio is, on a scale of powers.
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
            Goal::AtLeast(least) => comparison.ratio() / least,
            Goal::AtMost(most) => most / comparison.ratio(),
        };
        for (row, comparison) in (0..).zip(&self.comparisons) {
            let place = count - 1 - row;
            let colour =
                if comparison.is_met() { RGBColor(70, 130, 90) } else { RGBColor(190, 90, 60) };
            let bar = [(0.1, place), (share(comparison).clamp(0.1, 100.0), place + 1)];
            chart.draw_series([Rectangle::new(bar, colour.mix(0.6).filled())])?;
            let name = format!(
                "{} / {}: {} of {}",
                comparison.work.replace('`', ""),
                comparison.against.replace('`', ""),
                ratio(comparison.ratio()),
                goal(comparison.goal)
            );
            let style = ("sans-serif", 13).into_font().color(&BLACK);
            chart.draw_series([Text::new(name, (0.105, place + 1), style)])?;
        }
        chart.draw_series([PathElement::new([(1.0, 0), (1.0, count)], BLACK)])?;
        area.present()?;
        Ok(())
    }

    /// The time within which a share of the requests is answered.
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
            .x_desc("one of so many requests takes longer")
            .y_desc("microseconds")
            .draw()?;
        for (number, latency) in self.latencies.iter().enumerate() {
            let colour = Palette99::pick(number).to_rgba();
            let points = latency.curve.iter().map(|(share, time)| {
                let time = f64::from(u32::try_from(*time).unwrap_or(u32::MAX));
                (1.0 / (1.0 - share), time)
            });
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(latency.work.replace('`', ""))
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

fn figure(figure: f64, unit: &str) -> String {
    if figure < 100.0 { format!("{figure:.1}{unit}") } else { format!("{figure:.0}{unit}") }
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::AtLeast(least) => format!(">= {least}"),
        Goal::AtMost(most) => format!("<= {most}"),
    }
}
