//! The embedded store through the service: beside a constant for what is read, and beside one commit a
//! write, on one thread and without a service, for what is written.

use anyhow::Result;

use super::environment::Place;
use crate::baselines::SqliteFloor;
use crate::comparison::{Goal, Side, compare, median_of};
use crate::operation::Operation;
use crate::report::Report;

pub fn measure(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let server = place.on_sqlite("embedded")?;
    let constant = Place::constant(&place.fresh_sqlite("constant")?)?;
    let mut constants = place.traffic(Operation::Constant);
    let against: Side<'_> = &mut |time| place.load(constant.address, &mut constants, time);
    let mut floor = SqliteFloor::open(&place.fresh_sqlite("floor")?)?;

    let mut traffic = place.traffic(Operation::ReadPost);
    let comparison = compare(
        place.effort,
        (&work(Operation::ReadPost), &mut |time| place.load(server.address, &mut traffic, time)),
        ("a constant, token verified", against),
        ("/s", Goal::AtLeast(0.8)),
    )?;
    keep(place, report, Operation::ReadPost, comparison, server.address)?;

    for operation in [Operation::Vote, Operation::CreatePost] {
        let mut traffic = place.traffic(operation);
        let comparison = compare(
            place.effort,
            (&work(operation), &mut |time| place.load(server.address, &mut traffic, time)),
            ("one commit a write, one thread", &mut |time| match operation {
                Operation::Vote => floor.vote(time),
                _ => floor.create_post(time),
            }),
            ("/s", Goal::AtLeast(5.0)),
        )?;
        keep(place, report, operation, comparison, server.address)?;
    }
    Ok(())
}

fn work(operation: Operation) -> String {
    format!("{}, embedded", operation.name())
}

fn keep(
    place: &Place<'_>,
    report: &mut Report,
    operation: Operation,
    comparison: crate::comparison::Comparison,
    address: std::net::SocketAddr,
) -> Result<()> {
    let reached = median_of(&comparison.ours);
    report.comparisons.push(comparison);
    let mut traffic = place.traffic(operation);
    report.latencies.push(place.latency(work(operation), address, &mut traffic, reached)?);
    Ok(())
}
