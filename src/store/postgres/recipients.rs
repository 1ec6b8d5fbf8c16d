//! Recipients of mail in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::caller_params;
use super::column::column;
use super::connection::Value;
use super::row::is_open;
use super::statement::{Statement, statements};
use super::users::{FIND_ME, find_by_email, read_credentials, read_user};
use crate::domain::caller::Caller;
use crate::domain::email::{Email, TypedEmail};
use crate::domain::recipient::Recipient;
use crate::domain::user::{PasswordHash, TokensValidFrom, User, UserId};
use crate::store::{RecipientStore, Result, StoreError};

/// The condition that no value of the recipient has changed.
macro_rules! is_unchanged {
    () => {
        "id = $1 AND email = $2 AND password = $3 AND tokens_valid_from = $4
            AND disabled_at IS NULL"
    };
}

statements! {
    FIND_RECIPIENT_BY_ID(INT8) = concat!(
        "SELECT id::bigint, password, tokens_valid_from, email FROM users
          WHERE id = $1 AND disabled_at IS NULL AND ", is_open!("id")
    );
    RESET_PASSWORD(INT8, TEXT, TEXT, TIMESTAMPTZ, TEXT, TIMESTAMPTZ, TIMESTAMPTZ) = concat!(
        "UPDATE users
            SET password = $5,
                tokens_valid_from = greatest($6, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC'),
                email_verified_at = coalesce(email_verified_at, $7)
          WHERE ", is_unchanged!(), "
         RETURNING id::bigint"
    );
    VERIFY_EMAIL(INT8, TEXT, TEXT, TIMESTAMPTZ, TIMESTAMPTZ) = concat!(
        "UPDATE users SET email_verified_at = coalesce(email_verified_at, $5)
          WHERE ", is_unchanged!(), "
         RETURNING id::bigint"
    );
}

#[async_trait]
impl RecipientStore for PostgresStore {
    async fn find_recipient(&self, email: TypedEmail) -> Result<Option<Recipient>> {
        self.run(async move |pool| find_by_email(&pool, &email, read_recipient).await).await
    }

    async fn find_recipient_by_id(&self, id: UserId) -> Result<Option<Recipient>> {
        self.run(async move |pool| {
            let rows = pool.query(&FIND_RECIPIENT_BY_ID, &[&id.0]).await?;
            rows.first().map(read_recipient).transpose()
        })
        .await
    }

    async fn reset_password(
        &self,
        recipient: Recipient,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<bool> {
        self.run(async move |pool| {
            let Recipient { email, credentials } = &recipient;
            let revoked_at = TokensValidFrom::revoked_at(now).0;
            let values: [Value<'_>; 7] = [
                &credentials.user_id.0,
                &email.as_str(),
                &credentials.password_hash.as_str(),
                &credentials.tokens_valid_from.0,
                &new.as_str(),
                &revoked_at,
                &now,
            ];
            Ok(!pool.query(&RESET_PASSWORD, &values).await?.is_empty())
        })
        .await
    }

    async fn verify_email(&self, recipient: Recipient, now: Timestamp) -> Result<bool> {
        self.run(async move |pool| {
            let Recipient { email, credentials } = &recipient;
            let values: [Value<'_>; 5] = [
                &credentials.user_id.0,
                &email.as_str(),
                &credentials.password_hash.as_str(),
                &credentials.tokens_valid_from.0,
                &now,
            ];
            Ok(!pool.query(&VERIFY_EMAIL, &values).await?.is_empty())
        })
        .await
    }

    async fn find_me_verified(&self, caller: Caller) -> Result<(User, Option<Timestamp>)> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let rows = pool.query(&FIND_ME, &[&id, &earliest, &latest]).await?;
            let row = rows.first().ok_or(StoreError::CallerRejected)?;
            Ok((read_user(row)?, column(row, 4)?))
        })
        .await
    }
}

fn read_recipient(row: &Row) -> Result<Recipient> {
    let email = Email::from_stored(column(row, 3)?);
    Ok(Recipient { email, credentials: read_credentials(row)? })
}
