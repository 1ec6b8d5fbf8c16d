//! Converts errors of SQLite and of its threads to errors of the store.

use crate::store::StoreError;
use crate::store::migrate::MigrateError;
use crate::worker_pool::WorkerError;

impl From<WorkerError> for StoreError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Overloaded => Self::Overloaded,
            WorkerError::Panicked => Self::internal("a read panicked"),
            WorkerError::Closed => Self::unavailable(error),
        }
    }
}

/// The result code of SQLite decides whether the same request may succeed later.
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

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Whether the statement violated a constraint of this kind, an extended result code.
pub(super) fn violates(error: &rusqlite::Error, extended_code: i32) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == extended_code)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error_of(code: i32) -> StoreError {
        StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn transient_errors_map_to_unavailable() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_NOMEM,
        ] {
            assert!(matches!(error_of(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CORRUPT, ffi::SQLITE_CONSTRAINT] {
            assert!(matches!(error_of(code), StoreError::Internal(_)), "{code}");
        }
        let no_row = StoreError::from(rusqlite::Error::QueryReturnedNoRows);
        assert!(matches!(no_row, StoreError::Internal(_)));
    }

    #[test]
    fn full_queue_maps_to_overloaded_closed_queue_to_unavailable() {
        assert!(matches!(StoreError::from(WorkerError::Overloaded), StoreError::Overloaded));
        assert!(matches!(StoreError::from(WorkerError::Closed), StoreError::Unavailable(_)));
    }
}
