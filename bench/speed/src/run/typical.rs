//! The service against the same routes as an engineer usually writes them (`bench/typical/`), on
//! both stores. Each has a database of its own with the same content. Both must give the same
//! answers before they are measured.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::environment::{Environment, sqlite_url};
use crate::answers;
use crate::comparison::{Goal, compare};
use crate::operation::Operation;
use crate::process::Server;
use crate::report::Report;
use crate::seed::SECRET;

const OPERATIONS: [(Operation, f64); 4] = [
    (Operation::ReadPost, 2.5),
    (Operation::ListPosts, 2.5),
    (Operation::Vote, 4.0),
    (Operation::CreatePost, 2.5),
];

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let Some(program) = &environment.options.typical else { return Ok(()) };
    let service = &environment.options.service;
    let url = environment.create_postgres_database(service, "typical")?;
    let server = environment.start_on_postgres("typical_peer")?;
    measure_store(environment, report, ("PostgreSQL", &server), &start(program, &url)?)?;
    let url = sqlite_url(&environment.create_sqlite_database(service, "typical")?);
    let server = environment.start_on_sqlite("typical_peer")?;
    measure_store(environment, report, ("SQLite", &server), &start(program, &url)?)
}

fn start(program: &Path, url: &str) -> Result<Server> {
    Server::start("the typical service", |port| {
        let mut command = Command::new(program);
        command.env_clear().env("PORT", port.to_string());
        command.env("DATABASE_URL", url).env("SECRET_KEY", SECRET);
        command
    })
}

fn measure_store(
    environment: &Environment<'_>,
    report: &mut Report,
    (store, server): (&str, &Server),
    typical: &Server,
) -> Result<()> {
    answers::compare(server.address, typical.address, &environment.tokens)?;
    for (operation, goal) in OPERATIONS {
        let mut traffic = environment.traffic(operation);
        let mut typical_traffic = environment.traffic(operation);
        report.comparisons.push(compare(
            environment.schedule,
            (&format!("{}, {store}", operation.name()), &mut |time| {
                environment.load(server.address, &mut traffic, time)
            }),
            ("typical service", &mut |time| {
                environment.load(typical.address, &mut typical_traffic, time)
            }),
            ("/s", Goal::AtLeast(goal)),
        )?);
    }
    Ok(())
}
