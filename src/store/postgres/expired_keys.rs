//! The deletion of idempotency keys that have expired. Each statement that keeps keys also deletes some.

use jiff::Timestamp;

use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::domain::idempotency_key::EXPIRED_KEYS_DELETED;
use crate::error_chain::error_chain;
use crate::store::StoreError;

/// A step that deletes at most `$limit` keys that have expired at `$now`. A concurrent deletion skips
/// the locked rows and takes others. It names the rows by their place on the disk: a join by the key
/// could read the whole table, as PostgreSQL often makes the plan while no key is kept.
macro_rules! delete_expired_keys {
    ($now:literal, $limit:literal) => {
        concat!(
            "deleted AS (
                 DELETE FROM idempotency_keys
                  WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys
                                           WHERE expires_at <= ",
            $now,
            "
                                           ORDER BY expires_at LIMIT ",
            $limit,
            "
                                             FOR UPDATE SKIP LOCKED))
             )"
        )
    };
}

pub(super) use delete_expired_keys;

statements! {
    DELETE_EXPIRED_KEYS(TIMESTAMPTZ) = "DELETE FROM idempotency_keys WHERE expires_at <= $1";
}

/// Returns how many expired keys a statement with so many writes deletes. The servers of Citus store
/// a row at different places, so there [`delete_expired_keys_on_citus`] deletes the keys.
pub(super) fn expired_keys_deleted(pool: &Pool, writes: usize) -> i64 {
    if pool.is_distributed() {
        return 0;
    }
    i64::try_from(writes).unwrap_or(i64::MAX).saturating_mul(EXPIRED_KEYS_DELETED)
}

/// Deletes all expired keys if Citus has distributed the tables. An error fails no write.
pub(super) async fn delete_expired_keys_on_citus(pool: &Pool, now: Timestamp) {
    if !pool.is_distributed() {
        return;
    }
    if let Err(error) = pool.query(&DELETE_EXPIRED_KEYS, &[&now]).await {
        let error = StoreError::from(error);
        tracing::warn!(error = error_chain(&error), "expired idempotency keys not deleted");
    }
}
