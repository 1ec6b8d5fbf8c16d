//! Accounts in SQLite.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, ffi, params};

use super::SqliteStore;
use super::callers::{caller_params, find_caller};
use super::error::violates;
use super::row::{is_open, json_array, optional_text, text, timestamp};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::display_name::{DisplayName, NameChange};
use crate::domain::email::{Email, TypedEmail};
use crate::domain::user::{Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId};
use crate::store::{ChangeEmail, CreateUser, DeleteUser, Result, StoreError, UserStore};

/// Closes an account, under the condition. A closed account has no e-mail, no password and no
/// token: the random text is no e-mail, the password is no hash, and no token is valid for this
/// `tokens_valid_from`, the year 9999.
macro_rules! close_account_if {
    ($condition:expr) => {
        concat!(
            "UPDATE users
                SET email = 'closed:' || lower(hex(randomblob(16))), password = 'closed',
                    name = NULL, email_verified_at = NULL, tokens_valid_from = 253370764800000000
              WHERE ",
            $condition
        )
    };
}

/// Moves the time from which tokens are valid to now, or past its value if the clock went back. The sum of the greatest integer and 1 would be no
/// integer.
macro_rules! later_tokens_valid_from {
    ($now:literal) => {
        concat!(
            "tokens_valid_from = max(",
            $now,
            ", min(tokens_valid_from, 9223372036854775806) + 1)"
        )
    };
}

pub(in crate::store::sqlite) use {close_account_if, later_tokens_valid_from};

statements! {
    // ?4 is the value of a new account. After the tokens of all accounts were revoked, a new account
    // gets a later value than that, so it rejects every token without a value (`TokensValidFrom`).
    CREATE_USER = "INSERT INTO users (email, password, created_at, tokens_valid_from)
             VALUES (?1, ?2, ?3,
                     coalesce((SELECT max(-?4, tokens_valid_from + 1) FROM installation
                                WHERE one = 1 AND tokens_valid_from > 0), ?4))";
    FIND_USER = concat!("SELECT id, email, created_at, name FROM users
              WHERE id = ?1 AND ", is_open!("id"));
    FIND_ME = "SELECT id, email, created_at, name, email_verified_at FROM users
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
    // An unknown e-mail and a disabled account also return a row, with the asked e-mail in place of
    // the texts. Returning no row would be faster, and the difference would reveal which e-mails have an
    // account.
    FIND_CREDENTIALS = "SELECT users.id, coalesce(users.password, ?1), users.tokens_valid_from,
                     coalesce(users.email, ?1)
              FROM (SELECT 1) AS asked
              LEFT JOIN users
                ON users.id = (SELECT id FROM users WHERE email IN (?1, ?2)
                                ORDER BY email = ?1 DESC LIMIT 1)
               AND users.disabled_at IS NULL";
    FIND_OWN_CREDENTIALS = "SELECT id, password, tokens_valid_from FROM users
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
    UPGRADE_PASSWORD_HASH = "UPDATE users SET password = ?3 WHERE id = ?1 AND password = ?2";
    // tokens_valid_from increases even if the clock went back.
    CHANGE_PASSWORD = "UPDATE users
                SET password = ?4, tokens_valid_from = max(?5, tokens_valid_from + 1)
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL
             RETURNING tokens_valid_from";
    CHANGE_EMAIL = "UPDATE users
                SET email = ?4, name = CASE WHEN ?6 THEN ?7 ELSE name END,
                    email_verified_at = CASE WHEN email = ?4 THEN email_verified_at END,
                    tokens_valid_from = max(?5, tokens_valid_from + 1)
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL
             RETURNING id, email, created_at, name, tokens_valid_from";
    CHANGE_NAME = "UPDATE users SET name = ?4
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL
             RETURNING id, email, created_at, name";
    FIND_NAMES = concat!("SELECT users.id, users.name
               FROM json_each(?1) AS asked
               CROSS JOIN users ON users.id = asked.value
              WHERE users.name IS NOT NULL AND ", is_open!("users.id"));
    SIGN_OUT = "UPDATE users SET tokens_valid_from = max(?4, tokens_valid_from + 1)
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
    CLOSE_ACCOUNT = close_account_if!(
        "id = ?1 AND id = ?2 AND tokens_valid_from BETWEEN ?3 AND ?4 AND disabled_at IS NULL"
    );
    RECORD_CLOSED_ACCOUNT = "INSERT INTO account_deletions (user_id) VALUES (?1)";
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn create_user(&self, user: NewUser) -> Result<CreateUser> {
        self.writer.run(move |database| create_user(database, &user)).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>> {
        self.readers.run(move |database| Ok(read_user_by_id(database, id)?)).await
    }

    async fn find_me(&self, caller: Caller) -> Result<User> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_ME)?;
                let user = statement.query_row(caller_params(caller), read_user).optional()?;
                user.ok_or(StoreError::CallerRejected)
            })
            .await
    }

    async fn find_credentials(&self, email: TypedEmail) -> Result<Option<Credentials>> {
        self.readers
            .run(move |database| Ok(find_by_email(database, &email, read_credentials)?))
            .await
    }

    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_OWN_CREDENTIALS)?;
                let credentials =
                    statement.query_row(caller_params(caller), read_credentials).optional()?;
                credentials.ok_or(StoreError::CallerRejected)
            })
            .await
    }

    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()> {
        self.writer
            .run(move |database| {
                let params = params![id.0, old.as_str(), new.as_str()];
                database.prepare_cached(UPGRADE_PASSWORD_HASH)?.execute(params)?;
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
        self.writer
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let params = params![id, earliest, latest, new.as_str(), revoked_at(now)];
                let tokens_valid_from = database
                    .prepare_cached(CHANGE_PASSWORD)?
                    .query_row(params, |row| timestamp(row, 0).map(TokensValidFrom))
                    .optional()?;
                tokens_valid_from.ok_or(StoreError::CallerRejected)
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
        self.writer
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let (replaces_name, name) = match &name {
                    NameChange::Keep => (false, None),
                    NameChange::Replace(name) => (true, name.as_ref().map(DisplayName::as_str)),
                };
                let (email, now) = (email.as_str(), revoked_at(now));
                let params = params![id, earliest, latest, email, now, replaces_name, name];
                let changed = database
                    .prepare_cached(CHANGE_EMAIL)?
                    .query_row(params, |row| {
                        let tokens_valid_from = TokensValidFrom(timestamp(row, 4)?);
                        Ok(ChangeEmail::Changed(read_user(row)?, tokens_valid_from))
                    })
                    .optional();
                match changed {
                    Ok(changed) => changed.ok_or(StoreError::CallerRejected),
                    Err(error) if violates(&error, ffi::SQLITE_CONSTRAINT_UNIQUE) => {
                        Ok(ChangeEmail::EmailTaken)
                    }
                    Err(error) => Err(error.into()),
                }
            })
            .await
    }

    async fn change_name(&self, caller: Caller, name: Option<DisplayName>) -> Result<User> {
        self.writer
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let name = name.as_ref().map(DisplayName::as_str);
                let mut statement = database.prepare_cached(CHANGE_NAME)?;
                let user = statement.query_row(params![id, earliest, latest, name], read_user);
                user.optional()?.ok_or(StoreError::CallerRejected)
            })
            .await
    }

    async fn find_names(&self, accounts: Vec<UserId>) -> Result<HashMap<UserId, DisplayName>> {
        let accounts = json_array(accounts.iter().map(|account| account.0));
        self.list_readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_NAMES)?;
                let names = statement.query_map([accounts], |row| {
                    Ok((UserId(row.get(0)?), DisplayName::from_stored(&text(row, 1)?)))
                })?;
                Ok(names.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()> {
        self.writer
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let params = [id, earliest, latest, revoked_at(now)];
                match database.prepare_cached(SIGN_OUT)?.execute(params)? {
                    0 => Err(StoreError::CallerRejected),
                    _ => Ok(()),
                }
            })
            .await
    }

    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser> {
        let writer = Arc::clone(&self.writer);
        let close =
            async move { writer.run(move |database| close_account(database, caller, id)).await };
        self.deletions.delete(id, close).await
    }
}

pub(super) fn create_user(database: &Connection, user: &NewUser) -> Result<CreateUser> {
    let inserted = database.prepare_cached(CREATE_USER)?.insert(params![
        user.email.as_str(),
        user.password_hash.as_str(),
        user.created_at.as_microsecond(),
        TokensValidFrom::of_new_account(user.created_at).0.as_microsecond(),
    ]);
    match inserted {
        Ok(id) => Ok(CreateUser::Created(User {
            id: UserId(id),
            email: user.email.clone(),
            created_at: user.created_at,
            name: None,
        })),
        Err(error) if violates(&error, ffi::SQLITE_CONSTRAINT_UNIQUE) => Ok(CreateUser::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

fn close_account(database: &Connection, caller: Caller, id: UserId) -> Result<DeleteUser> {
    let [caller_id, earliest, latest] = caller_params(caller);
    let params = [id.0, caller_id, earliest, latest];
    if database.prepare_cached(CLOSE_ACCOUNT)?.execute(params)? > 0 {
        record_closed_account(database, id)?;
        return Ok(DeleteUser::Deleted);
    }
    find_caller(database, caller)?;
    match read_user_by_id(database, id)? {
        Some(_) => Ok(DeleteUser::NotOwner),
        None => Ok(DeleteUser::NoSuchUser),
    }
}

pub(super) fn record_closed_account(database: &Connection, id: UserId) -> Result<()> {
    database.prepare_cached(RECORD_CLOSED_ACCOUNT)?.execute([id.0])?;
    Ok(())
}

/// Returns the `tokens_valid_from` of an account whose tokens are revoked, in microseconds.
pub(super) fn revoked_at(now: Timestamp) -> i64 {
    TokensValidFrom::revoked_at(now).0.as_microsecond()
}

fn read_user_by_id(database: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    database.prepare_cached(FIND_USER)?.query_row([id.0], read_user).optional()
}

/// Reads the account with the e-mail from `id, password, tokens_valid_from, email`.
pub(super) fn find_by_email<T>(
    database: &Connection,
    email: &TypedEmail,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let mut statement = database.prepare_cached(FIND_CREDENTIALS)?;
    statement.query_row(email.forms(), |row| match row.get::<_, Option<i64>>(0)? {
        Some(_) => read(row).map(Some),
        None => Ok(None),
    })
}

pub(super) fn read_credentials(row: &Row<'_>) -> rusqlite::Result<Credentials> {
    Ok(Credentials {
        user_id: UserId(row.get(0)?),
        password_hash: PasswordHash::new(text(row, 1)?.into_owned()),
        tokens_valid_from: TokensValidFrom(timestamp(row, 2)?),
    })
}

pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        email: Email::from_stored(text(row, 1)?.into_owned()),
        created_at: timestamp(row, 2)?,
        name: optional_text(row, 3)?.map(|name| DisplayName::from_stored(&name)),
    })
}
