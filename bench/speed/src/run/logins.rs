//! Logins beside hashing alone, and what reading is like while logins take all the hashing there is.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::environment::Place;
use crate::baselines;
use crate::comparison::{Goal, Reading, compare};
use crate::load::{self, Pace};
use crate::operation::{ApiTraffic, Operation};
use crate::report::Report;
use crate::seed;

/// Logins that wait at the same time: fewer than would be refused.
const CONNECTIONS: usize = 8;

/// Reads a second, far from all that could be had.
const READS: f64 = 2000.0;

/// A login takes a tenth of a second, and several times that in a build without optimisation.
const LONGER: u32 = 2;
const LEAST: Duration = Duration::from_secs(2);

pub fn measure(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let server = place.on_sqlite("logins")?;
    let mut effort = place.effort;
    effort.time = (LONGER * effort.time).max(LEAST);
    let mut traffic = place.traffic(Operation::LogIn);
    report.comparisons.push(compare(
        effort,
        (Operation::LogIn.name(), &mut |time| {
            let outcome = load::run(server.address, CONNECTIONS, Pace::Closed, time, &mut traffic)?;
            Reading::throughput(&outcome)
        }),
        ("Argon2id alone, on all cores", &mut baselines::hash),
        ("/s", Goal::AtLeast(0.95)),
    )?);

    let read = |time: Duration| {
        let mut traffic = place.traffic(Operation::ReadPost);
        let connections = place.options.connections;
        let outcome =
            load::run(server.address, connections, Pace::Open(READS), time, &mut traffic)?;
        Reading::p99(&outcome)
    };
    report.comparisons.push(compare(
        effort,
        ("p99 of `GET /posts/{id}` while logins take all hashing", &mut |time| {
            beside_logins(server.address, time, || read(time))
        }),
        ("the same, quiet", &mut |time| read(time)),
        (" µs", Goal::AtMost(3.0)),
    )?);
    Ok(())
}

/// Measures while others log in, who begin before and end after it.
fn beside_logins(
    address: std::net::SocketAddr,
    time: Duration,
    measure: impl FnOnce() -> Result<Reading>,
) -> Result<Reading> {
    std::thread::scope(|scope| {
        let (began, has_begun) = mpsc::channel();
        let logins = scope.spawn(move || -> Result<()> {
            let mut traffic = ApiTraffic::new(Operation::LogIn, seed::tokens()?);
            let _ = began.send(());
            let time = time + Duration::from_secs(1);
            let outcome = load::run(address, CONNECTIONS, Pace::Closed, time, &mut traffic)?;
            Reading::throughput(&outcome).map(|_| ())
        });
        has_begun.recv()?;
        std::thread::sleep(Duration::from_millis(500));
        let reading = measure();
        logins.join().map_err(|_| anyhow!("the logins panicked"))??;
        reading
    })
}
