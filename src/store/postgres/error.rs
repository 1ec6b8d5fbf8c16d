//! What PostgreSQL can say instead of an answer, told apart by SQLSTATE alone: messages and names
//! depend on the server's version, language and extensions.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if may_pass(&error) { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// Whether the database may do later what it cannot do now.
fn may_pass(error: &Error) -> bool {
    // Without a code it is not the server that speaks: the connection is broken.
    let Some(state) = error.code() else { return true };
    let class = state.code().get(..2).unwrap_or_default();
    match class {
        // Connection; login (a rotated password); state of the transaction (read-only, standby);
        // rolled back (serialization, deadlock); resources; operator (restart, timeout); system.
        "08" | "28" | "25" | "40" | "53" | "57" | "58" => true,
        _ => [SqlState::LOCK_NOT_AVAILABLE, SqlState::INVALID_CATALOG_NAME].contains(state),
    }
}
