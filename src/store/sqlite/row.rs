//! What several files of this room read out of rows and errors.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

/// Microseconds since 1970 in column `index`.
pub(super) fn timestamp(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(index)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
    })
}

/// Whether the statement ran into a constraint of this kind (an extended result code).
pub(super) fn violates(error: &rusqlite::Error, extended_code: i32) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == extended_code)
}
