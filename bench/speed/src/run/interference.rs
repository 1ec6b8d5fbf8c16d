//! Reads at a constant rate while other requests take all they can get: logins, which keep every
//! hashing thread busy, or one client that reads long lists without a pause.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::environment::Environment;
use crate::comparison::{Goal, Measurement, compare};
use crate::load::{self, Pace};
use crate::operation::{ApiTraffic, Operation};
use crate::report::Report;
use crate::seed;

/// Reads per second, far below the throughput of the service.
const READ_RATE: f64 = 2000.0;

/// The 99th percentile needs some thousand reads.
const MIN_TIME: Duration = Duration::from_secs(2);

/// Requests without a pause, over so many connections.
#[derive(Clone, Copy)]
struct OtherWork {
    operation: Operation,
    connections: usize,
}

/// Eight logins are few enough that the service rejects none.
const OTHER_WORK: [OtherWork; 2] = [
    OtherWork { operation: Operation::LogIn, connections: 8 },
    OtherWork { operation: Operation::ListThousandPosts, connections: 1 },
];

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let server = environment.start_on_sqlite("interference")?;
    let mut schedule = environment.schedule;
    schedule.time = schedule.time.max(MIN_TIME);
    let read = |time: Duration| {
        let mut traffic = environment.traffic(Operation::ReadPost);
        let connections = environment.options.connections;
        let outcome =
            load::run(server.address, connections, Pace::OpenLoop(READ_RATE), time, &mut traffic)?;
        Measurement::p99(&outcome)
    };
    for work in OTHER_WORK {
        report.comparisons.push(compare(
            schedule,
            (
                &format!("p99 of {} during {}", Operation::ReadPost.name(), work.operation.name()),
                &mut |time| during(work, server.address, time, || read(time)),
            ),
            ("the same, quiet", &mut |time| read(time)),
            (" µs", Goal::AtMost(3.0)),
        )?);
    }
    Ok(())
}

/// Measures during the other work, which starts before and ends after the measurement.
fn during(
    OtherWork { operation, connections }: OtherWork,
    address: SocketAddr,
    time: Duration,
    measure: impl FnOnce() -> Result<Measurement>,
) -> Result<Measurement> {
    std::thread::scope(|scope| {
        let (started, has_started) = mpsc::channel();
        let others = scope.spawn(move || -> Result<()> {
            let mut traffic = ApiTraffic::new(operation, seed::tokens()?);
            let _ = started.send(());
            let time = time + Duration::from_secs(1);
            let outcome = load::run(address, connections, Pace::ClosedLoop, time, &mut traffic)?;
            Measurement::throughput(&outcome).map(|_| ())
        });
        has_started.recv()?;
        std::thread::sleep(Duration::from_millis(500));
        let measurement = measure();
        others.join().map_err(|_| anyhow!("the thread of the other work panicked"))??;
        measurement
    })
}
