//! Converts errors of SQLite and of its threads to errors of the store.

use rusqlite::{ErrorCode, ffi};

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

/// Whether SQLite found that the file is damaged. Only a backup helps.
#[must_use]
pub fn is_damaged(error: &StoreError) -> bool {
    let (StoreError::Internal(source) | StoreError::Unavailable(source)) = error else {
        return false;
    };
    let first: &(dyn std::error::Error + 'static) = source.as_ref();
    let mut causes = std::iter::successors(Some(first), |cause| cause.source());
    causes.any(|cause| {
        let code =
            cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
        matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    })
}

/// Whether the statement violated a constraint of this kind, an extended result code.
pub(super) fn violates(error: &rusqlite::Error, extended_code: i32) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == extended_code)
}

/// Returns the error of a statement that deletes rows. All foreign keys of the service's own tables
/// cascade, so a violated one belongs to a table of the operator. SQLite does not name it.
pub(super) fn deletion_failed(error: StoreError) -> StoreError {
    match error {
        StoreError::Internal(source) if is_foreign_key_violation(source.as_ref()) => {
            StoreError::Referenced(source)
        }
        error => error,
    }
}

/// A key with `RESTRICT` has the code of a trigger, and the message of a key. A deferred key fails
/// at the commit.
fn is_foreign_key_violation(source: &(dyn std::error::Error + 'static)) -> bool {
    let Some(rusqlite::Error::SqliteFailure(failure, message)) = source.downcast_ref() else {
        return false;
    };
    match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => true,
        ffi::SQLITE_CONSTRAINT_TRIGGER => {
            message.as_deref() == Some("FOREIGN KEY constraint failed")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
    fn only_a_violated_foreign_key_makes_a_row_referenced() {
        for (code, message, is_referenced) in [
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed", true),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, "FOREIGN KEY constraint failed", true),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, "refused", false),
            (ffi::SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed", false),
        ] {
            let failure =
                rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message.to_owned()));
            let error = deletion_failed(failure.into());
            assert_eq!(matches!(error, StoreError::Referenced(_)), is_referenced, "{message}");
        }
        assert!(matches!(deletion_failed(StoreError::Overloaded), StoreError::Overloaded));
    }

    #[test]
    fn full_queue_maps_to_overloaded_closed_queue_to_unavailable() {
        assert!(matches!(StoreError::from(WorkerError::Overloaded), StoreError::Overloaded));
        assert!(matches!(StoreError::from(WorkerError::Closed), StoreError::Unavailable(_)));
    }
}
