//! Recipients of mail in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::caller_params;
use super::column::column;
use super::connection::{QueryError, Value};
use super::row::is_open;
use super::statement::{Statement, statements};
use super::users::read_user;
use crate::domain::caller::Caller;
use crate::domain::email::{Email, TypedEmail};
use crate::domain::recipient::Recipient;
use crate::domain::user::{Credentials, PasswordHash, TokensValidFrom, User, UserId};
use crate::store::{RecipientStore, Result, StoreError};

/// The condition that no value of the recipient has changed.
macro_rules! is_unchanged {
    () => {
        "id = $1 AND email = $2 AND password = $3 AND tokens_valid_from = $4
            AND disabled_at IS NULL"
    };
}

statements! {
    // An unknown e-mail also returns a row, as in `FIND_CREDENTIALS`.
    FIND_RECIPIENT(TEXT, TEXT) =
        "SELECT users.id::bigint, coalesce(users.email, $1), users.password,
                users.tokens_valid_from
           FROM (SELECT 1) AS asked
           LEFT JOIN users
             ON users.id = (SELECT id FROM users WHERE email = ANY (ARRAY[$1, $2])
                             ORDER BY email = $1 DESC LIMIT 1)
            AND users.disabled_at IS NULL";
    FIND_RECIPIENT_BY_ID(INT8) = concat!(
        "SELECT id::bigint, email, password, tokens_valid_from FROM users
          WHERE id = $1 AND disabled_at IS NULL AND ", is_open!("id")
    );
    RESET_PASSWORD(INT8, TEXT, TEXT, TIMESTAMPTZ, TEXT, TIMESTAMPTZ, TIMESTAMPTZ) = concat!(
        "UPDATE users
            SET password = $5,
                tokens_valid_from = greatest($6, tokens_valid_from + interval '1 microsecond'),
                email_verified_at = coalesce(email_verified_at, $7)
          WHERE ", is_unchanged!(), "
         RETURNING id::bigint"
    );
    VERIFY_EMAIL(INT8, TEXT, TEXT, TIMESTAMPTZ, TIMESTAMPTZ) = concat!(
        "UPDATE users SET email_verified_at = coalesce(email_verified_at, $5)
          WHERE ", is_unchanged!(), "
         RETURNING id::bigint"
    );
    FIND_ME_VERIFIED(INT8, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT id::bigint, email, created_at, name, email_verified_at FROM users
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL";
}

#[async_trait]
impl RecipientStore for PostgresStore {
    async fn find_recipient(&self, email: TypedEmail) -> Result<Option<Recipient>> {
        self.run(async move |pool| {
            let [typed, normal] = email.forms();
            let rows = match pool.query(&FIND_RECIPIENT, &[&typed, &normal]).await {
                // The encoding of the database lacks a character, so no account has the e-mail.
                Err(QueryError::Unrepresentable(_)) => return Ok(None),
                found => found?,
            };
            let no_row = || StoreError::internal("a statement returned no row");
            let row = rows.first().ok_or_else(no_row)?;
            match column::<Option<i64>>(row, 0)? {
                Some(_) => read_recipient(row).map(Some),
                None => Ok(None),
            }
        })
        .await
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
            let rows = pool.query(&FIND_ME_VERIFIED, &[&id, &earliest, &latest]).await?;
            let row = rows.first().ok_or(StoreError::CallerRejected)?;
            Ok((read_user(row)?, column(row, 4)?))
        })
        .await
    }
}

fn read_recipient(row: &Row) -> Result<Recipient> {
    Ok(Recipient {
        email: Email::from_stored(column(row, 1)?),
        credentials: Credentials {
            user_id: UserId(column(row, 0)?),
            password_hash: PasswordHash::new(column(row, 2)?),
            tokens_valid_from: TokensValidFrom(column(row, 3)?),
        },
    })
}
