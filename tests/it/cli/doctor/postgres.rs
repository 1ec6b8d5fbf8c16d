//! The checks of a PostgreSQL database.

use std::sync::OnceLock;

use post_api::store::postgres::{Address, connect};
use tempfile::TempDir;
use tokio_postgres::SimpleQueryMessage;

use super::{Report, doctor, run};
use crate::cli::run_with;
use crate::support::{
    Cluster, Pooler, PostgresDatabase, Service, documented_grants, prepare_serving_role,
};

const REFERENCE: &str = include_str!("../../data/reference.sql");

const KEY: (&str, &str) = ("SECRET_KEY", "f3b8a1d27c5e94f0863b7d1e2a5c9f40");

/// The dynamic loader replaces `$LIB` by the library folder of the architecture.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A server that writes to the disk, as production does.
fn durable_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start("fsync = on\nfull_page_writes = on\n"))
}

fn inspect(url: &str, arguments: &str) -> Report {
    let folder = TempDir::new().unwrap();
    doctor(folder.path(), arguments, &[("DATABASE_URL", url), KEY])
}

/// Creates a database with an account, posts and votes.
fn database_with_posts(cluster: &Cluster) -> PostgresDatabase<'_> {
    let database = cluster.database();
    database.execute(
        "INSERT INTO users (email, password) VALUES ('ada@example.com', '$argon2id$x');
         INSERT INTO posts (title, content, owner_id)
         VALUES ('one', 'text', 1), ('two', 'text', 1), ('three', 'text', 1);
         INSERT INTO votes (post_id, user_id) VALUES (1, 1), (2, 1)",
    );
    database
}

#[test]
fn fresh_database_and_one_with_rows_are_healthy() {
    for database in [durable_cluster().database(), database_with_posts(durable_cluster())] {
        for arguments in ["", "--full"] {
            inspect(database.url(), arguments).expect_healthy();
        }
    }
}

/// IDs have 32 bits, and sequences and constraints have names of their own.
#[test]
fn adopted_database_is_healthy() {
    let database = durable_cluster().empty_database();
    database.execute(REFERENCE);
    let report = inspect(database.url(), "");
    report.expect("revision", "FAIL", "run `post-api db upgrade`");
    report.expect("counts", "skipped", "the database is not at the newest revision");
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), KEY];
    run_with(folder.path(), "db upgrade", &settings).expect(0);
    for arguments in ["", "--full"] {
        doctor(folder.path(), arguments, &settings).expect_healthy();
    }
}

#[test]
fn service_that_runs_is_healthy() {
    let database = durable_cluster().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), KEY];
    let service = Service::start_in(folder.path(), &settings);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let settings = [settings[0], settings[1], ("PORT", port)];
    let report = doctor(folder.path(), "", &settings);
    report.expect_healthy().expect("port", "ok", "the service is ready");
}

#[test]
fn faults_of_the_database_are_reported_by_their_check() {
    let keys = "INSERT INTO idempotency_keys (user_id, key, fingerprint, outcome, at, expires_at)
        SELECT 1, int4send(n), '', 1, now(), now() - interval '1 hour'
          FROM generate_series(1, 10001) AS n";
    let without_triggers = "SET session_replication_role = replica;";
    for (fault, check, status, text) in [
        ("DROP INDEX posts_owner", "schema", "FAIL", "index posts_owner on posts: expected"),
        (
            "UPDATE vote_counts SET votes = 9 WHERE post_id = 2",
            "counts",
            "FAIL",
            "post 2: the count says 9, its votes add up to 1 | run `post-api db verify --repair`",
        ),
        (
            &format!("{without_triggers} DELETE FROM users"),
            "orphans",
            "FAIL",
            "3 of posts name a row of users that is not there",
        ),
        (
            &format!("{without_triggers} DELETE FROM posts WHERE id = 2"),
            "orphans",
            "FAIL",
            "1 of vote_counts name a row of posts that is not there; 1 of votes name",
        ),
        (
            &format!(
                "{without_triggers} INSERT INTO events (user_id, at, kind, is_refusal)
                 VALUES (8, now(), '', false)"
            ),
            "orphans",
            "FAIL",
            "1 of events name a row of users that is not there",
        ),
        (
            "SELECT setval('posts_id_seq', 1)",
            "sequences",
            "FAIL",
            "run `post-api db verify --repair`",
        ),
        ("SELECT setval('posts_id_seq', 9000000000000000000)", "sequences", "warn", "97 %"),
        ("UPDATE users SET password = '$2b$12$x'", "password-hashes", "warn", "1 of 1 "),
        (keys, "idempotency-keys", "warn", "more than 10000 expired keys"),
        ("DROP INDEX post_search", "search-index", "warn", "have a superuser run CREATE EXTENSION"),
        (
            "ALTER TABLE posts SET (autovacuum_enabled = off)",
            "autovacuum",
            "warn",
            "off for posts | run `ALTER TABLE posts RESET (autovacuum_enabled)`",
        ),
        ("DROP TABLE schema_migrations", "revision", "FAIL", "run `post-api db upgrade`"),
    ] {
        let database = database_with_posts(Cluster::shared());
        database.execute(fault);
        for arguments in ["", "--full"] {
            inspect(database.url(), arguments).expect(check, status, text);
        }
    }
}

#[test]
fn settings_of_the_server_are_reported() {
    // The shared server does not write to the disk.
    let database = Cluster::shared().database();
    inspect(database.url(), "").expect("durability", "warn", "fsync or full_page_writes is off");

    let database = durable_cluster().database();
    let set = |setting: &str| {
        database.execute(&format!("ALTER DATABASE {} SET {setting}", database.name()));
    };
    set("synchronous_commit = off");
    let report = inspect(database.url(), "");
    report.expect("durability", "warn", "synchronous_commit is off");
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), KEY, ("DATABASE_PREPARED_STATEMENTS", "off")];
    doctor(folder.path(), "", &settings).expect("durability", "FAIL", "behind a pooler");
    set("synchronous_commit = on");
    set("default_transaction_read_only = on");
    inspect(database.url(), "").expect("read-write", "FAIL", "default_transaction_read_only is on");
}

#[tokio::test]
async fn open_transactions_are_reported() {
    let database = Cluster::shared().database();
    inspect(database.url(), "").expect("transactions", "ok", "no other transaction is open");
    let client = connect(&database.address()).await.unwrap();
    client.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let report = inspect(database.url(), "");
    report.expect("transactions", "ok", "1 other transactions are open, the oldest for");
}

/// A migration holds such a lock for less than a second.
#[tokio::test]
async fn checks_of_a_locked_table_are_skipped() {
    let database = database_with_posts(Cluster::shared());
    let client = connect(&database.address()).await.unwrap();
    client.batch_execute("BEGIN; LOCK TABLE vote_counts").await.unwrap();
    let report = inspect(database.url(), "");
    report.expect("counts", "skipped", "another session locks a table: try again");
    report.expect("password-hashes", "ok", "1 of 1");
    assert_eq!(report.code, 0, "{}", report.output);
}

#[test]
fn clock_that_differs_is_reported() {
    let database = Cluster::shared().database();
    inspect(database.url(), "").expect("clock", "ok", "agree");
    let folder = TempDir::new().unwrap();
    for (offset, way) in [("+60", "behind that of this machine"), ("-60", "ahead of that of this")]
    {
        let mut command = Service::command(folder.path());
        command.arg("doctor").envs([("DATABASE_URL", database.url()), KEY, ("PORT", "0")]);
        command.envs([("LD_PRELOAD", FAKETIME), ("FAKETIME", offset), ("NO_FAKE_STAT", "1")]);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        run(&mut command).expect("clock", "warn", way);
    }
}

#[test]
fn unreachable_database_is_reported_and_skips_the_rest() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let missing = Cluster::shared().database().url().replace("test_", "no_such_test_");
    for (url, text) in [
        (format!("postgresql://ada:hunter2@127.0.0.1:{free}/posts"), "Connection refused"),
        (missing, "create the database, or correct its name"),
    ] {
        let report = inspect(&url, "");
        report.expect("database", "FAIL", text);
        assert!(!report.line("database").text.ends_with("| "), "{}", report.output);
        let (_, later) = report.output.split_once(" database: ").unwrap();
        let skipped = later.lines().filter(|line| line.starts_with("skipped ")).count();
        assert_eq!(skipped, 15, "{}", report.output);
        assert!(!report.output.contains("hunter2"), "{}", report.output);
    }
}

/// Settings of a session would reach other clients of the pooler.
#[tokio::test]
async fn database_behind_a_pooler_is_inspected_without_settings_of_a_session() {
    let database = database_with_posts(durable_cluster());
    let lines = "pool_mode = transaction\ndefault_pool_size = 1\n";
    let pooler = Pooler::start(durable_cluster(), lines, database.name()).await;
    let url = pooler.url(database.name());
    let settings = [("DATABASE_URL", url.as_str()), KEY, ("DATABASE_PREPARED_STATEMENTS", "off")];
    let folder = TempDir::new().unwrap();
    for arguments in ["", "--full"] {
        doctor(folder.path(), arguments, &settings).expect_healthy();
    }
    let address = Address::parse(&url).unwrap().with_prepared(false);
    let client = connect(&address).await.unwrap();
    for setting in ["default_transaction_read_only", "transaction_read_only"] {
        let shown = client.simple_query(&format!("SHOW {setting}")).await.unwrap();
        let is_off = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0) == Some("off"),
            _ => true,
        };
        assert!(shown.iter().all(is_off), "{setting}: {shown:?}");
    }
}

/// Returns each documented right of the serving role on a table, a column or a sequence: the right
/// and its object, as `REVOKE` and the report write them.
fn documented_rights() -> Vec<(String, String)> {
    let grants = documented_grants();
    let mut rights = Vec::new();
    for grant in
        grants.lines().filter(|line| !line.contains("DATABASE") && !line.contains("SCHEMA"))
    {
        let grant = grant.strip_prefix("GRANT ").unwrap().strip_suffix(" TO serving;").unwrap();
        let (privileges, objects) = grant.split_once(" ON ").unwrap();
        for object in objects.split(", ") {
            let privileges = privileges.split(", ");
            rights.extend(privileges.map(|right| (right.to_owned(), object.to_owned())));
        }
    }
    assert!(rights.len() > 30, "{rights:?}");
    rights
}

#[test]
fn each_missing_right_of_the_serving_role_is_reported() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database();
    let url = prepare_serving_role(cluster, &database);
    let role = format!("serving_{}", database.name());
    inspect(&url, "").expect("rights", "ok", "");
    for (right, object) in documented_rights() {
        let kind = if object.ends_with("_seq") { "SEQUENCE " } else { "" };
        database.execute(&format!("REVOKE {right} ON {kind}{object} FROM {role}"));
        let report = inspect(&url, "");
        // The history cannot be read, so no check of rows can run.
        if object == "schema_migrations" {
            report.expect("revision", "FAIL", "permission denied");
        } else {
            let object = if kind.is_empty() { object.clone() } else { format!("public.{object}") };
            report.expect("rights", "FAIL", &format!("the role lacks {right} on {object} |"));
        }
        database.execute(&format!("GRANT {right} ON {kind}{object} TO {role}"));
    }
    inspect(&url, "").expect("rights", "ok", "");
}
