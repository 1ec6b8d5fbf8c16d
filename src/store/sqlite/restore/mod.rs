//! Puts a backup in the place of the database.
//!
//! The work is done on a copy next to the database, which then takes its place in one step.
//!
//! Not here: that step, see `replacement.rs`.

mod replacement;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::admin::{SqliteAdmin, Verified, sign_out_all};
use super::backup::{BackupError, copy_with_sha256, read_checksum, verify_open};
use super::commit_id::record_commit;
use super::database_lock::{DatabaseLock, give_to_owner};
use super::wal::{companion, with_suffix};
use super::{connection, usable_file};
use crate::domain::user::TokensValidFrom;
use crate::file_access::open_regular;
use crate::store::migrate::{SQLITE, migrate};

/// A backup, and the database that it replaces.
#[derive(Debug, Clone, Copy)]
pub struct RestoreRequest<'a> {
    pub database: &'a Path,
    pub backup: &'a Path,
    /// In hexadecimal digits. `None` means the one in `backup.sha256`, if there is such a file.
    pub sha256: Option<&'a str>,
    /// How many IDs are skipped, so that none is given again that was given after the backup.
    pub gap: u32,
    pub now: Timestamp,
}

/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub users: i64,
    pub posts: i64,
    /// The revision of the backup.
    pub revision: String,
    /// Whether there was a SHA-256.
    pub has_checksum: bool,
    /// Where the database is that was replaced, if there was one.
    pub previous: Option<PathBuf>,
}

/// Verifies the backup, and puts a copy of it in the place of the database: at the newest revision,
/// with all tokens and sessions revoked. Blocks the thread.
///
/// Whenever the process is killed, the old or the new database is complete and in place.
///
/// # Errors
/// [`BackupError::InUse`] if any process uses the database. The old database is unchanged after an
/// error.
pub async fn restore(request: RestoreRequest<'_>) -> Result<Restored, BackupError> {
    let database = resolve(request.database)?;
    let _lock =
        DatabaseLock::exclude_others(&database).map_err(|problem| in_use(&database, problem))?;
    let copy = Copy { path: with_suffix(&database, ".restoring") };
    copy.remove();
    let outcome = restore_copy(&request, &database, &copy).await;
    if outcome.is_err() {
        copy.remove();
    }
    outcome
}

async fn restore_copy(
    request: &RestoreRequest<'_>,
    database: &Path,
    copy: &Copy,
) -> Result<Restored, BackupError> {
    let has_checksum = copy.fill(request, database)?;
    let found = copy.verify(request.backup)?;
    migrate(&mut SqliteAdmin::of_copy(&copy.path), SQLITE.len(), request.now, |_| {}).await?;
    copy.make_new(request)?;
    if !found.is_newest {
        copy.verify(request.backup)?;
    }
    copy.sync(database)?;
    let previous = replacement::replace(database, &copy.path, request.now)?;
    Ok(Restored {
        users: found.users,
        posts: found.posts,
        revision: found.revision,
        has_checksum,
        previous,
    })
}

fn in_use(database: &Path, problem: impl std::fmt::Display) -> BackupError {
    BackupError::InUse { database: database.display().to_string(), problem: problem.to_string() }
}

/// Returns the path behind symbolic links: the target must be replaced, not the link.
fn resolve(database: &Path) -> Result<PathBuf, BackupError> {
    if database.is_symlink() {
        return database.canonicalize().map_err(BackupError::file("follow the link", database));
    }
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        let hint = "create its folder, or name another file in DATABASE_URL";
        return Err(BackupError::path(database, "has no folder", hint));
    }
    Ok(database.to_owned())
}

/// The copy that becomes the database.
struct Copy {
    path: PathBuf,
}

impl Copy {
    /// Also removes what a killed process has left.
    fn remove(&self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with_suffix(&self.path, ending));
        }
    }

    /// Copies the backup, and compares its SHA-256. Returns whether there was one to compare with.
    fn fill(&self, request: &RestoreRequest<'_>, database: &Path) -> Result<bool, BackupError> {
        let backup = request.backup;
        let input = open_backup(backup, database)?;
        let failed = |error| BackupError::file("write", &self.path)(error);
        let mut options = OpenOptions::new();
        let output = options.write(true).create_new(true).mode(0o600).open(&self.path);
        let output = output.map_err(failed)?;
        give_to_owner(&output, database).map_err(failed)?;
        let copied = copy_with_sha256(&input, &output);
        let sha256 = copied.map_err(BackupError::file("copy", backup))?;
        let sum = with_suffix(backup, ".sha256");
        let expected = match request.sha256 {
            Some(sha256) => Some((sha256.to_owned(), "--sha256".to_owned())),
            None => read_checksum(&sum)
                .map_err(BackupError::file("read", &sum))?
                .map(|sha256| (sha256, sum.display().to_string())),
        };
        match expected {
            Some((expected, expected_by)) if expected != sha256 => {
                Err(BackupError::OtherChecksum { path: backup.display().to_string(), expected_by })
            }
            expected => Ok(expected.is_some()),
        }
    }

    /// Faults are those of the backup.
    fn verify(&self, backup: &Path) -> Result<Verified, BackupError> {
        let failed = |error| BackupError::sqlite("read", backup)(error);
        usable_file::check(&self.path).map_err(|_| {
            BackupError::path(backup, "is not an SQLite database", "name another file")
        })?;
        let copy = connection::open_copy(&self.path).map_err(failed)?;
        verify_open(&copy, backup, "is damaged or not consistent")
    }

    /// Makes the copy a database of its own: no token, session or key of the backup is valid in it.
    fn make_new(&self, request: &RestoreRequest<'_>) -> Result<(), BackupError> {
        let failed = |error| BackupError::sqlite("change", &self.path)(error);
        let mut copy = connection::open_copy(&self.path).map_err(failed)?;
        let transaction = copy.transaction().map_err(failed)?;
        revoke_all(&transaction, request).map_err(failed)?;
        // A log of the backup's own history must not continue it.
        record_commit(&transaction)?;
        transaction.commit().map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))
    }

    fn sync(&self, database: &Path) -> Result<(), BackupError> {
        let failed = |error| BackupError::file("write", &self.path)(error);
        let file = File::open(&self.path).map_err(failed)?;
        give_to_owner(&file, database).map_err(failed)?;
        file.sync_all().map_err(failed)
    }
}

fn open_backup(backup: &Path, database: &Path) -> Result<File, BackupError> {
    let file = open_regular(backup).map_err(BackupError::file("read", backup))?;
    let found = file.metadata().map_err(BackupError::file("read", backup))?;
    let is_database = database
        .metadata()
        .is_ok_and(|database| (database.dev(), database.ino()) == (found.dev(), found.ino()));
    if is_database {
        return Err(BackupError::path(backup, "is the database itself", "name a backup"));
    }
    if companion(backup, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let hint = "make backups with `post-api backup`, which copies also what is in the log";
        return Err(BackupError::path(backup, "has a log next to it, so it lacks writes", hint));
    }
    Ok(file)
}

fn revoke_all(copy: &Connection, request: &RestoreRequest<'_>) -> rusqlite::Result<()> {
    const TABLES: [&str; 4] = ["users", "posts", "sessions", "events"];
    const ADD: &str = "INSERT INTO sqlite_sequence (name, seq)
        SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)";
    const RAISE: &str = "UPDATE sqlite_sequence
        SET seq = min(seq, 9223372036854775807 - ?2) + ?2 WHERE name = ?1";
    copy.execute_batch(
        "UPDATE installation SET key = randomblob(32);
         DELETE FROM sessions; DELETE FROM idempotency_keys; DELETE FROM login_failures;
         UPDATE change_log SET epoch = random(), until = 0; DELETE FROM post_changes",
    )?;
    sign_out_all(copy, TokensValidFrom::revoked_at(request.now).0.as_microsecond())?;
    for table in TABLES {
        copy.execute(ADD, [table])?;
        copy.execute(RAISE, rusqlite::params![table, request.gap])?;
    }
    Ok(())
}
