//! This build against another one, on both stores. Two builds are compared by the processor time of a
//! request, of the service and its database together: unlike the throughput it hardly depends on
//! other load. The throughput of a closed loop stands beside it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use super::environment::{Environment, sqlite_url};
use crate::comparison::{Comparison, Goal, Measurement, compare};
use crate::load::{self, Pace, to_f64};
use crate::operation::Operation;
use crate::process::{Server, descendants_time};
use crate::report::Report;

const OPERATIONS: [Operation; 5] = [
    Operation::ReadPost,
    Operation::ListPosts,
    Operation::Vote,
    Operation::VoteOnOnePost,
    Operation::CreatePost,
];

/// The writes whose events a stream has.
const FOLLOWED_OPERATIONS: [Operation; 3] =
    [Operation::Vote, Operation::VoteOnOnePost, Operation::CreatePost];

/// Measures every operation, and the writes a second time while a client of this build follows the
/// stream of changes.
pub fn measure(environment: &Environment<'_>, report: &mut Report, other: &Path) -> Result<()> {
    let url = sqlite_url(&environment.create_sqlite_database(other, "other_build")?);
    let sqlite = (environment.start_on_sqlite("this_build")?, environment.start(other, &url)?);
    let url = environment.create_postgres_database(other, "other_build")?;
    let postgres = (environment.start_on_postgres("this_build")?, environment.start(other, &url)?);
    let cluster = environment.cluster.main_process()?;
    for (store, servers, database) in
        [("SQLite", &sqlite, None), ("PostgreSQL", &postgres, Some(cluster))]
    {
        let pair =
            Pair { environment, this: &servers.0, other: &servers.1, database, follower: None };
        for operation in OPERATIONS {
            pair.measure(report, operation, store)?;
        }
        let pair = Pair { follower: environment.tokens.first().map(String::as_str), ..pair };
        for operation in FOLLOWED_OPERATIONS {
            pair.measure(report, operation, &format!("{store}, followed"))?;
        }
    }
    Ok(())
}

struct Pair<'a> {
    environment: &'a Environment<'a>,
    this: &'a Server,
    other: &'a Server,
    /// The main process of PostgreSQL, whose time counts for both.
    database: Option<u32>,
    /// The token of a client that follows this build while it is measured.
    follower: Option<&'a str>,
}

impl Pair<'_> {
    fn measure(&self, report: &mut Report, operation: Operation, store: &str) -> Result<()> {
        let (mut of_this, mut of_other) = (Vec::new(), Vec::new());
        let name = format!("{}, {store}", operation.name());
        let throughput = compare(
            self.environment.schedule,
            (&name, &mut |time| {
                let stream = self.follower.map(|token| open_stream(self.this.address, token));
                let stream = stream.transpose()?;
                let measured = self.load(self.this, operation, time, &mut of_this);
                // The other build is measured alone.
                stream.map(|stream| stream.shutdown(Shutdown::Both)).transpose()?;
                measured
            }),
            ("other build", &mut |time| self.load(self.other, operation, time, &mut of_other)),
            ("/s", Goal::AtLeast(1.0)),
        )?;
        report.comparisons.push(Comparison {
            name: format!("{name}: processor time"),
            baseline: "other build".to_owned(),
            unit: " µs",
            goal: Goal::AtMost(1.0),
            // The first one is of the warm-up.
            service_values: of_this.split_off(1),
            baseline_values: of_other.split_off(1),
        });
        report.comparisons.push(throughput);
        Ok(())
    }

    /// Returns the throughput, and appends the processor time of a request in microseconds.
    fn load(
        &self,
        server: &Server,
        operation: Operation,
        time: Duration,
        processor_times: &mut Vec<Measurement>,
    ) -> Result<Measurement> {
        let before = self.processor_time(server)?;
        let mut traffic = self.environment.traffic(operation);
        let connections = self.environment.options.connections;
        let outcome = load::run(server.address, connections, Pace::ClosedLoop, time, &mut traffic)?;
        let spent = self.processor_time(server)? - before;
        processor_times.push(Measurement::new(spent * 1e6 / to_f64(outcome.responses.max(1))));
        Measurement::throughput(&outcome)
    }

    fn processor_time(&self, server: &Server) -> Result<f64> {
        let database = self.database.map_or(Ok(0.0), descendants_time)?;
        Ok(server.processor_time()? + database)
    }
}

/// Opens a stream of changes, which a thread reads until it is closed.
fn open_stream(address: SocketAddr, token: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /posts/changes HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    )?;
    let mut beginning = [0; 8 * 1024];
    let length = stream.read(&mut beginning)?;
    let beginning = String::from_utf8_lossy(beginning.get(..length).unwrap_or_default());
    if !beginning.starts_with("HTTP/1.1 200") {
        bail!("no stream: {beginning}");
    }
    let mut reader = stream.try_clone()?;
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Ok(stream)
}
