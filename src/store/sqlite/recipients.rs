//! Recipients of mail in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::row::{is_open, text};
use super::statement::statements;
use super::users::{FIND_ME, find_by_email, read_credentials, read_user, revoked_at};
use crate::domain::caller::Caller;
use crate::domain::email::{Email, TypedEmail};
use crate::domain::recipient::Recipient;
use crate::domain::user::{PasswordHash, User, UserId};
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
    FIND_RECIPIENT_BY_ID = concat!("SELECT id, password, tokens_valid_from, email FROM users
              WHERE id = ?1 AND disabled_at IS NULL AND ", is_open!("id"));
    RESET_PASSWORD = concat!("UPDATE users
                SET password = ?5, tokens_valid_from = max(?6, tokens_valid_from + 1),
                    email_verified_at = coalesce(email_verified_at, ?7)
              WHERE ", is_unchanged!());
    VERIFY_EMAIL = concat!("UPDATE users SET email_verified_at = coalesce(email_verified_at, ?5)
              WHERE ", is_unchanged!());
}

#[async_trait]
impl RecipientStore for SqliteStore {
    async fn find_recipient(&self, email: TypedEmail) -> Result<Option<Recipient>> {
        self.readers.run(move |database| Ok(find_by_email(database, &email, read_recipient)?)).await
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
                let mut statement = database.prepare_cached(FIND_ME)?;
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
    let email = Email::from_stored(text(row, 3)?.into_owned());
    Ok(Recipient { email, credentials: read_credentials(row)? })
}
