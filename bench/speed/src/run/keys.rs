//! New posts with an idempotency key against new posts without one, on both stores.

use anyhow::Result;

use super::environment::Environment;
use crate::comparison::{Goal, compare};
use crate::operation::Operation;
use crate::report::Report;

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let servers = [
        ("SQLite", environment.start_on_sqlite("keys")?),
        ("PostgreSQL", environment.start_on_postgres("keys")?),
    ];
    for (store, server) in servers {
        let mut with_key = environment.traffic(Operation::CreatePostWithKey);
        let mut without_key = environment.traffic(Operation::CreatePost);
        report.comparisons.push(compare(
            environment.schedule,
            (&format!("{}, {store}", Operation::CreatePostWithKey.name()), &mut |time| {
                environment.load(server.address, &mut with_key, time)
            }),
            ("without a key", &mut |time| environment.load(server.address, &mut without_key, time)),
            ("/s", Goal::AtLeast(0.6)),
        )?);
    }
    Ok(())
}
