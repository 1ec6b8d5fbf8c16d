//! Accounts in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Row, ffi, params};

use super::row::{timestamp, violates};
use super::statements::statements;
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::user::{Credentials, NewUser, PasswordHash, User, UserId};
use crate::store::{CreateUser, DeleteUser, Result, StoreError};

statements! {
    CREATE_USER = "INSERT INTO users (email, password, created_at)
             VALUES (?1, ?2, ?3)";
    FIND_USER = "SELECT id, email, created_at FROM users WHERE id = ?1";
    // An unknown address has a row too, with itself in the hash's place: no row would be quicker.
    FIND_CREDENTIALS = "SELECT users.id, coalesce(users.password, ?1)
              FROM (SELECT 1) AS asked LEFT JOIN users ON users.email = ?1";
    UPGRADE_PASSWORD_HASH = "UPDATE users SET password = ?3 WHERE id = ?1 AND password = ?2";
    DELETE_USER = "DELETE FROM users WHERE id = ?1 AND id = ?2";
    FIND_CALLER = "SELECT 1 FROM users WHERE id = ?1";
}

pub(super) fn create_user(database: &Connection, user: &NewUser) -> Result<CreateUser> {
    let inserted = database.prepare_cached(CREATE_USER)?.insert(params![
        user.email.as_str(),
        user.password_hash.as_str(),
        user.created_at.as_microsecond(),
    ]);
    match inserted {
        Ok(id) => Ok(CreateUser::Created(User {
            id: UserId(id),
            email: user.email.clone(),
            created_at: user.created_at,
        })),
        Err(error) if violates(&error, ffi::SQLITE_CONSTRAINT_UNIQUE) => Ok(CreateUser::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn find_user(database: &Connection, id: UserId) -> Result<Option<User>> {
    let user = database.prepare_cached(FIND_USER)?.query_row([id.0], read_user).optional()?;
    Ok(user)
}

pub(super) fn find_credentials(
    database: &Connection,
    email: &Email,
) -> Result<Option<Credentials>> {
    let credentials =
        database.prepare_cached(FIND_CREDENTIALS)?.query_row([email.as_str()], |row| {
            let id: Option<i64> = row.get(0)?;
            let password_hash = PasswordHash::new(row.get(1)?);
            Ok(id.map(|id| Credentials { user_id: UserId(id), password_hash }))
        })?;
    Ok(credentials)
}

pub(super) fn upgrade_password_hash(
    database: &Connection,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<()> {
    database.prepare_cached(UPGRADE_PASSWORD_HASH)?.execute(params![
        id.0,
        old.as_str(),
        new.as_str()
    ])?;
    Ok(())
}

pub(super) fn delete_user(database: &Connection, caller: Caller, id: UserId) -> Result<DeleteUser> {
    let deleted = database.prepare_cached(DELETE_USER)?.execute([id.0, caller.user_id.0])?;
    if deleted > 0 {
        return Ok(DeleteUser::Deleted);
    }
    find_caller(database, caller)?;
    match find_user(database, id)? {
        Some(_) => Ok(DeleteUser::NotOwner),
        None => Ok(DeleteUser::NoSuchUser),
    }
}

pub(super) fn find_caller(database: &Connection, caller: Caller) -> Result<()> {
    let found = database.prepare_cached(FIND_CALLER)?.exists([caller.user_id.0])?;
    if found { Ok(()) } else { Err(StoreError::CallerGone) }
}

fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        email: Email::from_stored(row.get(1)?),
        created_at: timestamp(row, 2)?,
    })
}
