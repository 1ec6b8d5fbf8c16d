//! The operator's view of a SQLite file: migrate it, compare its schema, recount its votes.
//!
//! The statements block the calling thread, which serves no requests.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::commit_id::{self, record_commit};
use super::connection::{self, NotWritable};
use super::row::timestamp;
use crate::domain::user::TokensValidFrom;
use crate::store::migrate::{
    Applied, Direction, MigrateResult, Migration, SQLITE, SchemaAdmin, SignOutTarget, Step,
    count_applied, steps_up,
};
use crate::store::{Result, StoreError};

const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    revision TEXT PRIMARY KEY,
    checksum TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

pub struct SqliteAdmin {
    path: PathBuf,
    /// Opened for the first change, and kept open. Closing the last connection would checkpoint the
    /// log after each step.
    writer: Option<Connection>,
    /// Whether the log was checked, which is possible only before the first connection.
    is_checked: bool,
}

impl SqliteAdmin {
    /// Does not open the file. If it does not exist, the first migration creates it.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), writer: None, is_checked: false }
    }

    /// Returns a connection that writes. Creates the file if it does not exist.
    fn writer(&mut self) -> Result<&mut Connection> {
        if let Some(writer) = self.writer.take() {
            return Ok(self.writer.insert(writer));
        }
        self.check_log()?;
        connection::create_private(&self.path).map_err(StoreError::unavailable)?;
        Ok(self.writer.insert(connection::open_writer(&self.path)?))
    }

    /// Takes the write lock, so that only one process migrates.
    fn begin(&mut self) -> Result<Transaction<'_>> {
        let path = self.path.clone();
        self.writer()?
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| NotWritable::explain(&path, error))
    }

    /// Returns a connection that reads, or `None` if the file does not exist. Reading must not
    /// create or change a file.
    fn existing(&mut self) -> Result<Option<Connection>> {
        if !self.path.exists() {
            return Ok(None);
        }
        self.check_log()?;
        Ok(Some(connection::open_reader(&self.path)?))
    }

    fn check_log(&mut self) -> Result<()> {
        if !self.is_checked {
            commit_id::check_log(&self.path)?;
            self.is_checked = true;
        }
        Ok(())
    }
}

#[async_trait]
impl SchemaAdmin for SqliteAdmin {
    fn migrations(&self) -> &'static [Migration] {
        SQLITE
    }

    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        let applied = count_applied(SQLITE, &self.applied().await?)?;
        let mut lines = Vec::new();
        if !self.path.exists() {
            lines.push(format!("creates the file {}", self.path.display()));
        }
        let steps = steps_up(SQLITE, applied, target);
        lines.extend(steps.iter().map(|step| format!("up   {}", step.migration.revision)));
        Ok(lines)
    }

    async fn applied(&mut self) -> Result<Vec<Applied>> {
        match self.existing()? {
            Some(database) => Ok(read_history(&database)?),
            None => Ok(Vec::new()),
        }
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        if target == 0 && !self.path.exists() {
            return Ok(None);
        }
        let transaction = self.begin()?;
        let applied = read_history(&transaction)?;
        let applied = count_applied(SQLITE, &applied)?;
        let Some(step) = Step::next(SQLITE, applied, target) else {
            return Ok(None);
        };
        run_step(&transaction, step, applied, now)?;
        commit(transaction)?;
        Ok(Some(step))
    }

    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()> {
        let transaction = self.begin()?;
        rewrite_history(&transaction, target, now)?;
        Ok(commit(transaction)?)
    }

    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>> {
        let Some(database) = self.existing()? else {
            return Ok(Vec::new());
        };
        let applied = read_history(&database)?;
        let applied = count_applied(SQLITE, &applied)?;
        Ok(compare_schemas(&database, applied)?)
    }

    async fn wrong_counts(&mut self) -> Result<Vec<String>> {
        match self.existing()? {
            Some(database) => Ok(find_wrong_counts(&database)?),
            None => Ok(Vec::new()),
        }
    }

    async fn sign_out(&mut self, accounts: SignOutTarget<'_>, now: Timestamp) -> Result<u64> {
        // The sum of the greatest integer and 1 would be no integer.
        const ALL_USERS: &str = "UPDATE users
                SET tokens_valid_from = max(?1, min(tokens_valid_from, 9223372036854775806) + 1)";
        // Later accounts start after it.
        const NEW_USERS: &str = "UPDATE installation
                SET tokens_valid_from = max(?1, min(tokens_valid_from, 9223372036854775806) + 1)";
        const ONE_USER: &str = "UPDATE users
                SET tokens_valid_from = max(?1, min(tokens_valid_from, 9223372036854775806) + 1)
              WHERE id = (SELECT id FROM users WHERE email IN (?2, ?3)
                           ORDER BY email = ?2 DESC LIMIT 1)";
        if !self.path.exists() {
            return Ok(0);
        }
        let now = TokensValidFrom::revoked_at(now).0.as_microsecond();
        let transaction = self.begin()?;
        let count = match accounts {
            SignOutTarget::AllUsers => {
                transaction.execute(NEW_USERS, [now])?;
                transaction.execute(ALL_USERS, [now])?
            }
            SignOutTarget::User(email) => {
                let [typed, normal] = email.forms();
                transaction.execute(ONE_USER, params![now, typed, normal])?
            }
        };
        commit(transaction)?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        let revision = step.migration.revision;
        let (direction, record) = match step.direction {
            Direction::Up => (
                "up",
                format!(
                    "{CREATE_HISTORY};\nINSERT INTO schema_migrations VALUES ('{revision}', '{}', {});",
                    step.migration.checksum(),
                    now.as_microsecond(),
                ),
            ),
            // As in `run_step`: reverting the first migration leaves nothing behind.
            Direction::Down if SQLITE.first().is_some_and(|first| first.revision == revision) => {
                ("down", "DROP TABLE schema_migrations;".to_owned())
            }
            Direction::Down => {
                ("down", format!("DELETE FROM schema_migrations WHERE revision = '{revision}';"))
            }
        };
        format!("-- {revision}, {direction}\nBEGIN IMMEDIATE;\n{}{record}\nCOMMIT;\n", step.sql())
    }
}

fn commit(transaction: Transaction<'_>) -> Result<()> {
    record_commit(&transaction)?;
    Ok(transaction.commit()?)
}

fn read_history(database: &Connection) -> rusqlite::Result<Vec<Applied>> {
    let exists = database
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'")?
        .exists([])?;
    if !exists {
        return Ok(Vec::new());
    }
    database
        .prepare("SELECT revision, checksum, applied_at FROM schema_migrations ORDER BY revision")?
        .query_map([], |row| {
            Ok(Applied {
                revision: row.get(0)?,
                checksum: row.get(1)?,
                applied_at: timestamp(row, 2)?,
            })
        })?
        .collect()
}

fn run_step(
    transaction: &Transaction<'_>,
    step: Step,
    applied: usize,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction.execute_batch(step.sql())?;
    match step.direction {
        Direction::Up => {
            transaction.execute_batch(CREATE_HISTORY)?;
            record_applied(transaction, step.migration, now)
        }
        // Reverting the first migration leaves nothing behind.
        Direction::Down if applied == 1 => {
            transaction.execute_batch("DROP TABLE schema_migrations")
        }
        Direction::Down => transaction
            .execute("DELETE FROM schema_migrations WHERE revision = ?1", [step.migration.revision])
            .map(|_| ()),
    }
}

fn record_applied(
    transaction: &Transaction<'_>,
    migration: &Migration,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT INTO schema_migrations (revision, checksum, applied_at) VALUES (?1, ?2, ?3)",
            params![migration.revision, migration.checksum(), now.as_microsecond()],
        )
        .map(|_| ())
}

fn rewrite_history(
    transaction: &Transaction<'_>,
    target: usize,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE_HISTORY)?;
    transaction.execute_batch("DELETE FROM schema_migrations")?;
    for migration in SQLITE.iter().take(target) {
        record_applied(transaction, migration, now)?;
    }
    Ok(())
}

/// Compares the schema with one that the migrations create in memory.
fn compare_schemas(database: &Connection, applied: usize) -> rusqlite::Result<Vec<String>> {
    let pristine = Connection::open_in_memory()?;
    for migration in SQLITE.iter().take(applied) {
        pristine.execute_batch(migration.up)?;
    }
    let expected = read_schema(&pristine)?;
    let found = read_schema(database)?;
    let mut differences = Vec::new();
    for (name, sql) in &expected {
        match found.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("{name} is missing")),
            Some((_, other)) if other != sql => differences.push(format!("{name} was changed")),
            Some(_) => {}
        }
    }
    for (name, _) in &found {
        if !expected.iter().any(|(other, _)| other == name) {
            differences.push(format!("{name} is not of any migration"));
        }
    }
    Ok(differences)
}

/// Reads tables, indexes and triggers with their definitions, by name.
fn read_schema(database: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    database
        .prepare(
            "SELECT type || ' ' || name, sql FROM sqlite_schema
              WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'schema_migrations'
              ORDER BY 1",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn find_wrong_counts(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut wrong = find_orphans(database)?;
    let counts = database
        .prepare(
            "SELECT posts.id, coalesce(vote_counts.votes, 0), coalesce(summed.votes, 0)
               FROM posts
               LEFT JOIN vote_counts ON vote_counts.post_id = posts.id
               LEFT JOIN (SELECT post_id, sum(dir) AS votes FROM votes GROUP BY post_id) AS summed
                 ON summed.post_id = posts.id
              WHERE coalesce(vote_counts.votes, 0) <> coalesce(summed.votes, 0)
              ORDER BY posts.id",
        )?
        .query_map([], |row| {
            let (post, kept, cast): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("post {post}: the count says {kept}, its votes add up to {cast}"))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    wrong.extend(counts);
    Ok(wrong)
}

/// Finds rows without their post or user. A program that writes with foreign keys off can leave
/// them.
fn find_orphans(database: &Connection) -> rusqlite::Result<Vec<String>> {
    database
        .prepare("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")?
        .query_map([], |row| {
            let (table, parent, rows): (String, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{rows} of {table} name a row of {parent} that is not there"))
        })?
        .collect()
}
