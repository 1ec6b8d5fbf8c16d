//! Opens a database without creating or changing a file, whether a service uses it or not.
//!
//! SQLite would create the log and its index even for a connection that only reads. Without a log
//! the file is therefore opened as one that does not change (`immutable`), and with a log its index
//! is opened for reading only (`readonly_shm`):
//! <https://www.sqlite.org/wal.html#read_only_databases>.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::connection::BUSY_TIMEOUT;
use super::wal::companion;
use crate::store::{Result, StoreError};

/// Everything but the plain characters of a path is encoded: SQLite reads the rest as parameters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');

/// The log has no index. SQLite would create one.
#[derive(Debug, thiserror::Error)]
#[error("the log of {0} has no index; a start of the service makes it anew")]
struct NoIndex(String);

/// The state of a file, to notice a write by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
    has_log: bool,
}

impl State {
    fn of(path: &Path) -> Self {
        let metadata = path.metadata().ok();
        Self {
            bytes: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            modified: metadata.and_then(|metadata| metadata.modified().ok()),
            has_log: companion(path, "-wal").exists(),
        }
    }
}

pub(super) struct ReadOnly {
    pub(super) connection: Connection,
    /// The state of a file that was opened as one that does not change.
    unchanging: Option<State>,
}

impl ReadOnly {
    /// # Errors
    /// If SQLite cannot open the file, or would have to create a file for it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let state = State::of(path);
        if state.has_log && !companion(path, "-shm").exists() {
            return Err(StoreError::unavailable(NoIndex(path.display().to_string())));
        }
        let mode = if state.has_log { "readonly_shm=1" } else { "immutable=1" };
        let path = percent_encode(path.as_os_str().as_bytes(), ENCODED);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{path}?{mode}"), flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let unchanging = (!state.has_log).then_some(state);
        Ok(Self { connection, unchanging })
    }

    /// Whether another process has written to the file while this one took it for unchanging, so
    /// that what was read may be wrong.
    pub(super) fn is_outdated(&self, path: &Path) -> bool {
        self.unchanging.is_some_and(|state| State::of(path) != state)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn count(file: &ReadOnly) -> i64 {
        file.connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
    }

    /// The name has the characters that end or escape a path in a URI.
    #[test]
    fn file_is_read_without_another_file_and_with_its_log() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a b%41?c#d.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE rows (number); INSERT INTO rows VALUES (1)").unwrap();
        let with_log = names(folder.path());
        assert_eq!(with_log.len(), 3);
        let file = ReadOnly::open(&path).unwrap();
        assert_eq!(count(&file), 1);
        writer.execute_batch("INSERT INTO rows VALUES (2)").unwrap();
        assert_eq!(count(&file), 2);
        assert!(file.connection.execute("DELETE FROM rows", []).is_err());
        drop(file);
        assert_eq!(names(folder.path()), with_log);

        drop(writer);
        assert_eq!(names(folder.path()).len(), 1);
        let file = ReadOnly::open(&path).unwrap();
        assert_eq!(count(&file), 2);
        assert!(!file.is_outdated(&path));
        assert_eq!(names(folder.path()).len(), 1);
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("INSERT INTO rows VALUES (3)").unwrap();
        assert!(file.is_outdated(&path));
    }

    /// A killed process leaves the log and its index.
    #[test]
    fn log_of_a_killed_process_is_read_and_stays() {
        let folder = TempDir::new().unwrap();
        let (path, copy) = (folder.path().join("posts.db"), folder.path().join("copy.db"));
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.execute_batch("CREATE TABLE rows (number); INSERT INTO rows VALUES (1)").unwrap();
        for ending in ["", "-wal", "-shm"] {
            std::fs::copy(companion(&path, ending), companion(&copy, ending)).unwrap();
        }
        let read = |ending: &str| std::fs::read(companion(&copy, ending)).unwrap();
        let before = ["", "-wal", "-shm"].map(read);
        assert_eq!(count(&ReadOnly::open(&copy).unwrap()), 1);
        assert!(["", "-wal", "-shm"].map(read) == before);

        std::fs::remove_file(companion(&copy, "-shm")).unwrap();
        assert!(ReadOnly::open(&copy).is_err());
        assert!(!companion(&copy, "-shm").exists());
    }
}
