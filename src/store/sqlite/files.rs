//! Watches the files of an open database: whether they still have their names, and how large the log
//! is.
//!
//! SQLite keeps writing to a file that was removed or renamed, and such writes are gone at the end
//! of the process.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::wal::companion;
use crate::store::{Result, StoreError};

/// A log beyond this size is logged, in bytes. Without a long read by another process, a log has
/// some 32 MiB.
pub(super) const LARGE_LOG: u64 = 256 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

#[derive(Debug, thiserror::Error)]
enum DetachedError {
    #[error("{0} was replaced by another file; restart the service")]
    Replaced(String),
    #[error("{0} was moved or removed; put the file back, or restart the service")]
    Missing(String, #[source] io::Error),
}

/// The database file, its log, and the index of the log.
pub(super) struct DatabaseFiles {
    database: PathBuf,
    opened: Vec<(PathBuf, Identity)>,
    log: PathBuf,
    is_detached: bool,
    has_large_log: bool,
}

impl DatabaseFiles {
    /// Call it after a transaction: SQLite creates the log and its index for the first one.
    pub(super) fn of_open(database: &Path) -> io::Result<Self> {
        let log = companion(database, "-wal");
        let paths = [database.to_owned(), log.clone(), companion(database, "-shm")];
        let opened = paths
            .into_iter()
            .map(|path| path.metadata().map(|metadata| (path, Identity::of(&metadata))))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            database: database.to_owned(),
            opened,
            log,
            is_detached: false,
            has_large_log: false,
        })
    }

    pub(super) fn is_detached(&self) -> bool {
        self.is_detached
    }

    /// Returns the size of the log in bytes, 0 if there is none.
    pub(super) fn log_size(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Checks that each file still has its name. Logs when the answer changes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if a file was moved, removed or replaced.
    pub(super) fn check(&mut self) -> Result<()> {
        let database = self.database.display();
        match self.opened.iter().try_for_each(|(path, opened)| still_named(path, *opened)) {
            Ok(()) if self.is_detached => {
                tracing::info!(%database, "the database file is back; writes are accepted");
                self.is_detached = false;
                Ok(())
            }
            Err(error) => {
                if !self.is_detached {
                    tracing::error!(%database, %error, "writes are refused");
                    self.is_detached = true;
                }
                Err(StoreError::unavailable(error))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Logs when the log becomes large, and when it is small again.
    pub(super) fn watch_log(&mut self) {
        let (bytes, log) = (self.log_size(), self.log.display().to_string());
        match self.compare_log(bytes) {
            Some(true) => {
                tracing::warn!(
                    log,
                    bytes,
                    "large log; a read transaction of another process holds it"
                );
            }
            Some(false) => tracing::info!(log, bytes, "the log is small again"),
            None => {}
        }
    }

    /// Returns whether the log is large, if that has changed.
    fn compare_log(&mut self, bytes: u64) -> Option<bool> {
        let is_large = bytes > LARGE_LOG;
        let has_changed = std::mem::replace(&mut self.has_large_log, is_large) != is_large;
        has_changed.then_some(is_large)
    }
}

fn still_named(path: &Path, opened: Identity) -> std::result::Result<(), DetachedError> {
    let name = || path.display().to_string();
    let found = path.metadata().map_err(|error| DetachedError::Missing(name(), error))?;
    if Identity::of(&found) == opened { Ok(()) } else { Err(DetachedError::Replaced(name())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_log_is_reported_once_until_it_is_small_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        for name in ["posts.db", "posts.db-wal", "posts.db-shm"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut files = DatabaseFiles::of_open(&path).unwrap();
        let steps = [
            (0, None),
            (LARGE_LOG, None),
            (LARGE_LOG + 1, Some(true)),
            (LARGE_LOG * 2, None),
            (LARGE_LOG, Some(false)),
            (0, None),
            (LARGE_LOG * 9, Some(true)),
        ];
        for (bytes, change) in steps {
            assert_eq!(files.compare_log(bytes), change, "{bytes}");
        }
    }
}
