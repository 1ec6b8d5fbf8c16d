//! Gives the restored file the name of the database. A crash at any point leaves the old or the new
//! database in place, each complete.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::ErrorCode;

use super::in_use;
use crate::file_access::{ignore_missing, sync_folder};
use crate::store::sqlite::backup::BackupError;
use crate::store::sqlite::wal::{companion, with_suffix};
use crate::store::sqlite::{commit_id, connection, usable_file};

/// Keeps the old database under another name, which is returned, and puts the new one in its place.
/// No other process of the service has the database open.
pub(super) fn replace(
    database: &Path,
    restored: &Path,
    now: Timestamp,
) -> Result<Option<PathBuf>, BackupError> {
    let kept = free_name(database, now);
    settle(database)?;
    // SQLite would replay a log or a journal of the old file into the new one. If the old database
    // can be used, `settle` has left neither. If not, it cannot be used without them either.
    for ending in ["-wal", "-journal"] {
        let log = companion(database, ending);
        let moved = ignore_missing(std::fs::rename(&log, with_suffix(&kept, ending)));
        moved.map_err(BackupError::file("move", &log))?;
    }
    let shared_memory = companion(database, "-shm");
    let removed = ignore_missing(std::fs::remove_file(&shared_memory));
    removed.map_err(BackupError::file("remove", &shared_memory))?;
    let has_kept = keep(database, &kept).map_err(BackupError::file("keep", database))?;
    let failed = |error| BackupError::file("write the folder of", database)(error);
    sync_folder(database).map_err(failed)?;
    std::fs::rename(restored, database).map_err(BackupError::file("replace", database))?;
    sync_folder(database).map_err(failed)?;
    Ok(has_kept.then_some(kept))
}

fn free_name(database: &Path, now: Timestamp) -> PathBuf {
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    let name = with_suffix(database, &format!(".before-restore-{time}"));
    let others = (2_u32..).map(|number| with_suffix(&name, &format!("-{number}")));
    let mut names = std::iter::once(name.clone()).chain(others);
    names.find(|name| name.symlink_metadata().is_err()).unwrap_or(name)
}

/// Copies the log of the old database into its file and removes the log. Leaves a database as it is
/// that SQLite cannot use.
///
/// # Errors
/// [`BackupError::InUse`] if another program, such as a shell of SQLite, has the database open.
fn settle(database: &Path) -> Result<(), BackupError> {
    let is_usable = usable_file::check(database).is_ok() && commit_id::check_log(database).is_ok();
    if !is_usable || !database.exists() {
        return Ok(());
    }
    let settled = connection::open_without_log(database).and_then(|old| {
        // A read rolls back what a journal says.
        old.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let mode: String = old.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        old.close().map_err(|(_, error)| error)?;
        Ok(mode)
    });
    match settled {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(in_use(database, "another program has it open")),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Ok(()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Err(in_use(database, "another program has it open"))
            }
            _ => Err(BackupError::sqlite("read", database)(error)),
        },
    }
}

/// Gives the old file a second name. Returns whether there is an old file.
fn keep(database: &Path, kept: &Path) -> io::Result<bool> {
    match std::fs::hard_link(database, kept) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // Some file systems have no hard links.
        Err(_) => {
            std::fs::copy(database, kept)?;
            std::fs::File::open(kept)?.sync_all()?;
            Ok(true)
        }
    }
}
