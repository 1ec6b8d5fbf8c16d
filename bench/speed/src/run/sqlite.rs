//! The service on SQLite: reads against the no-op server, writes against one thread that writes to
//! SQLite without a service and commits each write.

use anyhow::Result;

use super::environment::Environment;
use crate::baselines::SqliteBaseline;
use crate::comparison::{Comparison, Goal, MeasureFn, Measurement, compare, median_of};
use crate::operation::Operation;
use crate::report::{LatencyProfile, Report};

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let service = &environment.options.service;
    let server = environment.start_on_sqlite("sqlite")?;
    let noop_server =
        Environment::start_noop_server(&environment.create_sqlite_database(service, "noop")?)?;
    let mut noop_traffic = environment.traffic(Operation::Noop);
    let measure_noop: MeasureFn<'_> =
        &mut |time| environment.load(noop_server.address, &mut noop_traffic, time);
    let mut baseline =
        SqliteBaseline::open(&environment.create_sqlite_database(service, "baseline")?)?;

    let mut traffic = environment.traffic(Operation::ReadPost);
    let comparison = compare(
        environment.schedule,
        (&name(Operation::ReadPost), &mut |time| {
            environment.load(server.address, &mut traffic, time)
        }),
        ("no-op server, token verified", measure_noop),
        ("/s", Goal::AtLeast(0.85)),
    )?;
    add(environment, report, Operation::ReadPost, comparison, server.address)?;

    for (operation, goal) in [(Operation::Vote, 5.0), (Operation::CreatePost, 6.0)] {
        let mut traffic = environment.traffic(operation);
        let comparison = compare(
            environment.schedule,
            (&name(operation), &mut |time| environment.load(server.address, &mut traffic, time)),
            ("one thread, one commit per write", &mut |time| match operation {
                Operation::Vote => baseline.cast_votes(time),
                _ => baseline.create_posts(time),
            }),
            ("/s", Goal::AtLeast(goal)),
        )?;
        add(environment, report, operation, comparison, server.address)?;
    }
    Ok(())
}

fn name(operation: Operation) -> String {
    format!("{}, SQLite", operation.name())
}

/// Adds the comparison and a latency profile of the operation to the report.
fn add(
    environment: &Environment<'_>,
    report: &mut Report,
    operation: Operation,
    comparison: Comparison,
    address: std::net::SocketAddr,
) -> Result<()> {
    let throughput = median_of(&comparison.service_values);
    report.comparisons.push(comparison);
    let mut traffic = environment.traffic(operation);
    let profile =
        environment.profile_latency(name(operation), address, &mut traffic, throughput)?;
    if operation == Operation::Vote {
        report.comparisons.push(tail(&profile)?);
    }
    report.latencies.push(profile);
    Ok(())
}

/// Compares the 99th percentile with the median.
fn tail(profile: &LatencyProfile) -> Result<Comparison> {
    let microseconds = |value: u64| -> Result<Vec<Measurement>> {
        Ok(vec![Measurement::new(f64::from(u32::try_from(value)?))])
    };
    Ok(Comparison {
        name: format!("p99 of {}, at half load", profile.name),
        baseline: "the median".to_owned(),
        unit: " µs",
        goal: Goal::AtMost(10.0),
        service_values: microseconds(profile.percentiles.p99)?,
        baseline_values: microseconds(profile.percentiles.median)?,
    })
}
