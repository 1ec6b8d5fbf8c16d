//! Detects a write-ahead log that does not belong to its database file. SQLite replays any log next
//! to a file. If the file is a backup that was put back beside the log of another state, SQLite
//! would overwrite the backup with pages of that state.
//!
//! Each transaction of the service that changes rows also writes a random commit ID into the header
//! of the file (`user_version`), and the ID before it (`application_id`). A log belongs to a file if
//! the file has the ID before the first commit of the log, or the ID of a commit in the log: the
//! file changes only when commits of the log are copied into it, and SQLite starts a log anew only
//! after all of them were copied.
//!
//! Not here: the format of both files, see `wal.rs`.

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use rusqlite::Connection;

use crate::store::sqlite::wal::{FileHeader, LogHeader, committed_headers, companion};
use crate::store::{Result, StoreError};

/// How often the check is repeated if another process starts the log anew meanwhile.
const MAX_ATTEMPTS: usize = 10;

/// The random number of a transaction; 0 in a file that the service has not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitId(pub(super) i32);

#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error(
        "{log} belongs to another state of {database}, and SQLite would overwrite the file with it; \
         if you put back a backup, remove the -wal and the -shm file, otherwise put back the \
         database file of this log"
    )]
    Foreign { database: String, log: String },
    #[error(
        "{database} is missing or empty, but its log {log} has data; put the database file back, or \
         remove the -wal and the -shm file to begin with an empty database"
    )]
    Orphaned { database: String, log: String },
    #[error("could not read {0}")]
    Unreadable(String, #[source] io::Error),
}

/// Gives the open transaction its commit ID.
pub(super) fn record_commit(connection: &Connection) -> Result<()> {
    let read = "PRAGMA user_version";
    let current: i32 = connection.prepare_cached(read)?.query_row([], |row| row.get(0))?;
    let random = getrandom::u32().map_err(StoreError::unavailable)?.cast_signed();
    let next = if random == current || random == 0 { current.wrapping_add(1) } else { random };
    connection.pragma_update(None, "application_id", current)?;
    connection.pragma_update(None, "user_version", next)?;
    Ok(())
}

/// Checks that the log next to the database file belongs to it. Call this before the process opens
/// the database.
///
/// A log without any commit ID is accepted: only another program leaves one. Writes of other
/// programs have no commit ID of their own, so the check cannot tell the states that they make.
///
/// # Errors
/// [`StoreError::Internal`] if the log belongs to another file or state, or to no file.
pub(super) fn check_log(database: &Path) -> Result<()> {
    let log = companion(database, "-wal");
    let unreadable =
        |error| StoreError::internal(LogError::Unreadable(log.display().to_string(), error));
    for _ in 0..MAX_ATTEMPTS {
        let Some(before) = LogHeader::read(&log).map_err(unreadable)? else {
            return Ok(());
        };
        // Read before the log: a process that uses the file copies only what is in the log already.
        let file = read_file(database);
        let commits = committed_headers(&log).map_err(unreadable)?;
        if LogHeader::read(&log).map_err(unreadable)? != Some(before) {
            continue;
        }
        let (database, log) = (database.display().to_string(), log.display().to_string());
        return match file {
            _ if commits.is_empty() => Ok(()),
            DatabaseFile::Missing => {
                Err(StoreError::internal(LogError::Orphaned { database, log }))
            }
            DatabaseFile::Database(header) if !belongs(header, &commits) => {
                Err(StoreError::internal(LogError::Foreign { database, log }))
            }
            DatabaseFile::Database(_) | DatabaseFile::Unusable => Ok(()),
        };
    }
    // A log that is started anew all the time is in use.
    Ok(())
}

/// Whether a log with these commits belongs to the file. A log without commit IDs belongs to any.
fn belongs(file: FileHeader, commits: &[FileHeader]) -> bool {
    let is_before = commits.first().is_none_or(|first| first.previous_id == file.commit_id);
    let is_within = commits.iter().any(|commit| commit.commit_id == file.commit_id);
    // A copy by `VACUUM INTO` has the commit ID, but other pages. It is not in WAL mode.
    file.is_wal && (is_before || is_within)
}

enum DatabaseFile {
    Missing,
    Database(FileHeader),
    /// Not a database, or unreadable. SQLite reports which.
    Unusable,
}

fn read_file(database: &Path) -> DatabaseFile {
    match database.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return DatabaseFile::Missing,
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => return DatabaseFile::Missing,
        Ok(metadata) if metadata.is_file() => {}
        _ => return DatabaseFile::Unusable,
    }
    match FileHeader::read(database) {
        Ok(Some(header)) => DatabaseFile::Database(header),
        _ => DatabaseFile::Unusable,
    }
}
