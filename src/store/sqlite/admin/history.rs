//! The table `schema_migrations`: which migrations the file has.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::super::row::timestamp;
use crate::store::Result;
use crate::store::migrate::{
    Applied, MigrateError, MigrateResult, Migration, SQLITE, Step, count_applied,
};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    revision TEXT PRIMARY KEY,
    checksum TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    -- The oldest revision that a binary must know to work with a database that has this migration.
    compatible_from TEXT
) STRICT";

/// For a history that an earlier release made.
const ADD_COMPATIBLE_FROM: &str = "ALTER TABLE schema_migrations ADD COLUMN compatible_from TEXT";

/// Returns the names of the columns; none if there is no table.
fn columns(database: &Connection) -> rusqlite::Result<Vec<String>> {
    database
        .prepare("SELECT name FROM pragma_table_info('schema_migrations') ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn has(columns: &[String], name: &str) -> bool {
    columns.iter().any(|column| column == name)
}

/// Returns the applied migrations in their order.
///
/// # Errors
/// [`MigrateError::ForeignHistory`] if another program has a table of this name.
pub(super) fn read(database: &Connection) -> MigrateResult<Vec<Applied>> {
    let columns = columns(database)?;
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    if !["revision", "checksum", "applied_at"].iter().all(|name| has(&columns, name)) {
        return Err(MigrateError::ForeignHistory(format!(
            "it is of another program (its columns are {}); give the service a file of its own: \
             set DATABASE_URL to `sqlite:PATH`",
            columns.join(", ")
        )));
    }
    let compatible_from = if has(&columns, "compatible_from") { "compatible_from" } else { "NULL" };
    let applied = database
        .prepare(&format!(
            "SELECT revision, checksum, applied_at, {compatible_from}
               FROM schema_migrations ORDER BY revision"
        ))?
        .query_map([], |row| {
            Ok(Applied {
                revision: row.get(0)?,
                checksum: row.get(1)?,
                applied_at: timestamp(row, 2)?,
                compatible_from: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(applied)
}

/// Whether this binary can work with the schema of the file.
pub(in crate::store::sqlite) fn is_current(database: &Connection) -> Result<bool> {
    let applied = read(database).and_then(|history| count_applied(SQLITE, &history));
    match applied {
        Err(MigrateError::Store(error)) => Err(error),
        outcome => Ok(outcome.is_ok_and(|applied| applied == SQLITE.len())),
    }
}

pub(super) fn record_applied(
    transaction: &Transaction<'_>,
    migration: &Migration,
    now: Timestamp,
) -> rusqlite::Result<()> {
    transaction.execute_batch(CREATE)?;
    if !has(&columns(transaction)?, "compatible_from") {
        transaction.execute_batch(ADD_COMPATIBLE_FROM)?;
    }
    transaction
        .execute(
            "INSERT INTO schema_migrations (revision, checksum, applied_at, compatible_from)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                migration.revision,
                migration.checksum(),
                now.as_microsecond(),
                migration.compatible_from
            ],
        )
        .map(|_| ())
}

pub(super) fn rewrite(
    transaction: &Transaction<'_>,
    target: usize,
    now: Timestamp,
) -> MigrateResult<()> {
    read(transaction)?;
    transaction.execute_batch(CREATE)?;
    transaction.execute_batch("DELETE FROM schema_migrations")?;
    for migration in SQLITE.iter().take(target) {
        record_applied(transaction, migration, now)?;
    }
    Ok(())
}

/// Returns the SQL that records the step of an upgrade.
pub(super) fn script(step: &Step, database: Option<&Connection>, now: Timestamp) -> String {
    let Migration { revision, compatible_from, .. } = step.migration;
    let history = database.and_then(|database| read(database).ok()).unwrap_or_default();
    let existing = database.and_then(|database| columns(database).ok()).unwrap_or_default();
    let is_next = SQLITE.get(history.len()).is_some_and(|next| next.revision == *revision);
    // The scripts of later steps find the column.
    let is_missing = !existing.is_empty() && !has(&existing, "compatible_from");
    let add =
        if is_next && is_missing { format!("{ADD_COMPATIBLE_FROM};\n") } else { String::new() };
    let compatible_from =
        compatible_from.map_or_else(|| "NULL".to_owned(), |oldest| format!("'{oldest}'"));
    format!(
        "{CREATE};\n{add}INSERT INTO schema_migrations VALUES ('{revision}', '{}', {}, {compatible_from});",
        step.migration.checksum(),
        now.as_microsecond(),
    )
}
