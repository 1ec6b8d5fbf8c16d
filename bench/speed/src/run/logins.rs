//! Logins against hashing only, and reads while logins keep all hashing threads busy.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::environment::Environment;
use crate::baselines;
use crate::comparison::{Goal, Measurement, compare};
use crate::load::{self, Pace};
use crate::operation::{ApiTraffic, Operation};
use crate::report::Report;
use crate::seed;

/// Concurrent logins: few enough that the service rejects none.
const CONNECTIONS: usize = 8;

/// Reads per second, far below the throughput of the service.
const READ_RATE: f64 = 2000.0;

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

    let read = |time: Duration| {
        let mut traffic = environment.traffic(Operation::ReadPost);
        let connections = environment.options.connections;
        let outcome =
            load::run(server.address, connections, Pace::OpenLoop(READ_RATE), time, &mut traffic)?;
        Measurement::p99(&outcome)
    };
    report.comparisons.push(compare(
        schedule,
        ("p99 of `GET /posts/{id}` during logins", &mut |time| {
            during_logins(server.address, time, || read(time))
        }),
        ("the same without logins", &mut |time| read(time)),
        (" µs", Goal::AtMost(3.0)),
    )?);
    Ok(())
}

/// Measures during logins, which start before and end after the measurement.
fn during_logins(
    address: std::net::SocketAddr,
    time: Duration,
    measure: impl FnOnce() -> Result<Measurement>,
) -> Result<Measurement> {
    std::thread::scope(|scope| {
        let (started, has_started) = mpsc::channel();
        let logins = scope.spawn(move || -> Result<()> {
            let mut traffic = ApiTraffic::new(Operation::LogIn, seed::tokens()?);
            let _ = started.send(());
            let time = time + Duration::from_secs(1);
            let outcome = load::run(address, CONNECTIONS, Pace::ClosedLoop, time, &mut traffic)?;
            Measurement::throughput(&outcome).map(|_| ())
        });
        has_started.recv()?;
        std::thread::sleep(Duration::from_millis(500));
        let measurement = measure();
        logins.join().map_err(|_| anyhow!("the login thread panicked"))??;
        measurement
    })
}
