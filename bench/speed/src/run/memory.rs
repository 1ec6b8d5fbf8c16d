//! What the process holds while 256 connections are busy.

use anyhow::Result;

use super::environment::Place;
use crate::comparison::{Comparison, Goal, Reading};
use crate::load::{self, Pace};
use crate::operation::Operation;
use crate::report::Report;

const CONNECTIONS: usize = 256;

pub fn measure(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let servers =
        [("embedded", place.on_sqlite("memory")?), ("PostgreSQL", place.on_postgres("memory")?)];
    for (store, server) in servers {
        let mut most: f64 = 0.0;
        for operation in [Operation::ReadPost, Operation::ListPosts, Operation::Vote] {
            let mut traffic = place.traffic(operation);
            let time = place.effort.time;
            let outcome = load::run(server.address, CONNECTIONS, Pace::Closed, time, &mut traffic)?;
            Reading::throughput(&outcome)?;
            most = most.max(server.resident()?);
        }
        report.comparisons.push(Comparison {
            work: format!("memory at {CONNECTIONS} connections, {store}"),
            against: "1 MiB".to_owned(),
            unit: " MiB",
            goal: Goal::AtMost(64.0),
            ours: vec![Reading::of(most)],
            theirs: vec![Reading::of(1.0)],
        });
    }
    Ok(())
}
