//! The service against other servers: PocketBase against the service on SQLite, and the FastAPI stack
//! against the service on the same PostgreSQL database.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::environment::Environment;
use crate::comparison::{Goal, Measurement, compare};
use crate::load::{self, Pace, Traffic};
use crate::operation::Operation;
use crate::pocketbase::PocketBase;
use crate::process::Server;
use crate::report::Report;
use crate::seed::SECRET;

const OPERATIONS: [Operation; 6] = [
    Operation::ReadPost,
    Operation::ListPosts,
    Operation::Vote,
    Operation::VoteOnOnePost,
    Operation::CreatePost,
    Operation::LogIn,
];

/// Connections to the FastAPI stack. With 64 it deadlocks: each of its 40 threads waits for a
/// database connection, and the requests that hold a connection wait for a thread.
const FASTAPI_CONNECTIONS: usize = 16;

/// Concurrent logins.
const LOGIN_CONNECTIONS: usize = 8;

/// Logins are measured for longer: each takes a tenth of a second.
const LOGIN_TIME_FACTOR: u32 = 2;
const MIN_LOGIN_TIME: Duration = Duration::from_secs(2);

pub fn measure_pocketbase(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let Some(program) = &environment.options.pocketbase else { return Ok(()) };
    let pocketbase = PocketBase::start(program, environment.folder.path())?;
    let server = environment.start_on_sqlite("pocketbase_peer")?;
    let peer = Peer {
        name: "PocketBase",
        address: pocketbase.server.address,
        connections: environment.options.connections,
        traffic: &|operation| Box::new(pocketbase.traffic(operation)),
        // A hash of Argon2id with 64 MiB takes longer than one of bcrypt.
        goal: |operation| if operation == Operation::LogIn { 0.5 } else { 10.0 },
    };
    measure(environment, report, ("SQLite", &server), &peer)
}

pub fn measure_reference(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    const DATABASE: &str = "fastapi_peer";
    let Some(python) = &environment.options.reference else { return Ok(()) };
    let folder = environment
        .options
        .reference_folder
        .as_deref()
        .context("--reference needs --reference-folder")?;
    let server = environment.start_on_postgres(DATABASE)?;
    let url = environment.cluster.url(DATABASE).replace("postgresql://", "postgresql+psycopg2://");
    let stack = Server::start("the FastAPI stack", |port| {
        let mut command = Command::new(python);
        command.args(["-m", "uvicorn", "app:app", "--workers", "2", "--log-level", "warning"]);
        command.args(["--port", &port.to_string()]).current_dir(folder);
        command.env("DATABASE_URL", url).env("SECRET_KEY", SECRET);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    })?;
    let peer = Peer {
        name: "FastAPI stack",
        address: stack.address,
        connections: FASTAPI_CONNECTIONS,
        traffic: &|operation| Box::new(environment.traffic(operation)),
        goal: |operation| if operation == Operation::LogIn { 1.2 } else { 50.0 },
    };
    measure(environment, report, ("PostgreSQL", &server), &peer)
}

/// A server with equivalent operations.
struct Peer<'a> {
    name: &'static str,
    address: SocketAddr,
    connections: usize,
    traffic: &'a dyn Fn(Operation) -> Box<dyn Traffic>,
    goal: fn(Operation) -> f64,
}

fn measure(
    environment: &Environment<'_>,
    report: &mut Report,
    (store, server): (&str, &Server),
    peer: &Peer<'_>,
) -> Result<()> {
    for operation in OPERATIONS {
        let mut service_traffic = environment.traffic(operation);
        let mut peer_traffic = (peer.traffic)(operation);
        report.comparisons.push(compare(
            environment.schedule,
            (&format!("{}, {store}", operation.name()), &mut |time| {
                load(
                    (operation, environment.options.connections),
                    server.address,
                    &mut service_traffic,
                    time,
                )
            }),
            (peer.name, &mut |time| {
                load((operation, peer.connections), peer.address, peer_traffic.as_mut(), time)
            }),
            ("/s", Goal::AtLeast((peer.goal)(operation))),
        )?);
    }
    Ok(())
}

/// Measures the throughput in a closed loop. Logins get fewer connections and more time.
fn load(
    (operation, connections): (Operation, usize),
    address: SocketAddr,
    traffic: &mut dyn Traffic,
    time: Duration,
) -> Result<Measurement> {
    let is_login = operation == Operation::LogIn;
    let connections = if is_login { LOGIN_CONNECTIONS } else { connections };
    let time = if is_login { (LOGIN_TIME_FACTOR * time).max(MIN_LOGIN_TIME) } else { time };
    Measurement::throughput(&load::run(address, connections, Pace::ClosedLoop, time, traffic)?)
}
