//! Services that do the same: `PocketBase` beside the embedded store, the reference's stack beside
//! PostgreSQL, on the same database, and another build of our own beside this one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::environment::{Place, sqlite_url};
use crate::comparison::{Goal, Reading, compare};
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

/// Connections that the reference's stack is asked on. With 64 it comes to a stop: each of its 40 threads
/// waits for a connection to the database, and those that have one for a thread.
const REFERENCE: usize = 16;

/// Logins that wait at the same time, and how much longer they are measured: each takes a tenth of a
/// second.
const LOGINS: usize = 8;
const LONGER: u32 = 2;
const LEAST: Duration = Duration::from_secs(2);

pub fn measure_pocketbase(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let Some(program) = &place.options.pocketbase else { return Ok(()) };
    let started = PocketBase::start(program, place.folder.path())?;
    let server = place.on_sqlite("beside_pocketbase")?;
    let peer = Peer {
        name: "PocketBase",
        address: started.server.address,
        connections: place.options.connections,
        traffic: &|operation| Box::new(started.traffic(operation)),
        goal: |_| 8.0,
    };
    measure(place, report, ("embedded", &server), &peer)
}

pub fn measure_reference(place: &Place<'_>, report: &mut Report) -> Result<()> {
    const DATABASE: &str = "beside_reference";
    let Some(python) = &place.options.reference else { return Ok(()) };
    let folder = place.options.reference_folder.as_deref().context("--reference-folder")?;
    let server = place.on_postgres(DATABASE)?;
    let url = place.cluster.url(DATABASE).replace("postgresql://", "postgresql+psycopg2://");
    let stack = Server::start("the reference's stack", |port| {
        let mut command = Command::new(python);
        command.args(["-m", "uvicorn", "app:app", "--workers", "2", "--log-level", "warning"]);
        command.args(["--port", &port.to_string()]).current_dir(folder);
        command.env("DATABASE_URL", url).env("SECRET_KEY", SECRET);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    })?;
    let peer = Peer {
        name: "the reference's stack",
        address: stack.address,
        connections: REFERENCE,
        traffic: &|operation| Box::new(place.traffic(operation)),
        goal: |operation| if operation == Operation::LogIn { 1.2 } else { 50.0 },
    };
    measure(place, report, ("PostgreSQL", &server), &peer)
}

/// What the change between two builds has brought, on both stores.
pub fn measure_build(place: &Place<'_>, report: &mut Report, other: &Path) -> Result<()> {
    let url = sqlite_url(&place.fresh_sqlite("other_build")?);
    let embedded = (place.on_sqlite("this_build")?, place.serve(other, &url)?);
    let url = place.fresh_postgres("other_build")?;
    let postgres = (place.on_postgres("this_build")?, place.serve(other, &url)?);
    for (store, (this, other)) in [("embedded", embedded), ("PostgreSQL", postgres)] {
        let peer = Peer {
            name: "the other build",
            address: other.address,
            connections: place.options.connections,
            traffic: &|operation| Box::new(place.traffic(operation)),
            goal: |_| 1.0,
        };
        measure(place, report, (store, &this), &peer)?;
    }
    Ok(())
}

/// A service that is asked for the same.
struct Peer<'a> {
    name: &'static str,
    address: SocketAddr,
    connections: usize,
    traffic: &'a dyn Fn(Operation) -> Box<dyn Traffic>,
    goal: fn(Operation) -> f64,
}

fn measure(
    place: &Place<'_>,
    report: &mut Report,
    (store, server): (&str, &Server),
    peer: &Peer<'_>,
) -> Result<()> {
    for operation in OPERATIONS {
        let (mut ours, mut theirs) = (place.traffic(operation), (peer.traffic)(operation));
        report.comparisons.push(compare(
            place.effort,
            (&format!("{}, {store}", operation.name()), &mut |time| {
                load((operation, place.options.connections), server.address, &mut ours, time)
            }),
            (peer.name, &mut |time| {
                load((operation, peer.connections), peer.address, theirs.as_mut(), time)
            }),
            ("/s", Goal::AtLeast((peer.goal)(operation))),
        )?);
    }
    Ok(())
}

/// In a closed loop, with so many connections unless it is logins.
fn load(
    (operation, connections): (Operation, usize),
    address: SocketAddr,
    traffic: &mut dyn Traffic,
    time: Duration,
) -> Result<Reading> {
    let is_login = operation == Operation::LogIn;
    let connections = if is_login { LOGINS } else { connections };
    let time = if is_login { (LONGER * time).max(LEAST) } else { time };
    Reading::throughput(&load::run(address, connections, Pace::Closed, time, traffic)?)
}
