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
        run_with(self.folder.path(), arguments, &self.settings())
    }

    /// The settings that every command and the service need.
    fn settings(&self) -> [(&str, &str); 2] {
        [("DATABASE_URL", self.database.url()), ("SECRET_KEY", "7c1f0a94e2b85d36f7a1c05e9d42b83a")]
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
    assert_eq!(commands.run("db upgrade").expect(0).output, "nothing to do\n");
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
        let output = String::from_utf8(output.stdout).unwrap();
        steps.extend(output.lines().filter(|line| *line != "nothing to do").map(str::to_owned));
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

/// Exit code 3 says that the database is unreachable. A database that answers is not.
#[test]
fn refusal_of_a_reachable_database_exits_with_1() {
    for (change, command, text) in [
        (
            "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)",
            "db upgrade",
            "golang-migrate",
        ),
        ("CREATE TABLE schema_migrations (version text)", "db check", "CREATE SCHEMA"),
        ("CREATE TABLE events (id integer, payload text)", "db upgrade", "table events: a table"),
        ("CREATE TABLE events (id integer, payload text)", "db check", "table events: a table"),
        (
            "CREATE TABLE events (id integer, payload text)",
            "serve --upgrade",
            "table events: a table",
        ),
    ] {
        let commands = DatabaseCommands::new();
        commands.database.execute(change);
        let refused = commands.run(command).expect(1);
        assert!(refused.error.contains(text), "{command}: {}", refused.error);
    }
    let commands = DatabaseCommands::new();
    commands.run("db upgrade").expect(0);
    commands.database.execute("ALTER TABLE votes RENAME dir TO direction");
    let refused = commands.run("db verify").expect(1);
    assert!(refused.error.contains("SQLSTATE 42703"), "{}", refused.error);
    commands.database.execute("CREATE VIEW directions AS SELECT direction FROM votes");
    commands.run("db downgrade base").expect(1);
    let script = commands.run("db downgrade base --sql").expect(1);
    assert_eq!(script.output, "");
}

/// A newer release migrates the database, and says that this one can work with it.
#[test]
fn release_that_a_newer_migration_allows_keeps_working() {
    let commands = DatabaseCommands::new();
    commands.run("db upgrade").expect(0);
    let newest = POSTGRES.last().unwrap().revision;
    let record = |oldest: &str| {
        commands.database.execute(&format!(
            "INSERT INTO schema_migrations VALUES ('9999_next', 'theirs', now(), NULL, {oldest})
             ON CONFLICT (revision) DO UPDATE SET compatible_from = {oldest}"
        ));
    };
    record(&format!("'{newest}'"));
    commands.database.execute("SELECT setval('posts_id_seq', 9000000000000000000)");
    let output = commands.run("db check").expect(0).output;
    assert!(
        output.contains("note: a newer release has migrated the database (9999_next)"),
        "{output}"
    );
    assert_eq!(commands.run("db upgrade --dry-run").expect(0).output.lines().count(), 1);
    let output = commands.run("db history").expect(0).output;
    assert!(output.ends_with("9999_next  applied by a newer release\n"), "{output}");
    commands.run("user sign-out --all").expect(0);
    let refused = commands.run("db downgrade base").expect(1);
    assert!(refused.error.contains("9999_next of a newer release"), "{}", refused.error);
    let service = Service::start_in(commands.folder.path(), &commands.settings());
    service.get("/readyz").expect(200);
    let log = service.stderr();
    assert!(log.contains("sequence public.posts_id_seq: 97 % of its values are used"), "{log}");

    record("NULL");
    service.get("/readyz").expect(503);
    for command in ["db check", "db upgrade", "user sign-out --all", "serve"] {
        let refused = commands.run(command).expect(1);
        assert!(refused.error.contains("install a newer version"), "{}", refused.error);
    }
}

#[test]
fn verify_mends_counts_if_asked() {
    let commands = DatabaseCommands::new();
    commands.run("db upgrade").expect(0);
    commands.database.execute(
        "INSERT INTO users (id, email, password) VALUES (7, 'ada@example.com', 'h');
         INSERT INTO posts (title, content, owner_id) VALUES ('', '', 7);
         UPDATE vote_counts SET votes = 0; INSERT INTO vote_counts VALUES (1, 5)",
    );
    commands.run("db check").expect(1);
    commands.run("db verify").expect(1);
    let output = commands.run("db verify --repair").expect(0).output;
    assert_eq!(
        output,
        "post 1: the count was 5, and is 0\n\
         sequence public.users_id_seq: moved behind users.id\n\
         every count matches its votes\n"
    );
    commands.run("db check").expect(0);
}
