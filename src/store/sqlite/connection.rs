//! Opens the connection that writes and those that read, with their settings.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::store::{Result, StoreError};

/// How long a connection waits for the lock of another process.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than the number of the store's statements, so that none is prepared twice.
const STATEMENT_CACHE: usize = 64;

/// Creates an empty file that only its owner can read, because it will contain password hashes.
/// SQLite gives its log the same mode. An existing file stays as it is.
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{path} cannot be written: give the user of the service write access to the file, to its -wal and \
     -shm files, and to its folder"
)]
pub(super) struct NotWritable {
    path: String,
    #[source]
    source: Option<StoreError>,
}

impl NotWritable {
    fn error(path: &Path, source: Option<StoreError>) -> StoreError {
        StoreError::unavailable(Self { path: path.display().to_string(), source })
    }

    /// Adds the file and the cure to an error that says that a file can only be read.
    pub(super) fn explain(path: &Path, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) => Self::error(path, Some(error.into())),
            _ => error.into(),
        }
    }
}

/// Opens the connection that writes. Only this connection checkpoints the log.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file cannot be opened, or can only be read.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let connection = open_for_writes(path).map_err(|error| NotWritable::explain(path, error))?;
    // SQLite opens such a file without an error, and even begins transactions.
    if connection.is_readonly(MAIN_DB)? {
        return Err(NotWritable::error(path, None));
    }
    Ok(connection)
}

fn open_for_writes(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    enable_wal(&connection, || std::thread::sleep(Duration::from_millis(10)))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint writes each changed page once, so a longer log saves page writes: 32 MiB instead
    // of 4 MiB give a quarter more votes per second. Only a start after a crash reads the whole
    // log.
    connection.pragma_update(None, "wal_autocheckpoint", 8000)?;
    // A log that grew behind a slow reader is truncated to this many bytes.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

/// Switches to WAL. SQLite ignores the busy timeout here: if several processes create the database
/// at the same time, all but one get an error and must retry after a pause.
fn enable_wal(connection: &Connection, pause: impl Fn()) -> rusqlite::Result<()> {
    let end = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < end =>
            {
                pause();
            }
            outcome => return outcome,
        }
    }
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // SQLite opens the log by its name at the first read, which may be long after the start. The
    // name may belong to another file by then.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Opens a copy that only this process uses, without a log. The caller writes the file to the disk.
pub(super) fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    open_alone(path, "OFF")
}

/// Opens a file that no other process uses, copies its log into it, and removes the log.
pub(super) fn open_without_log(path: &Path) -> rusqlite::Result<Connection> {
    open_alone(path, "FULL")
}

fn open_alone(path: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(connection)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Without CREATE, a missing file is an error: only `create_private` sets the mode.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Each plan is made once. By default SQLite plans again for each bound value that the plan
    // could depend on, which takes longer than reading a post.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use tempfile::TempDir;

    use super::*;

    fn setting(connection: &Connection, name: &str) -> String {
        let value: rusqlite::types::Value =
            connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn assert_settings(connection: &Connection, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(setting(connection, name), *value, "{name}");
        }
    }

    #[test]
    fn writer_and_reader_have_their_settings() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        create_private(&path).unwrap();
        let common = [("busy_timeout", "5000"), ("foreign_keys", "1"), ("trusted_schema", "0")];
        let writer = open_writer(&path).unwrap();
        assert_settings(&writer, &common);
        let durable = [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("journal_size_limit", "67108864"),
            ("wal_autocheckpoint", "8000"),
        ];
        assert_settings(&writer, &durable);
        let reader = open_reader(&path).unwrap();
        assert_settings(&reader, &common);
        assert_settings(&reader, &[("query_only", "1"), ("wal_autocheckpoint", "0")]);
    }

    #[test]
    fn statement_is_planned_once_for_all_values() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        create_private(&path).unwrap();
        let writer = open_writer(&path).unwrap();
        writer
            .execute_batch(
                "CREATE TABLE rows (number INTEGER, is_shown INTEGER);
                 CREATE INDEX shown ON rows (number) WHERE is_shown = 1;
                 INSERT INTO rows VALUES (1, 1), (2, 1), (3, 0);
                 ANALYZE",
            )
            .unwrap();
        for connection in [open_writer(&path).unwrap(), open_reader(&path).unwrap()] {
            let sql = "SELECT count(*) FROM rows WHERE number = ?1 AND is_shown = ?2";
            let mut statement = connection.prepare(sql).unwrap();
            for values in [(1, 1), (2, 0), (3, 1)] {
                statement.query_row(values, |row| row.get::<_, i64>(0)).unwrap();
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        }
    }

    /// SQLite creates its log with the mode of the database file.
    #[cfg(unix)]
    #[test]
    fn files_are_readable_only_by_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        create_private(&path).unwrap();
        let writer = open_writer(&path).unwrap();
        writer.execute_batch("CREATE TABLE rows (number)").unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
    }

    #[test]
    fn create_private_keeps_an_existing_file_and_needs_the_folder() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        std::fs::write(&path, "something").unwrap();
        create_private(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"something");
        create_private(&folder.path().join("missing/posts.db")).unwrap_err();
    }

    #[test]
    fn file_that_is_not_a_database_is_refused_without_retry() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        std::fs::write(&path, "no database".repeat(1000)).unwrap();
        let connection = Connection::open(&path).unwrap();
        let error = enable_wal(&connection, || panic!("retried")).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase));
    }

    #[test]
    fn switch_to_wal_waits_for_another_connection() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        let another = Connection::open(&path).unwrap();
        another.execute_batch("CREATE TABLE rows (number); BEGIN; SELECT * FROM rows").unwrap();
        let connection = Connection::open(&path).unwrap();
        // In this case SQLite would wait by itself, unlike while other processes create the
        // database.
        connection.busy_timeout(Duration::ZERO).unwrap();
        enable_wal(&connection, || another.execute_batch("ROLLBACK").unwrap()).unwrap();
        assert_eq!(setting(&connection, "journal_mode"), "wal");
    }
}
