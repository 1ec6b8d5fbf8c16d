//! Accounts in PostgreSQL. IDs are read as bigint, because an adopted database has integer columns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::{caller_params, find_caller};
use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_duplicate;
use super::pool::Pool;
use super::row::is_open;
use super::sequence::{MAX_ATTEMPTS, explain_duplicate};
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::display_name::{DisplayName, NameChange};
use crate::domain::email::{Email, TypedEmail};
use crate::domain::user::{Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId};
use crate::store::{ChangeEmail, CreateUser, DeleteUser, Result, StoreError, UserStore};

/// Adds an account with the e-mail `$1` and the hash `$2`, created at `$3`. `$4` is the value of a
/// new account. After the tokens of all accounts were revoked, a new account gets a later value than
/// that, so it rejects every token without a value ([`TokensValidFrom`]).
macro_rules! insert_user_row {
    () => {
        "INSERT INTO users (email, password, created_at, tokens_valid_from)
         SELECT $1, $2, $3,
                coalesce((SELECT greatest(date_trunc('second', $3),
                                          tokens_valid_from + interval '1 microsecond')
                            FROM installation
                           WHERE one AND tokens_valid_from > to_timestamp(0)), $4)
         RETURNING id::bigint"
    };
}

/// Closes the account `$1`, under the condition. A closed account has no e-mail, no password and no
/// token: the random text is no e-mail, the password is no hash, and no token is valid for this
/// `tokens_valid_from`.
macro_rules! close_account_if {
    ($condition:expr) => {
        concat!(
            "WITH free AS MATERIALIZED (
             SELECT 'closed:' || gen_random_uuid() AS email
         ), closed AS (
             UPDATE users
                SET email = free.email, password = 'closed', name = NULL, email_verified_at = NULL,
                    tokens_valid_from = '9999-01-01 00:00:00+00'
               FROM free
              WHERE ",
            $condition,
            "
             RETURNING id
         )
         INSERT INTO account_deletions (user_id) SELECT id FROM closed RETURNING user_id"
        )
    };
}

pub(super) use {close_account_if, insert_user_row};

statements! {
    IS_EMAIL_TAKEN(TEXT) = "SELECT EXISTS (SELECT FROM users WHERE email = $1)";
    CREATE_USER(TEXT, TEXT, TIMESTAMPTZ, TIMESTAMPTZ) = insert_user_row!();
    FIND_USER(INT8) = concat!(
        "SELECT id::bigint, email, created_at, name FROM users
          WHERE id = $1 AND ", is_open!("id")
    );
    FIND_ME(INT8, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT id::bigint, email, created_at, name, email_verified_at FROM users
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL";
    // An unknown e-mail and a disabled account also return a row, with the asked e-mail in place of
    // the texts. Returning no row would be faster, and the difference would reveal which e-mails have an
    // account.
    FIND_CREDENTIALS(TEXT, TEXT) =
        "SELECT users.id::bigint, coalesce(users.password, $1), users.tokens_valid_from,
                coalesce(users.email, $1)
           FROM (SELECT 1) AS asked
           LEFT JOIN users
             ON users.id = (SELECT id FROM users WHERE email = ANY (ARRAY[$1, $2])
                             ORDER BY email = $1 DESC LIMIT 1)
            AND users.disabled_at IS NULL";
    FIND_OWN_CREDENTIALS(INT8, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT id::bigint, password, tokens_valid_from FROM users
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL";
    UPGRADE_PASSWORD_HASH(INT8, TEXT, TEXT) =
        "UPDATE users SET password = $3 WHERE id = $1 AND password = $2";
    // tokens_valid_from increases even if the clock went back. A sum of a timestamptz and an interval
    // can depend on the time zone of the session, so Citus refuses it in an UPDATE.
    CHANGE_PASSWORD(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TIMESTAMPTZ) =
        "UPDATE users
            SET password = $4,
                tokens_valid_from = greatest($5, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL
         RETURNING tokens_valid_from";
    CHANGE_EMAIL(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TIMESTAMPTZ, BOOL, TEXT) =
        "UPDATE users
            SET email = $4,
                name = CASE WHEN $6 THEN $7 ELSE name END,
                email_verified_at = CASE WHEN email = $4 THEN email_verified_at END,
                tokens_valid_from = greatest($5, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL
         RETURNING id::bigint, email, created_at, name, tokens_valid_from";
    CHANGE_NAME(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT) =
        "UPDATE users SET name = $4
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL
         RETURNING id::bigint, email, created_at, name";
    SIGN_OUT(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ) =
        "UPDATE users
            SET tokens_valid_from = greatest($4, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL
         RETURNING id::bigint";
    CLOSE_ACCOUNT(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ) = close_account_if!(
        "id = $1 AND id = $2 AND tokens_valid_from BETWEEN $3 AND $4 AND disabled_at IS NULL"
    );
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn create_user(&self, user: NewUser) -> Result<CreateUser> {
        self.run(async move |pool| add_user(&pool, &user).await).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>> {
        self.run(async move |pool| {
            let rows = pool.query(&FIND_USER, &[&id.0]).await?;
            rows.first().map(read_user).transpose()
        })
        .await
    }

    async fn find_me(&self, caller: Caller) -> Result<User> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let rows = pool.query(&FIND_ME, &[&id, &earliest, &latest]).await?;
            read_user(rows.first().ok_or(StoreError::CallerRejected)?)
        })
        .await
    }

    async fn find_credentials(&self, email: TypedEmail) -> Result<Option<Credentials>> {
        self.run(async move |pool| find_by_email(&pool, &email, read_credentials).await).await
    }

    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let rows = pool.query(&FIND_OWN_CREDENTIALS, &[&id, &earliest, &latest]).await?;
            read_credentials(rows.first().ok_or(StoreError::CallerRejected)?)
        })
        .await
    }

    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()> {
        self.run(async move |pool| {
            let values: [Value<'_>; 3] = [&id.0, &old.as_str(), &new.as_str()];
            pool.query(&UPGRADE_PASSWORD_HASH, &values).await?;
            Ok(())
        })
        .await
    }

    async fn change_password(
        &self,
        caller: Caller,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<TokensValidFrom> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let now = TokensValidFrom::revoked_at(now).0;
            let values: [Value<'_>; 5] = [&id, &earliest, &latest, &new.as_str(), &now];
            let rows = pool.query(&CHANGE_PASSWORD, &values).await?;
            let row = rows.first().ok_or(StoreError::CallerRejected)?;
            Ok(TokensValidFrom(column(row, 0)?))
        })
        .await
    }

    async fn change_email(
        &self,
        caller: Caller,
        email: Email,
        name: NameChange,
        now: Timestamp,
    ) -> Result<ChangeEmail> {
        let changed = self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let now = TokensValidFrom::revoked_at(now).0;
            let (replaces_name, name) = match &name {
                NameChange::Keep => (false, None),
                NameChange::Replace(name) => (true, name.as_ref().map(DisplayName::as_str)),
            };
            let values: [Value<'_>; 7] =
                [&id, &earliest, &latest, &email.as_str(), &now, &replaces_name, &name];
            let rows = match pool.query(&CHANGE_EMAIL, &values).await {
                Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {
                    if is_email_taken(&pool, email.as_str()).await? {
                        return Ok(ChangeEmail::EmailTaken);
                    }
                    return Err(error.into());
                }
                changed => changed?,
            };
            let row = rows.first().ok_or(StoreError::CallerRejected)?;
            Ok(ChangeEmail::Changed(read_user(row)?, TokensValidFrom(column(row, 4)?)))
        });
        self.with_caller_first(caller, changed.await).await
    }

    async fn change_name(&self, caller: Caller, name: Option<DisplayName>) -> Result<User> {
        let changed = self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let name = name.as_ref().map(DisplayName::as_str);
            let rows = pool.query(&CHANGE_NAME, &[&id, &earliest, &latest, &name]).await?;
            read_user(rows.first().ok_or(StoreError::CallerRejected)?)
        });
        self.with_caller_first(caller, changed.await).await
    }

    async fn find_names(&self, accounts: Vec<UserId>) -> Result<HashMap<UserId, DisplayName>> {
        self.names.submit(accounts).await
    }

    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let now = TokensValidFrom::revoked_at(now).0;
            let rows = pool.query(&SIGN_OUT, &[&id, &earliest, &latest, &now]).await?;
            if rows.is_empty() { Err(StoreError::CallerRejected) } else { Ok(()) }
        })
        .await
    }

    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser> {
        let pool = Arc::clone(&self.pool);
        self.deletions.delete(id, async move { close_account(&pool, caller, id).await }).await
    }
}

pub(super) async fn add_user(pool: &Pool, user: &NewUser) -> Result<CreateUser> {
    let (email, hash) = (user.email.as_str(), user.password_hash.as_str());
    let tokens_valid_from = TokensValidFrom::of_new_account(user.created_at).0;
    let values: [Value<'_>; 4] = [&email, &hash, &user.created_at, &tokens_valid_from];
    let Some(rows) = insert_user(pool, &CREATE_USER, &values, email).await? else {
        return Ok(CreateUser::EmailTaken);
    };
    let no_row = || StoreError::internal("an insert returned no row");
    let row = rows.first().ok_or_else(no_row)?;
    Ok(CreateUser::Created(User {
        id: UserId(column(row, 0)?),
        email: user.email.clone(),
        created_at: user.created_at,
        name: None,
    }))
}

async fn close_account(pool: &Pool, caller: Caller, id: UserId) -> Result<DeleteUser> {
    let (caller_id, earliest, latest) = caller_params(caller);
    let values: [Value<'_>; 4] = [&id.0, &caller_id, &earliest, &latest];
    if !pool.query(&CLOSE_ACCOUNT, &values).await?.is_empty() {
        return Ok(DeleteUser::Deleted);
    }
    find_caller(pool, caller).await?;
    let is_found = !pool.query(&FIND_USER, &[&id.0]).await?.is_empty();
    Ok(if is_found { DeleteUser::NotOwner } else { DeleteUser::NoSuchUser })
}

/// Returns `None` if another account has the e-mail. A unique constraint is also violated if the
/// sequence gives an ID that exists; then the insert is retried with the next IDs.
pub(super) async fn insert_user(
    pool: &Pool,
    statement: &Statement,
    values: &[Value<'_>],
    email: &str,
) -> Result<Option<Vec<Row>>> {
    let mut attempt = 1;
    loop {
        match pool.query(statement, values).await {
            Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {
                if is_email_taken(pool, email).await? {
                    return Ok(None);
                }
                if attempt == MAX_ATTEMPTS {
                    return Err(explain_duplicate(pool, "users", error).await);
                }
            }
            inserted => return Ok(Some(inserted?)),
        }
        attempt += 1;
    }
}

async fn is_email_taken(pool: &Pool, email: &str) -> Result<bool> {
    let rows = pool.query(&IS_EMAIL_TAKEN, &[&email]).await?;
    let no_row = || StoreError::internal("a statement returned no row");
    column(rows.first().ok_or_else(no_row)?, 0)
}

pub(super) fn read_user(row: &Row) -> Result<User> {
    Ok(User {
        id: UserId(column(row, 0)?),
        email: Email::from_stored(column(row, 1)?),
        created_at: column(row, 2)?,
        name: column::<Option<Cow<'_, str>>>(row, 3)?.map(|name| DisplayName::from_stored(&name)),
    })
}

/// Reads the account with the e-mail from `id, password, tokens_valid_from, email`.
pub(super) async fn find_by_email<T>(
    pool: &Pool,
    email: &TypedEmail,
    read: impl FnOnce(&Row) -> Result<T>,
) -> Result<Option<T>> {
    let [typed, normal] = email.forms();
    let rows = match pool.query(&FIND_CREDENTIALS, &[&typed, &normal]).await {
        // The encoding of the database lacks a character, so no account has the e-mail.
        Err(QueryError::Unrepresentable(_)) => return Ok(None),
        found => found?,
    };
    let no_row = || StoreError::internal("a statement returned no row");
    let row = rows.first().ok_or_else(no_row)?;
    match column::<Option<i64>>(row, 0)? {
        Some(_) => read(row).map(Some),
        None => Ok(None),
    }
}

pub(super) fn read_credentials(row: &Row) -> Result<Credentials> {
    Ok(Credentials {
        user_id: UserId(column(row, 0)?),
        password_hash: PasswordHash::new(column(row, 1)?),
        tokens_valid_from: TokensValidFrom(column(row, 2)?),
    })
}
