//! Verifies a copy of a database: each page, the schema, the references between rows, the counts.

use rusqlite::{Connection, ErrorCode};

use super::{counts, history, schema};
use crate::store::migrate::{MigrateError, SQLITE, count_applied, newer_revisions, revision_at};

/// How many faults of the pages are described.
const MAX_FAULTS: usize = 10;

/// A database that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Verified {
    pub(in crate::store::sqlite) revision: String,
    pub(in crate::store::sqlite) users: i64,
    pub(in crate::store::sqlite) posts: i64,
    /// Whether the counts were compared, which needs the newest revision.
    pub(in crate::store::sqlite) is_newest: bool,
}

/// Reads the whole database.
///
/// # Errors
/// The faults, at least one.
pub(in crate::store::sqlite) fn find_faults(
    database: &Connection,
) -> Result<Result<Verified, Vec<String>>, MigrateError> {
    match verify(database) {
        Err(MigrateError::Store(error)) => match damage(&error) {
            Some(damage) => Ok(Err(vec![damage])),
            None => Err(MigrateError::Store(error)),
        },
        Err(error) => Ok(Err(vec![error.to_string()])),
        outcome => outcome,
    }
}

fn verify(database: &Connection) -> Result<Result<Verified, Vec<String>>, MigrateError> {
    let damages = find_damages(database)?;
    if !damages.is_empty() {
        return Ok(Err(damages));
    }
    let applied = history::read(database)?;
    let count = count_applied(SQLITE, &applied)?;
    if count == 0 {
        return Ok(Err(vec!["it is not a database of this service".to_owned()]));
    }
    let is_newest = count == SQLITE.len();
    let newer = newer_revisions(SQLITE, &applied);
    let mut faults = Vec::new();
    // A newer release may have added anything.
    if newer.is_empty() {
        faults.extend(schema::differences(database, count)?);
    }
    faults.extend(if is_newest && faults.is_empty() {
        counts::find_wrong(database)?
    } else {
        counts::find_orphans(database)?
    });
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let rows = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0));
    let revision = newer.last().map_or(revision_at(SQLITE, count), |newest| newest);
    Ok(Ok(Verified {
        revision: revision.to_owned(),
        users: rows("SELECT count(*) FROM users")?,
        posts: rows("SELECT count(*) FROM posts")?,
        is_newest,
    }))
}

pub(super) fn find_damages(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let lines = database
        .prepare(&format!("PRAGMA integrity_check({MAX_FAULTS})"))?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

/// Returns the description of an error that the file itself causes.
fn damage(error: &crate::store::StoreError) -> Option<String> {
    use std::error::Error as _;
    let source = error.source()?.downcast_ref::<rusqlite::Error>()?;
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            Some(source.to_string())
        }
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted,
        ) => None,
        // A damaged schema makes any statement fail.
        _ => Some(source.to_string()),
    }
}
