//! Consecutive login failures in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::statement::statements;
use crate::domain::policy::{EXPIRED_FAILURES_DELETED, login_failures_forgotten_at};
use crate::domain::user::AccountKey;
use crate::store::{LoginFailureStore, Result};

statements! {
    COUNT_LOGIN_FAILURES = "SELECT failures FROM login_failures
          WHERE account = ?1 AND forgotten_at > ?2";
    RECORD_LOGIN_FAILURE = "INSERT INTO login_failures (account, failures, forgotten_at)
         VALUES (?1, ?2, ?3)
         ON CONFLICT (account) DO UPDATE SET failures = ?2, forgotten_at = ?3";
    DELETE_EXPIRED_FAILURES = "DELETE FROM login_failures
          WHERE account IN (SELECT account FROM login_failures
                             WHERE forgotten_at <= ?1 ORDER BY forgotten_at LIMIT ?2)";
    CLEAR_LOGIN_FAILURES = "DELETE FROM login_failures WHERE account = ?1";
}

#[async_trait]
impl LoginFailureStore for SqliteStore {
    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32> {
        self.readers.run(move |database| Ok(count_failures(database, account, now)?)).await
    }

    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()> {
        self.writer
            .run(move |database| {
                // The transaction holds the write lock, so no other write comes between this count
                // and its update.
                let failures = count_failures(database, account, now)?.saturating_add(1);
                let forgotten_at = login_failures_forgotten_at(failures, now).as_microsecond();
                let params = params![account.0, failures, forgotten_at];
                database.prepare_cached(RECORD_LOGIN_FAILURE)?.execute(params)?;
                let params = params![now.as_microsecond(), EXPIRED_FAILURES_DELETED];
                database.prepare_cached(DELETE_EXPIRED_FAILURES)?.execute(params)?;
                Ok(())
            })
            .await
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()> {
        self.writer
            .run(move |database| {
                database.prepare_cached(CLEAR_LOGIN_FAILURES)?.execute([account.0])?;
                Ok(())
            })
            .await
    }
}

fn count_failures(
    database: &Connection,
    account: AccountKey,
    now: Timestamp,
) -> rusqlite::Result<u32> {
    let mut statement = database.prepare_cached(COUNT_LOGIN_FAILURES)?;
    let params = [account.0, now.as_microsecond()];
    let failures: Option<i64> = statement.query_row(params, |row| row.get(0)).optional()?;
    Ok(failures.map_or(0, |failures| u32::try_from(failures.max(0)).unwrap_or(u32::MAX)))
}
