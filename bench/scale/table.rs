//! Prints what was measured, as a table in Markdown.

#![expect(clippy::print_stdout, reason = "the table is what the command is for")]

use super::measure::Measured;
use super::service::Service;

pub(crate) fn print(results: &[Measured], small: &Service, large: &Service) {
    println!();
    println!(
        "| operation | at once | {} posts, us | {} posts, us | ratio | min..max |",
        small.posts, large.posts
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for result in results {
        let small = median(result.rounds.iter().map(|(small, _)| *small));
        let large = median(result.rounds.iter().map(|(_, large)| *large));
        let mut ratios: Vec<f64> =
            result.rounds.iter().map(|(small, large)| large / small).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios.first().unwrap_or(&0.0), ratios.last().unwrap_or(&0.0));
        println!(
            "| {} | {} | {small:.0} | {large:.0} | {:.2} | {least:.2}..{most:.2} |",
            result.name,
            result.concurrency,
            median(ratios.iter().copied()),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
