//! `post-api db` on PostgreSQL.

use std::process::{Child, Stdio};

use post_api::store::migrate::POSTGRES;
use tempfile::TempDir;

use super::{Outcome, run_with};
use crate::support::{Cluster, PostgresDatabase, Service};

/// Runs commands on a database of its own.
struct DatabaseCommands {
    database: PostgresDatabase<'static>,
    folder: TempDir,
}

impl DatabaseCommands {
    fn new() -> Self {
        let database = Cluster::shared().empty_database();
        Self { database, folder: TempDir::new().unwrap() }
    }

    fn run(&self, arguments: &str) -> Outcome {
        run_with(self.folder.path(), arguments, &[("DATABASE_URL", self.database.url())])
    }

    fn start_upgrade(&self) -> Child {
        Service::command(self.folder.path())
            .args(["db", "upgrade"])
            .env("DATABASE_URL", self.database.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

#[test]
fn db_commands_work_as_on_the_embedded_database() {
    let commands = DatabaseCommands::new();
    assert_eq!(commands.run("db current").expect(0).output, "base\n");
    let output = commands.run("db upgrade --dry-run").expect(0).output;
    assert_eq!(output.lines().count(), POSTGRES.len(), "{output}");
    commands.run("db check").expect(1);
    commands.run("db upgrade 2").expect(0);
    assert_eq!(commands.run("db current").expect(0).output, "0002_downvotes\n");
    commands.run("db verify").expect(1);
    commands.run("db upgrade").expect(0);
    commands.run("db check").expect(0);
    commands.run("db verify").expect(0);
    assert!(commands.run("db history").expect(0).output.contains("0005_post_search  applied"));
    commands.run("db stamp 4").expect(0);
    commands.run("db check").expect(1);
    commands.run("db stamp head").expect(0);
    assert_eq!(commands.run("db upgrade").expect(0).output, "");
    commands.run("db downgrade base").expect(0);
    assert_eq!(commands.run("db current").expect(0).output, "base\n");
}

#[test]
fn concurrent_upgrades_run_each_step_once() {
    let commands = DatabaseCommands::new();
    let children: Vec<Child> = (0..64).map(|_| commands.start_upgrade()).collect();
    let mut steps = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        steps.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
    }
    steps.sort();
    let applied = commands.database.query("SELECT revision FROM schema_migrations ORDER BY 1");
    let expected: Vec<String> = applied.iter().map(|revision| format!("up   {revision}")).collect();
    assert_eq!(expected.len(), POSTGRES.len());
    assert_eq!(steps, expected);
    commands.run("db check").expect(0);
}

#[test]
fn unreachable_server_exits_with_3() {
    let folder = TempDir::new().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgresql://ada:hunter2@127.0.0.1:{free}/posts");
    for command in ["upgrade", "current", "check", "verify"] {
        let arguments = format!("db {command}");
        let outcome = run_with(folder.path(), &arguments, &[("DATABASE_URL", &url)]).expect(3);
        assert!(outcome.error.starts_with("error: the database"), "{}", outcome.error);
        assert!(!outcome.error.contains("hunter2"), "{}", outcome.error);
    }
}

#[test]
fn tables_of_another_application_are_reported_and_left_unchanged() {
    let commands = DatabaseCommands::new();
    commands.database.execute("CREATE TABLE users (id serial PRIMARY KEY, login text NOT NULL)");
    for command in ["db upgrade", "db upgrade --dry-run"] {
        let refused = commands.run(command).expect(1);
        assert!(refused.error.contains("users.login"), "{}", refused.error);
    }
    assert_eq!(
        commands.database.query("SELECT relname FROM pg_class WHERE relname = 'posts'"),
        [""; 0]
    );
}
