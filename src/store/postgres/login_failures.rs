//! Consecutive login failures in PostgreSQL: one count for all processes that serve the database.

use async_trait::async_trait;
use jiff::Timestamp;

use super::PostgresStore;
use super::column::column;
use super::connection::Value;
use super::statement::{Statement, statements};
use crate::domain::policy::{
    EXPIRED_FAILURES_DELETED, FEW_LOGIN_FAILURES, login_failures_forgotten_at,
};
use crate::domain::user::AccountKey;
use crate::store::{LoginFailureStore, Result, StoreError};

statements! {
    COUNT_LOGIN_FAILURES(INT8, TIMESTAMPTZ) =
        "SELECT failures FROM login_failures WHERE account = $1 AND forgotten_at > $2";
    // Failures that several processes record at the same time add up. A few failures are forgotten
    // at $3, and more at $4.
    RECORD_LOGIN_FAILURE(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, INT4) =
        "INSERT INTO login_failures AS counted (account, failures, forgotten_at)
         VALUES ($1, 1, $3)
         ON CONFLICT (account) DO UPDATE
            SET failures = CASE WHEN counted.forgotten_at > $2
                                THEN least(counted.failures, 1000000) + 1 ELSE 1 END,
                forgotten_at = CASE WHEN counted.forgotten_at > $2 AND counted.failures >= $5
                                    THEN $4 ELSE $3 END";
    // A concurrent deletion skips the locked rows and takes others. A join by the account could read
    // the whole table, as PostgreSQL does not know how few rows the limit allows.
    DELETE_EXPIRED_FAILURES(TIMESTAMPTZ, INT8) =
        "DELETE FROM login_failures
          WHERE ctid = ANY (ARRAY(SELECT ctid FROM login_failures
                                   WHERE forgotten_at <= $1
                                   ORDER BY forgotten_at LIMIT $2
                                     FOR UPDATE SKIP LOCKED))";
    CLEAR_LOGIN_FAILURES(INT8) = "DELETE FROM login_failures WHERE account = $1";
}

#[async_trait]
impl LoginFailureStore for PostgresStore {
    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32> {
        self.run(async move |pool| {
            let rows = pool.query(&COUNT_LOGIN_FAILURES, &[&account.0, &now]).await?;
            let Some(row) = rows.first() else { return Ok(0) };
            u32::try_from(column::<i32>(row, 0)?).map_err(StoreError::internal)
        })
        .await
    }

    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()> {
        self.run(async move |pool| {
            let few = i32::try_from(FEW_LOGIN_FAILURES).map_err(StoreError::internal)?;
            let soon = login_failures_forgotten_at(1, now);
            let late = login_failures_forgotten_at(FEW_LOGIN_FAILURES + 1, now);
            let values: [Value<'_>; 5] = [&account.0, &now, &soon, &late, &few];
            pool.query(&RECORD_LOGIN_FAILURE, &values).await?;
            let limit = i64::from(EXPIRED_FAILURES_DELETED);
            pool.query(&DELETE_EXPIRED_FAILURES, &[&now, &limit]).await?;
            Ok(())
        })
        .await
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()> {
        self.run(async move |pool| {
            pool.query(&CLEAR_LOGIN_FAILURES, &[&account.0]).await?;
            Ok(())
        })
        .await
    }
}
