//! The commands, run as a process.

mod account_input;
mod accounts;
mod backup;
mod completions;
mod db_check;
mod distribution;
mod doctor;
mod inspect;
mod keys;
mod man;
mod migrations;
mod options;
mod postgres;
mod restore;
mod secret;
mod transfer;
mod user;

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use rusqlite::Connection;

use crate::support::Service;

/// Exit code and output of a command.
struct Outcome {
    code: i32,
    output: String,
    error: String,
}

impl Outcome {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.output, self.error);
        self
    }
}

/// Runs the binary in the folder. Spaces separate the arguments.
fn run(folder: &Path, arguments: &str) -> Outcome {
    run_with(folder, arguments, &[])
}

fn run_with(folder: &Path, arguments: &str, environment: &[(&str, &str)]) -> Outcome {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    run_with_input(folder, &arguments, environment, b"")
}

/// Runs the binary with this standard input.
fn run_with_input(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[u8],
) -> Outcome {
    let mut child = Service::command(folder)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Outcome {
        code: status.code().unwrap(),
        output: String::from_utf8(stdout).unwrap(),
        error: String::from_utf8(stderr).unwrap(),
    }
}

/// Returns a folder with an empty data directory, where `db` can create the database.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    folder
}

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join("data/posts.db")).unwrap()
}

/// Returns the schema of the database, without the objects that SQLite creates itself.
fn schema(database: &Connection) -> Vec<(String, String, Option<String>)> {
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY type, name";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
