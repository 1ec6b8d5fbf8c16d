//! Recipients of mail in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::row::{is_open, text, timestamp};
use super::statement::statements;
use super::users::{read_user, revoked_at};
use crate::domain::caller::Caller;
use crate::domain::email::{Email, TypedEmail};
use crate::domain::recipient::Recipient;
use crate::domain::user::{Credentials, PasswordHash, TokensValidFrom, User, UserId};
use crate::store::stored_time::nearest_time;
use crate::store::{RecipientStore, Result, StoreError};

/// The condition that no value of the recipient has changed.
macro_rules! is_unchanged {
    () => {
        "id = ?1 AND email = ?2 AND password = ?3 AND tokens_valid_from = ?4
               AND disabled_at IS NULL"
    };
}

statements! {
    // An unknown e-mail also returns a row, as in `FIND_CREDENTIALS`.
    FIND_RECIPIENT = "SELECT users.id, coalesce(users.email, ?1), users.password,
                     users.tokens_valid_from
              FROM (SELECT 1) AS asked
              LEFT JOIN users
                ON users.id = (SELECT id FROM users WHERE email IN (?1, ?2)
                                ORDER BY email = ?1 DESC LIMIT 1)
               AND users.disabled_at IS NULL";
    FIND_RECIPIENT_BY_ID = concat!("SELECT id, email, password, tokens_valid_from FROM users
              WHERE id = ?1 AND disabled_at IS NULL AND ", is_open!("id"));
    RESET_PASSWORD = concat!("UPDATE users
                SET password = ?5, tokens_valid_from = max(?6, tokens_valid_from + 1),
                    email_verified_at = coalesce(email_verified_at, ?7)
              WHERE ", is_unchanged!());
    VERIFY_EMAIL = concat!("UPDATE users SET email_verified_at = coalesce(email_verified_at, ?5)
              WHERE ", is_unchanged!());
    FIND_ME_VERIFIED = "SELECT id, email, created_at, name, email_verified_at FROM users
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
}

#[async_trait]
impl RecipientStore for SqliteStore {
    async fn find_recipient(&self, email: TypedEmail) -> Result<Option<Recipient>> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_RECIPIENT)?;
                Ok(statement.query_row(email.forms(), |row| {
                    match row.get::<_, Option<i64>>(0)? {
                        Some(_) => read_recipient(row).map(Some),
                        None => Ok(None),
                    }
                })?)
            })
            .await
    }

    async fn find_recipient_by_id(&self, id: UserId) -> Result<Option<Recipient>> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_RECIPIENT_BY_ID)?;
                Ok(statement.query_row([id.0], read_recipient).optional()?)
            })
            .await
    }

    async fn reset_password(
        &self,
        recipient: Recipient,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<bool> {
        self.writer
            .run(move |database| {
                let Recipient { email, credentials } = &recipient;
                let params = params![
                    credentials.user_id.0,
                    email.as_str(),
                    credentials.password_hash.as_str(),
                    credentials.tokens_valid_from.0.as_microsecond(),
                    new.as_str(),
                    revoked_at(now),
                    now.as_microsecond(),
                ];
                Ok(database.prepare_cached(RESET_PASSWORD)?.execute(params)? > 0)
            })
            .await
    }

    async fn verify_email(&self, recipient: Recipient, now: Timestamp) -> Result<bool> {
        self.writer
            .run(move |database| {
                let Recipient { email, credentials } = &recipient;
                let params = params![
                    credentials.user_id.0,
                    email.as_str(),
                    credentials.password_hash.as_str(),
                    credentials.tokens_valid_from.0.as_microsecond(),
                    now.as_microsecond(),
                ];
                Ok(database.prepare_cached(VERIFY_EMAIL)?.execute(params)? > 0)
            })
            .await
    }

    async fn find_me_verified(&self, caller: Caller) -> Result<(User, Option<Timestamp>)> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_ME_VERIFIED)?;
                let found = statement.query_row(caller_params(caller), |row| {
                    let verified_at = row.get::<_, Option<i64>>(4)?.map(nearest_time);
                    Ok((read_user(row)?, verified_at))
                });
                found.optional()?.ok_or(StoreError::CallerRejected)
            })
            .await
    }
}

fn read_recipient(row: &Row<'_>) -> rusqlite::Result<Recipient> {
    Ok(Recipient {
        email: Email::from_stored(text(row, 1)?.into_owned()),
        credentials: Credentials {
            user_id: UserId(row.get(0)?),
            password_hash: PasswordHash::new(text(row, 2)?.into_owned()),
            tokens_valid_from: TokensValidFrom(timestamp(row, 3)?),
        },
    })
}
