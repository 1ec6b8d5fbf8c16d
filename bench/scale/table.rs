//! Prints the measurements as a Markdown table.

#![expect(clippy::print_stdout, reason = "the table is the result of the command")]

use super::measure::Measurement;
use super::service::Service;

pub(crate) fn print(measurements: &[Measurement], small: &Service, large: &Service) {
    println!();
    println!(
        "| operation | concurrency | {} posts | {} posts | ratio | min..max |",
        small.posts, large.posts
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for measurement in measurements {
        let small = median(measurement.rounds.iter().map(|(small, _)| *small));
        let large = median(measurement.rounds.iter().map(|(_, large)| *large));
        let mut ratios: Vec<f64> =
            measurement.rounds.iter().map(|(small, large)| large / small).collect();
        ratios.sort_by(f64::total_cmp);
        let (min, max) = (ratios.first().unwrap_or(&0.0), ratios.last().unwrap_or(&0.0));
        println!(
            "| {} | {} | {small:.0} µs | {large:.0} µs | {:.2} | {min:.2}..{max:.2} |",
            measurement.name,
            measurement.concurrency,
            median(ratios.iter().copied()),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
