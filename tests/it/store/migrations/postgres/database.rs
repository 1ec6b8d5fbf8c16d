//! A PostgreSQL database for each case: empty, or as the reference service left it.

use std::sync::{Arc, OnceLock};

use post_api::store::migrate::{MigrateResult, SchemaAdmin as _, Step, migrate};
use post_api::store::postgres::{Address, PostgresAdmin};
use tokio_postgres::{Client, NoTls};

use super::super::super::fresh_store::noon;
use crate::support::{Cluster, PostgresDatabase, upgrade};

/// Created and filled by the reference service: 5 users, 40 posts, 100 votes.
const REFERENCE: &str = include_str!("../../../data/reference.sql");

/// A database that only one case uses.
pub struct Database {
    pub url: String,
    /// Dropped with the last handle.
    handle: Arc<PostgresDatabase<'static>>,
}

impl Database {
    pub fn empty() -> Self {
        Self::of(Cluster::shared().empty_database())
    }

    /// Creates a database as the reference service left it.
    pub async fn of_reference() -> Self {
        let database = Self::empty();
        // On a separate connection, as the script clears the search path of its session.
        database.sql().await.batch_execute(REFERENCE).await.unwrap();
        database
    }

    /// Creates a database at the newest revision, with the same installation as all others.
    pub fn newest() -> Self {
        Self::of(Cluster::shared().database())
    }

    /// Creates a database as the reference service left it, adopted and at the newest revision.
    pub fn adopted() -> Self {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Cluster::shared().empty_database();
            database.execute(REFERENCE);
            upgrade(database.url());
            database.keep()
        });
        Self::of(Cluster::shared().copy_of(template))
    }

    fn of(handle: PostgresDatabase<'static>) -> Self {
        Self { url: handle.url().to_owned(), handle: Arc::new(handle) }
    }

    /// Creates a role without any rights.
    pub async fn new_role(&self) -> String {
        let client = self.sql().await;
        let row = client.query_one("SELECT 'role_of_' || current_database()", &[]).await.unwrap();
        let role: String = row.get(0);
        client.batch_execute(&format!("CREATE ROLE {role}")).await.unwrap();
        role
    }

    /// Returns the same database, used by another role.
    pub fn for_role(&self, role: &str) -> Self {
        self.with_option(&format!("role%3D{role}"))
    }

    /// Returns the same database with a setting of the session, percent-encoded.
    pub fn with_option(&self, setting: &str) -> Self {
        let url = format!("{}?options=-c%20{setting}", self.url);
        Self { url, handle: Arc::clone(&self.handle) }
    }

    pub async fn sql(&self) -> Client {
        open(&self.url).await
    }

    pub async fn run(&self, script: &str) {
        self.sql().await.batch_execute(script).await.unwrap_or_else(|error| {
            panic!("{script}: {:?}", error.as_db_error());
        });
    }

    pub async fn number(&self, query: &str) -> i64 {
        self.sql().await.query_one(query, &[]).await.unwrap().get(0)
    }

    pub async fn admin(&self) -> PostgresAdmin {
        PostgresAdmin::connect(&Address::parse(&self.url).unwrap()).await.unwrap()
    }

    pub async fn migrate_to(&self, position: usize) {
        self.try_migrate_to(position).await.unwrap();
    }

    /// Migrates and returns the steps.
    pub async fn try_migrate_to(&self, position: usize) -> MigrateResult<Vec<Step>> {
        let mut steps = Vec::new();
        migrate(&mut self.admin().await, position, noon(), |step| steps.push(step)).await?;
        Ok(steps)
    }

    pub async fn revisions(&self) -> Vec<String> {
        let applied = self.admin().await.applied().await.unwrap();
        applied.into_iter().map(|found| found.revision).collect()
    }

    /// Checks that the schema matches the migrations and every count is right.
    pub async fn assert_sound(&self) {
        let mut admin = self.admin().await;
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
        assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0]);
    }

    /// Returns schema and data, as `pg_dump` writes them.
    pub fn dump(&self) -> String {
        let text = Cluster::shared().run("pg_dump", |command| {
            command.args(["--no-sync", "--dbname", &self.url]);
        });
        // Newer versions enclose a dump in lines with a random key. The rows of `installation` and
        // `change_log` have one too.
        let is_random = |line: &&str| {
            ["\\restrict ", "\\unrestrict "].iter().any(|start| line.starts_with(start))
                || (line.starts_with("t\t") && line.contains("\t1970-01-01 "))
        };
        text.lines().filter(|line| !is_random(line)).collect::<Vec<_>>().join("\n")
    }

    /// Runs the script with `psql`, as an operator would.
    pub fn psql(&self, script: &str) {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt;
        let mut file = tempfile::NamedTempFile::new_in(Cluster::shared().folder()).unwrap();
        file.write_all(script.as_bytes()).unwrap();
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
        Cluster::shared().run("psql", |command| {
            command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", &self.url, "-f"]);
            command.arg(file.path());
        });
    }
}

/// Compares two dumps line by line.
#[track_caller]
pub fn assert_same(found: &str, expected: &str, context: &str) {
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {number} {context}");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{context}");
}

async fn open(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
