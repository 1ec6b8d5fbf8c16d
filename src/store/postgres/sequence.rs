//! Sequences that are behind their table: they give IDs that exist already, for example after the
//! rows were restored without the sequences.

use tokio_postgres::{Error, Row};

use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_duplicate;
use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::store::StoreError;

statements! {
    FIND_SEQUENCE(TEXT) = "SELECT pg_get_serial_sequence($1, 'id')";
}

/// Maximum number of times that a statement runs while its IDs exist. Each time takes at least one
/// more ID from the sequence.
pub(super) const MAX_ATTEMPTS: usize = 20;

/// Runs an INSERT into a table whose only unique constraint is on the ID. If an ID exists, retries
/// with the next IDs.
pub(super) async fn query_with_new_ids(
    pool: &Pool,
    statement: &Statement,
    values: &[Value<'_>],
) -> Result<Vec<Row>, QueryError> {
    for _ in 1..MAX_ATTEMPTS {
        match pool.query(statement, values).await {
            Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {}
            outcome => return outcome,
        }
    }
    pool.query(statement, values).await
}

/// Returns the error of an INSERT whose IDs exist, with the name of the sequence.
pub(super) async fn explain_duplicate(pool: &Pool, table: &str, error: Error) -> StoreError {
    let rows = pool.query(&FIND_SEQUENCE, &[&table]).await.unwrap_or_default();
    let sequence = rows.first().and_then(|row| column::<Option<String>>(row, 0).ok().flatten());
    let sequence = sequence.unwrap_or_else(|| format!("of {table}.id"));
    StoreError::internal(SequenceBehind { sequence, table: table.to_owned(), source: error.into() })
}

#[derive(Debug, thiserror::Error)]
#[error("the sequence {sequence} gives IDs that {table} has already: see `post-api db check`")]
struct SequenceBehind {
    sequence: String,
    table: String,
    source: StoreError,
}
