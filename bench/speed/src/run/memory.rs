//! The resident memory of the service while 256 connections are busy.

use anyhow::Result;

use super::environment::Environment;
use crate::comparison::{Comparison, Goal, Measurement};
use crate::load::{self, Pace};
use crate::operation::Operation;
use crate::report::Report;

const CONNECTIONS: usize = 256;

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let servers = [
        ("SQLite", environment.start_on_sqlite("memory")?),
        ("PostgreSQL", environment.start_on_postgres("memory")?),
    ];
    for (store, server) in servers {
        let mut peak: f64 = 0.0;
        for operation in [Operation::ReadPost, Operation::ListPosts, Operation::Vote] {
            let mut traffic = environment.traffic(operation);
            let time = environment.schedule.time;
            let outcome =
                load::run(server.address, CONNECTIONS, Pace::ClosedLoop, time, &mut traffic)?;
            Measurement::throughput(&outcome)?;
            peak = peak.max(server.resident_mib()?);
        }
        report.comparisons.push(Comparison {
            name: format!("memory at {CONNECTIONS} connections, {store}"),
            baseline: "1 MiB".to_owned(),
            unit: " MiB",
            goal: Goal::AtMost(64.0),
            service_values: vec![Measurement::new(peak)],
            baseline_values: vec![Measurement::new(1.0)],
        });
    }
    Ok(())
}
