//! Checks callers in SQLite.

use async_trait::async_trait;
use rusqlite::Connection;

use super::SqliteStore;
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::store::{CallerStore, Result, StoreError};

statements! {
    FIND_CALLER = "SELECT 1 FROM users
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
}

#[async_trait]
impl CallerStore for SqliteStore {
    async fn find_caller(&self, caller: Caller) -> Result<()> {
        self.readers.run(move |database| find_caller(database, caller)).await
    }
}

/// Rejects a caller whose account does not exist or does not accept their token.
pub(super) fn find_caller(database: &Connection, caller: Caller) -> Result<()> {
    let found = database.prepare_cached(FIND_CALLER)?.exists(caller_params(caller))?;
    if found { Ok(()) } else { Err(StoreError::CallerRejected) }
}

/// Returns the caller's ID, and the earliest and latest `tokens_valid_from` that their token
/// accepts.
pub(super) fn caller_params(caller: Caller) -> [i64; 3] {
    let Caller { user_id, valid_from_range, .. } = caller;
    [
        user_id.0,
        valid_from_range.earliest().as_microsecond(),
        valid_from_range.latest().as_microsecond(),
    ]
}
