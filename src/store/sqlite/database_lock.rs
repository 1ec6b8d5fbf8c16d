//! The lock that keeps a database file from being replaced while it is in use.
//!
//! Everyone who opens the file shares the lock of a file next to it, `-lock`; a restore needs the lock
//! for itself. The locks of SQLite cannot do that: a process that has opened the file and waits for
//! them would continue with a file that has lost its name.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use super::wal::companion;
use crate::file_access;
use crate::store::StoreError;

/// Held until it is dropped. The file stays: removing it would let two processes lock two files.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    _file: Option<File>,
}

#[derive(Debug, thiserror::Error)]
#[error("a restore replaces {0} now; wait for its end")]
struct BeingReplaced(String);

#[derive(Debug, thiserror::Error)]
pub(super) enum NotExclusive {
    #[error("a service or a command uses it")]
    InUse,
    #[error("could not lock {0}")]
    Unlockable(String, #[source] io::Error),
}

impl DatabaseLock {
    /// Shares the lock with everyone who uses the database. The folder must exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while a restore replaces the file.
    pub(super) fn share(database: &Path) -> Result<Self, StoreError> {
        let Ok(file) = open(database) else {
            // In such a folder SQLite cannot create the log either, and its error says more.
            return Ok(Self { _file: None });
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::unavailable(BeingReplaced(database.display().to_string())))
            }
            // A file system without locks has no second process that could replace the file safely.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: Some(file) }),
        }
    }

    /// Like [`DatabaseLock::share`], for a reader that must not create the file. Without the file
    /// no restore is running.
    pub(super) fn share_existing(database: &Path) -> Result<Self, StoreError> {
        if companion(database, "-lock").exists() {
            Self::share(database)
        } else {
            Ok(Self { _file: None })
        }
    }

    /// Takes the lock alone.
    pub(super) fn exclude_others(database: &Path) -> Result<Self, NotExclusive> {
        let unlockable = |error| {
            NotExclusive::Unlockable(companion(database, "-lock").display().to_string(), error)
        };
        let file = open(database).map_err(unlockable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(NotExclusive::InUse),
            Err(TryLockError::Error(error)) => Err(unlockable(error)),
        }
    }
}

/// Opens the file, or creates it. A file that root creates belongs to the owner of the database, which
/// may be the user of a service.
fn open(database: &Path) -> io::Result<File> {
    let path = companion(database, "-lock");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(&path) {
        Ok(file) => {
            give_to_owner(&file, database)?;
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => file_access::open_regular(&path),
        Err(error) => Err(error),
    }
}

/// Gives a new file next to the database the mode and the owner of the database, else mode 0600 and
/// the owner of the folder.
pub(super) fn give_to_owner(file: &File, database: &Path) -> io::Result<()> {
    let mode = database.metadata().map_or(0o600, |metadata| metadata.mode() & 0o666);
    file.set_permissions(Permissions::from_mode(mode))?;
    let folder = || database.parent().map_or(Err(ErrorKind::NotFound.into()), Path::metadata);
    let (wanted, created) = (database.metadata().or_else(|_| folder())?, file.metadata()?);
    if (wanted.uid(), wanted.gid()) == (created.uid(), created.gid()) || file_access::user() != 0 {
        return Ok(());
    }
    fchown(file, Some(wanted.uid()), Some(wanted.gid()))
}
