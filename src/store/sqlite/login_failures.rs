//! Wrong passwords in a row, in SQLite.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::statement::statements;
use crate::domain::policy::{EXPIRED_FAILURES_DELETED, login_failures_forgotten_at};
use crate::domain::user::AccountKey;
use crate::store::Result;

statements! {
    COUNT_LOGIN_FAILURES = "SELECT failures FROM login_failures
          WHERE account = ?1 AND forgotten_at > ?2";
    RECORD_LOGIN_FAILURE = "INSERT INTO login_failures (account, failures, forgotten_at)
         VALUES (?1, ?2, ?3)
         ON CONFLICT (account) DO UPDATE SET failures = ?2, forgotten_at = ?3";
    FORGET_LOGIN_FAILURES = "DELETE FROM login_failures
          WHERE account IN (SELECT account FROM login_failures
                             WHERE forgotten_at <= ?1 ORDER BY forgotten_at LIMIT ?2)";
    CLEAR_LOGIN_FAILURES = "DELETE FROM login_failures WHERE account = ?1";
}

pub(super) fn count_login_failures(
    database: &Connection,
    account: AccountKey,
    now: Timestamp,
) -> Result<u32> {
    let mut statement = database.prepare_cached(COUNT_LOGIN_FAILURES)?;
    let row =
        statement.query_row([account.0, now.as_microsecond()], |row| row.get(0)).optional()?;
    Ok(row.unwrap_or_default())
}

/// The one writer counts: nobody does between its reading and its writing.
pub(super) fn record_login_failure(
    database: &Connection,
    account: AccountKey,
    now: Timestamp,
) -> Result<()> {
    let failures = count_login_failures(database, account, now)?.saturating_add(1);
    let forgotten_at = login_failures_forgotten_at(failures, now).as_microsecond();
    let now = now.as_microsecond();
    database.prepare_cached(RECORD_LOGIN_FAILURE)?.execute(params![
        account.0,
        failures,
        forgotten_at
    ])?;
    database
        .prepare_cached(FORGET_LOGIN_FAILURES)?
        .execute(params![now, EXPIRED_FAILURES_DELETED])?;
    Ok(())
}

pub(super) fn clear_login_failures(database: &Connection, account: AccountKey) -> Result<()> {
    database.prepare_cached(CLEAR_LOGIN_FAILURES)?.execute([account.0])?;
    Ok(())
}
