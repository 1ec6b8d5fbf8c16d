//! The embedded store: one SQLite file.
//!
//! One thread writes, committing what waits together; a few threads read, each on a connection
//! of its own, and others like them read lists, so that nobody's short read waits behind long ones. WAL with `synchronous = FULL`: a commit is on the disk before it is answered.
//! Other processes may use the file too (a backup, the command line): a lock is waited for
//! [`BUSY_TIMEOUT`].

mod admin;
mod callers;
mod connection;
mod events;
mod lists;
mod login_failures;
mod posts;
mod reader;
mod readiness;
mod row;
mod search;
mod sessions;
mod statement;
mod users;
mod votes;
mod writer;

use std::path::Path;

use crossbeam_channel::TrySendError;

use self::reader::Readers;
use self::writer::Writer;
use super::{Result, StoreError};

pub use admin::SqliteAdmin;
pub use connection::BUSY_TIMEOUT;

pub struct SqliteStore {
    readers: Readers,
    list_readers: Readers,
    writer: Writer,
}

impl SqliteStore {
    /// Opens a database that is at the newest revision.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file cannot be opened or the threads not started.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            writer: Writer::open(path)?,
            readers: Readers::open(path, "sqlite-read")?,
            list_readers: Readers::open(path, "sqlite-list")?,
        })
    }
}

/// Every statement on the path of a request: name and text.
pub fn request_statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = [
        callers::STATEMENTS,
        users::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        lists::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}

/// What the queues of the readers and of the writer can say instead of taking a job.
impl<T> From<TrySendError<T>> for StoreError {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Overloaded,
            TrySendError::Disconnected(_) => Self::unavailable("the database's threads have ended"),
        }
    }
}

/// What a statement can fail with, told apart by SQLite's result code.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly,
            SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(
                DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen | ReadOnly
                | OutOfMemory,
            ) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn of(code: i32) -> StoreError {
        StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_NOMEM,
        ] {
            assert!(matches!(of(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CORRUPT, ffi::SQLITE_CONSTRAINT] {
            assert!(matches!(of(code), StoreError::Internal(_)), "{code}");
        }
        let no_row = StoreError::from(rusqlite::Error::QueryReturnedNoRows);
        assert!(matches!(no_row, StoreError::Internal(_)));
    }

    #[test]
    fn a_queue_that_is_full_is_told_from_one_that_has_ended() {
        assert!(matches!(StoreError::from(TrySendError::Full(())), StoreError::Overloaded));
        let ended = StoreError::from(TrySendError::Disconnected(()));
        assert!(matches!(ended, StoreError::Unavailable(_)));
    }
}
