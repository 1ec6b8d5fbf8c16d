//! The operator's view of a SQLite file: migrate it, compare its schema, recount its votes.
//!
//! The statements block the calling thread, which serves no requests.

mod counts;
mod history;
mod inspection;
mod schema;
mod transfer;
mod verification;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::commit_id::{self, record_commit};
use super::connection::{self, NotWritable};
use super::database_lock::DatabaseLock;
use super::usable_file;
use super::users::later_tokens_valid_from;
use crate::domain::user::TokensValidFrom;
use crate::store::migrate::{
    Applied, Direction, MigrateError, MigrateResult, Migration, SQLITE, SchemaAdmin, Step,
    closed_accounts_note, count_applied, newer_revisions, note_about_newer, steps_up,
};
use crate::store::{Result, StoreError};

pub use inspection::SqliteInspector;

pub(super) use history::is_current;
pub(super) use verification::{Verified, find_faults};

pub struct SqliteAdmin {
    path: PathBuf,
    /// Opened for the first change, and kept open. Closing the last connection would checkpoint the
    /// log after each step.
    writer: Option<Connection>,
    /// Whether the log was checked, which is possible only before the first connection.
    is_checked: bool,
    /// Taken for the first connection. `None` for a copy, which only this process knows.
    lock: Option<DatabaseLock>,
    is_copy: bool,
}

impl SqliteAdmin {
    /// Does not open the file. If it does not exist, the first migration creates it.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), writer: None, is_checked: false, lock: None, is_copy: false }
    }

    /// Opens a copy that only this process knows.
    pub(super) fn of_copy(path: &Path) -> Self {
        Self { is_copy: true, ..Self::new(path) }
    }

    fn lock(&mut self) -> MigrateResult<()> {
        if self.lock.is_none() && !self.is_copy {
            self.lock = Some(DatabaseLock::share(&self.path)?);
        }
        Ok(())
    }

    /// Returns a connection that writes. Creates the file if it does not exist.
    fn writer(&mut self) -> MigrateResult<&mut Connection> {
        if let Some(writer) = self.writer.take() {
            return Ok(self.writer.insert(writer));
        }
        self.lock()?;
        self.check_file()?;
        connection::create_private(&self.path)
            .map_err(|error| usable_file::not_created(&self.path, &error))?;
        let writer = connection::open_writer(&self.path).map_err(|error| self.not_opened(error))?;
        Ok(self.writer.insert(writer))
    }

    /// Takes the write lock, so that only one process writes.
    pub(in crate::store::sqlite) fn begin(&mut self) -> MigrateResult<Transaction<'_>> {
        let path = self.path.clone();
        let begun = self.writer()?.transaction_with_behavior(TransactionBehavior::Immediate);
        Ok(begun.map_err(|error| NotWritable::explain(&path, error))?)
    }

    /// Returns a connection that reads, or `None` if the file does not exist. Reading must not
    /// create or change a file.
    pub(in crate::store::sqlite) fn existing(&mut self) -> MigrateResult<Option<Connection>> {
        if self.path.is_file() {
            self.lock()?;
        }
        self.check_file()?;
        if !self.path.exists() {
            return Ok(None);
        }
        let reader = connection::open_reader(&self.path);
        Ok(Some(reader.map_err(|error| self.not_opened(error.into()))?))
    }

    fn check_file(&mut self) -> MigrateResult<()> {
        if !self.is_checked {
            usable_file::check(&self.path)?;
            commit_id::check_log(&self.path).map_err(unreachable)?;
            self.is_checked = true;
        }
        Ok(())
    }

    /// Adds the path to an error of SQLite.
    fn not_opened(&self, error: StoreError) -> StoreError {
        match unreachable(error) {
            StoreError::Unavailable(source) => {
                StoreError::unavailable(NotOpened { path: self.path.display().to_string(), source })
            }
            error => error,
        }
    }
}

#[async_trait]
impl SchemaAdmin for SqliteAdmin {
    fn migrations(&self) -> &'static [Migration] {
        SQLITE
    }

    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        let history = self.applied().await?;
        let applied = count_applied(SQLITE, &history)?;
        refuse_newer(&history, target)?;
        if let Some(database) = self.existing()? {
            refuse_obstacles(&self.path, &database, applied, target)?;
        }
        let mut lines = Vec::new();
        if !self.path.exists() {
            lines.push(format!("creates the file {}", self.path.display()));
        }
        let steps = steps_up(SQLITE, applied, target);
        lines.extend(steps.iter().map(|step| format!("up   {}", step.migration.revision)));
        Ok(lines)
    }

    async fn applied(&mut self) -> MigrateResult<Vec<Applied>> {
        match self.existing()? {
            Some(database) => history::read(&database),
            None => Ok(Vec::new()),
        }
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        if target == 0 && !self.path.exists() {
            return Ok(None);
        }
        let path = self.path.clone();
        let transaction = self.begin()?;
        let history = history::read(&transaction)?;
        let applied = count_applied(SQLITE, &history)?;
        refuse_newer(&history, target)?;
        refuse_obstacles(&path, &transaction, applied, target)?;
        let Some(step) = Step::next(SQLITE, applied, target) else {
            return Ok(None);
        };
        run_step(&transaction, step, applied, now)?;
        commit(transaction)?;
        Ok(Some(step))
    }

    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()> {
        let transaction = self.begin()?;
        history::rewrite(&transaction, target, now)?;
        Ok(commit(transaction)?)
    }

    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>> {
        let Some(database) = self.existing()? else {
            return Ok(Vec::new());
        };
        let applied = count_applied(SQLITE, &history::read(&database)?)?;
        Ok(schema::differences(&database, applied)?)
    }

    async fn wrong_counts(&mut self) -> MigrateResult<Vec<String>> {
        match self.existing()? {
            Some(database) => Ok(counts::find_wrong(&database)?),
            None => Ok(Vec::new()),
        }
    }

    async fn repair(&mut self) -> MigrateResult<Vec<String>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        Ok(counts::repair(self.writer()?)?)
    }

    async fn sign_out_all(&mut self, now: Timestamp) -> MigrateResult<u64> {
        if !self.path.exists() {
            return Ok(0);
        }
        let transaction = self.begin()?;
        let now = TokensValidFrom::revoked_at(now).0.as_microsecond();
        let count = sign_out_all(&transaction, now)?;
        commit(transaction)?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn notes(&mut self) -> MigrateResult<Vec<String>> {
        let history = self.applied().await?;
        let newer = newer_revisions(SQLITE, &history);
        let mut notes = Vec::new();
        if !newer.is_empty() {
            notes.push(note_about_newer(&newer));
        }
        if let Some(database) = self.existing()? {
            notes.extend(closed_accounts_note(count_closed_accounts(&database)?));
        }
        Ok(notes)
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        let revision = step.migration.revision;
        let database = self.path.exists().then(|| connection::open_reader(&self.path).ok());
        let database = database.flatten();
        let (direction, record) = match step.direction {
            Direction::Up => ("up", history::script(&step, database.as_ref(), now)),
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

/// Revokes the tokens of all accounts, and returns their number. Later accounts start after it.
/// `now` is in microseconds since 1970.
pub(super) fn sign_out_all(transaction: &Connection, now: i64) -> rusqlite::Result<usize> {
    const ALL_USERS: &str = concat!("UPDATE users SET ", later_tokens_valid_from!("?1"));
    const NEW_USERS: &str = concat!("UPDATE installation SET ", later_tokens_valid_from!("?1"));
    transaction.execute(NEW_USERS, [now])?;
    transaction.execute(ALL_USERS, [now])
}

pub(super) fn commit(transaction: Transaction<'_>) -> Result<()> {
    record_commit(&transaction)?;
    Ok(transaction.commit()?)
}

/// For an operator, a file that cannot be opened is as unreachable as a missing one.
fn unreachable(error: StoreError) -> StoreError {
    match error {
        StoreError::Internal(source) => StoreError::Unavailable(source),
        other => other,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("could not open {path}")]
struct NotOpened {
    path: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn refuse_newer(history: &[Applied], target: usize) -> MigrateResult<()> {
    match newer_revisions(SQLITE, history).first() {
        Some(newer) if target < SQLITE.len() => Err(MigrateError::Newer((*newer).to_owned())),
        _ => Ok(()),
    }
}

fn refuse_obstacles(
    path: &Path,
    database: &Connection,
    applied: usize,
    target: usize,
) -> MigrateResult<()> {
    if applied == target {
        return Ok(());
    }
    let obstacles = schema::find_obstacles(database, applied, target)?;
    if obstacles.is_empty() {
        return Ok(());
    }
    let in_file = |obstacle: String| format!("{}: {obstacle}", path.display());
    Err(MigrateError::Obstructed(obstacles.into_iter().map(in_file).collect()))
}

fn run_step(
    transaction: &Transaction<'_>,
    step: Step,
    applied: usize,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction.execute_batch(step.sql())?;
    match step.direction {
        Direction::Up => history::record_applied(transaction, step.migration, now),
        // Reverting the first migration leaves nothing behind.
        Direction::Down if applied == 1 => {
            transaction.execute_batch("DROP TABLE schema_migrations")
        }
        Direction::Down => transaction
            .execute("DELETE FROM schema_migrations WHERE revision = ?1", [step.migration.revision])
            .map(|_| ()),
    }
}

/// Returns 0 also for a file at a revision without the table.
fn count_closed_accounts(database: &Connection) -> rusqlite::Result<i64> {
    const TABLE: &str = "SELECT 1 FROM sqlite_schema WHERE name = 'account_deletions'";
    const COUNT: &str = "SELECT count(*) FROM account_deletions";
    if !database.prepare(TABLE)?.exists([])? {
        return Ok(0);
    }
    database.query_row(COUNT, [], |row| row.get(0))
}
