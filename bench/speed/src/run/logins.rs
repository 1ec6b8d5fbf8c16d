//! Logins against hashing only.

use std::time::Duration;

use anyhow::Result;

use super::environment::Environment;
use crate::baselines;
use crate::comparison::{Goal, Measurement, compare};
use crate::load::{self, Pace};
use crate::operation::Operation;
use crate::report::Report;

/// Concurrent logins: few enough that the service rejects none.
const CONNECTIONS: usize = 8;

/// Logins are measured for longer: each takes a tenth of a second, and several times as long in a
/// debug build.
const TIME_FACTOR: u32 = 2;
const MIN_TIME: Duration = Duration::from_secs(2);

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let server = environment.start_on_sqlite("logins")?;
    let mut schedule = environment.schedule;
    schedule.time = (TIME_FACTOR * schedule.time).max(MIN_TIME);
    let mut traffic = environment.traffic(Operation::LogIn);
    report.comparisons.push(compare(
        schedule,
        (Operation::LogIn.name(), &mut |time| {
            let outcome =
                load::run(server.address, CONNECTIONS, Pace::ClosedLoop, time, &mut traffic)?;
            Measurement::throughput(&outcome)
        }),
        ("Argon2id only, on all cores", &mut baselines::hash_passwords),
        ("/s", Goal::AtLeast(0.95)),
    )?);
    Ok(())
}
