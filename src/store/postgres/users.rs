//! Accounts in PostgreSQL. Numbers are read as bigint whatever the column is: a database that was
//! adopted has integers.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::error::is_duplicate;
use super::session::{LONG_LIMIT, QueryError, Sessions, Value, column};
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::user::{Credentials, NewUser, PasswordHash, User, UserId};
use crate::store::batch::{Batch, Failure};
use crate::store::{CreateUser, DeleteUser, Result, StoreError};

statements! {
    CREATE_USER(TEXT, TEXT, TIMESTAMPTZ) =
        "INSERT INTO users (email, password, created_at)
         VALUES ($1, $2, $3)
         RETURNING id::bigint";
    FIND_USER(INT8) = "SELECT id::bigint, email, created_at FROM users WHERE id = $1";
    // An unknown address has a row too, with itself in the hash's place: no row would be quicker.
    FIND_CREDENTIALS(TEXT) =
        "SELECT users.id::bigint, coalesce(users.password, $1)
           FROM (SELECT 1) AS asked LEFT JOIN users ON users.email = $1";
    UPGRADE_PASSWORD_HASH(INT8, TEXT, TEXT) =
        "UPDATE users SET password = $3 WHERE id = $1 AND password = $2";
    DELETE_USER(INT8, INT8) = "DELETE FROM users WHERE id = $1 AND id = $2 RETURNING id::bigint";
    FIND_USERS(INT8_ARRAY) = "SELECT id::bigint FROM users WHERE id = ANY($1)";
}

pub(super) async fn create_user(sessions: &Sessions, user: &NewUser) -> Result<CreateUser> {
    let inserted = sessions
        .query(
            &CREATE_USER,
            &[&user.email.as_str(), &user.password_hash.as_str(), &user.created_at],
        )
        .await;
    let rows = match inserted {
        Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {
            return Ok(CreateUser::EmailTaken);
        }
        inserted => inserted?,
    };
    let row = rows.first().ok_or_else(|| StoreError::internal("an insert returned no row"))?;
    Ok(CreateUser::Created(User {
        id: UserId(column(row, 0)?),
        email: user.email.clone(),
        created_at: user.created_at,
    }))
}

pub(super) async fn find_user(sessions: &Sessions, id: UserId) -> Result<Option<User>> {
    let rows = sessions.query(&FIND_USER, &[&id.0]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(User {
        id: UserId(column(row, 0)?),
        email: Email::from_stored(column(row, 1)?),
        created_at: column(row, 2)?,
    }))
}

pub(super) async fn find_credentials(
    sessions: &Sessions,
    email: &Email,
) -> Result<Option<Credentials>> {
    let rows = sessions.query(&FIND_CREDENTIALS, &[&email.as_str()]).await?;
    let no_row = || StoreError::internal("a statement returned no row");
    let row = rows.first().ok_or_else(no_row)?;
    let id: Option<i64> = column(row, 0)?;
    let password_hash = PasswordHash::new(column(row, 1)?);
    Ok(id.map(|id| Credentials { user_id: UserId(id), password_hash }))
}

pub(super) async fn upgrade_password_hash(
    sessions: &Sessions,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<()> {
    sessions.query(&UPGRADE_PASSWORD_HASH, &[&id.0, &old.as_str(), &new.as_str()]).await?;
    Ok(())
}

pub(super) async fn delete_user(
    sessions: &Sessions,
    caller: Caller,
    id: UserId,
) -> Result<DeleteUser> {
    let ids: [Value<'_>; 2] = [&id.0, &caller.user_id.0];
    let deleted = sessions.query_within(LONG_LIMIT, &DELETE_USER, &ids).await?;
    if !deleted.is_empty() {
        return Ok(DeleteUser::Deleted);
    }
    let found = find_users(sessions, &[&caller.user_id, &id]).await?;
    if !found.contains(&caller.user_id) {
        return Err(StoreError::CallerGone);
    }
    Ok(if found.contains(&id) { DeleteUser::NotOwner } else { DeleteUser::NoSuchUser })
}

/// Callers of whom nothing is asked but whether they are there.
pub(super) struct FindCallers(pub(super) Arc<Sessions>);

#[async_trait]
impl Batch for FindCallers {
    type Request = UserId;
    type Answer = ();

    async fn run(&self, requests: &[&UserId]) -> std::result::Result<Vec<Result<()>>, Failure> {
        find_callers(&self.0, requests).await.map_err(Failure::Final)
    }
}

/// Whether each of the callers is there.
pub(super) async fn find_callers(
    sessions: &Sessions,
    callers: &[&UserId],
) -> Result<Vec<Result<()>>> {
    let found = find_users(sessions, callers).await?;
    let is_there = |id: &&UserId| found.contains(*id).then_some(()).ok_or(StoreError::CallerGone);
    Ok(callers.iter().map(is_there).collect())
}

async fn find_users(sessions: &Sessions, users: &[&UserId]) -> Result<HashSet<UserId>> {
    let ids: Vec<i64> = users.iter().map(|id| id.0).collect();
    read_users(&sessions.query(&FIND_USERS, &[&ids]).await?)
}

/// The numbers that [`FIND_USERS`] found.
pub(super) fn read_users(rows: &[Row]) -> Result<HashSet<UserId>> {
    rows.iter().map(|row| column(row, 0).map(UserId)).collect()
}
