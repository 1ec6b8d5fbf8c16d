//! Copies the database into one file while the service runs, and verifies the copy.

mod checksum;
mod error;
mod partial;

use std::io::Seek as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup as PageCopy, StepResult};

use self::partial::Partial;
use super::admin::{Verified, find_faults};
use super::database_lock::DatabaseLock;
use super::wal::{companion, with_suffix};
use super::{commit_id, connection, usable_file};
use crate::file_access::{ignore_missing, sync_folder};

pub(super) use checksum::{copy_with_sha256, read as read_checksum};

pub use checksum::parse as parse_sha256;
pub use error::BackupError;
pub use partial::remove_partial;

/// A verified backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub bytes: u64,
    pub users: i64,
    pub posts: i64,
    pub revision: String,
    /// Whether the counts of votes were compared with the votes, which needs the newest revision.
    pub has_verified_counts: bool,
}

const NAME_ANOTHER: &str = "name another file";

/// Checks that a command can open the database. Call it before this process opens the database.
///
/// # Errors
/// [`BackupError::NoDatabase`], or the error of a file that the service would refuse too.
pub fn check_source(database: &Path) -> Result<(), BackupError> {
    usable_file::check(database)?;
    if !database.exists() {
        return Err(BackupError::NoDatabase(database.display().to_string()));
    }
    Ok(commit_id::check_log(database)?)
}

/// Writes the database as it is now to `target`, and its SHA-256 to `target.sha256`. The copy
/// contains every write that was acknowledged before the call. Blocks the thread; the service
/// continues to read and write.
///
/// The copy is verified under the name `target.partial`. After an error nothing is left of it.
///
/// # Errors
/// [`BackupError::Path`] if `target` exists and `may_replace` is false, or cannot be a backup.
pub fn back_up(database: &Path, target: &Path, may_replace: bool) -> Result<Backup, BackupError> {
    check_target(database, target, may_replace)?;
    let _lock = DatabaseLock::share(database)?;
    let mut partial = Partial::create(target)?;
    copy_pages(database, &partial.path)?;
    let verified = verify(&partial.path)?;
    let failed = |error| BackupError::file("write", &partial.path)(error);
    partial.file.sync_all().map_err(failed)?;
    partial.file.rewind().map_err(BackupError::file("read", &partial.path))?;
    let read = checksum::sha256_of(&partial.file);
    let sha256 = read.map_err(BackupError::file("read", &partial.path))?;
    let bytes = partial.file.metadata().map_or(0, |metadata| metadata.len());
    publish(partial, target, &sha256, may_replace)?;
    Ok(Backup {
        bytes,
        users: verified.users,
        posts: verified.posts,
        revision: verified.revision,
        has_verified_counts: verified.is_newest,
    })
}

fn check_target(database: &Path, target: &Path, may_replace: bool) -> Result<(), BackupError> {
    if target.file_name().is_none() || target.is_dir() {
        return Err(BackupError::path(target, "is a folder", "name a file"));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        let hint = "create its folder, or name another file";
        return Err(BackupError::path(target, "has no folder", hint));
    }
    let Ok(found) = target.symlink_metadata() else {
        return Ok(());
    };
    let files = ["", "-wal", "-shm", "-lock"].map(|ending| companion(database, ending));
    let resolved = target.metadata().unwrap_or(found.clone());
    let is_database = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .any(|file| (file.dev(), file.ino()) == (resolved.dev(), resolved.ino()));
    if is_database {
        return Err(BackupError::path(target, "belongs to the database itself", NAME_ANOTHER));
    }
    if !found.is_file() {
        return Err(BackupError::path(target, "is not a regular file", NAME_ANOTHER));
    }
    if !may_replace {
        return Err(BackupError::path(target, "exists", "name another file, or add --force"));
    }
    Ok(())
}

/// Copies all pages in one step. In several steps, each commit of the service would start the copy
/// anew.
fn copy_pages(database: &Path, partial: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::sqlite("copy", database)(error);
    let source = connection::open_reader(database).map_err(failed)?;
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    let failed = |error| BackupError::sqlite("write", partial)(error);
    let mut copy = connection::open_copy(partial).map_err(failed)?;
    let step = PageCopy::new(&source, &mut copy).and_then(|pages| pages.step(-1));
    match step.map_err(failed)? {
        StepResult::Done => {}
        // The transaction on the source holds its lock, and only this process knows the copy.
        _ => return Err(failed(rusqlite::Error::QueryReturnedNoRows)),
    }
    copy.close().map_err(|(_, error)| BackupError::sqlite("write", partial)(error))
}

/// Verifies the copy by itself. It leaves no log: in this mode a file never takes up another's.
fn verify(partial: &Path) -> Result<Verified, BackupError> {
    let failed = |error| BackupError::sqlite("read", partial)(error);
    let copy = connection::open_copy(partial).map_err(failed)?;
    let verified = verify_open(&copy, partial, "is damaged or not consistent, and was removed")?;
    copy.close().map_err(|(_, error)| BackupError::sqlite("write", partial)(error))?;
    Ok(verified)
}

pub(super) fn verify_open(
    copy: &Connection,
    path: &Path,
    problem: &'static str,
) -> Result<Verified, BackupError> {
    let path = path.display().to_string();
    find_faults(copy)?.map_err(|faults| BackupError::Unsound { path, problem, faults })
}

/// Gives the backup and its checksum their names. A crash leaves no checksum next to another backup.
fn publish(
    partial: Partial,
    target: &Path,
    sha256: &str,
    may_replace: bool,
) -> Result<(), BackupError> {
    let sum = with_suffix(target, ".sha256");
    let new_sum = with_suffix(&sum, ".partial");
    let failed = |error| BackupError::file("write", &sum)(error);
    let outcome = checksum::write(&new_sum, sha256, target).map_err(failed).and_then(|()| {
        let removed = ignore_missing(std::fs::remove_file(&sum));
        removed.map_err(BackupError::file("replace", &sum))?;
        let renamed = partial.rename(target, may_replace);
        renamed.map_err(BackupError::file("create", target))?;
        std::fs::rename(&new_sum, &sum).map_err(BackupError::file("create", &sum))
    });
    if outcome.is_err() {
        let _ = std::fs::remove_file(&new_sum);
    }
    outcome?;
    sync_folder(target).map_err(BackupError::file("write the folder of", target))
}
