//! Accounts and posts in a SQLite file as an operator manages them. Each change is a transaction of
//! its own, which waits for those of a running service.
//!
//! The statements block the calling thread, which serves no requests.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::admin::{SqliteAdmin, commit};
use super::deletions::delete_slice;
use super::error::deletion_failed;
use super::events::record_event;
use super::row::{is_open, read_post, select_posts};
use super::statement::statements;
use super::users::{
    close_account_if, create_user, later_tokens_valid_from, read_user, record_closed_account,
    revoked_at,
};
use crate::domain::email::TypedEmail;
use crate::domain::event::Event;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::{Account, NewUser, PasswordHash, UserId};
use crate::store::deletions::{Step, step_after};
use crate::store::migrate::{MigrateError, MigrateResult};
use crate::store::operator::ROWS_PER_PAGE;
use crate::store::page_limits::PAGE_BYTES;
use crate::store::stored_time::nearest_time;
use crate::store::{CreateUser, OperatorStore, Result, StoreError};

/// The next posts of the owner `?3`, either published ones or drafts.
macro_rules! owned {
    ($published:literal) => {
        select_posts!(concat!(
            "FROM posts INDEXED BY posts_owner WHERE posts.published = ",
            $published,
            " AND posts.owner_id = ?3 AND posts.id < ?2 AND ",
            is_open!("posts.owner_id")
        ))
    };
}

statements! {
    LIST_ACCOUNTS = concat!("SELECT id, email, created_at, name, disabled_at, is_admin FROM users
              WHERE id > ?1 AND ", is_open!("id"), "
              ORDER BY id LIMIT ?2");
    FIND_ACCOUNT = concat!("SELECT id, email, created_at, name, disabled_at, is_admin FROM users
              WHERE id = (SELECT id FROM users WHERE email IN (?1, ?2)
                           ORDER BY (email = ?1) DESC LIMIT 1)
                AND ", is_open!("id"));
    SET_PASSWORD = concat!("UPDATE users SET password = ?2, ", later_tokens_valid_from!("?3"), "
              WHERE id = ?1 AND ", is_open!("id"));
    SIGN_OUT_ACCOUNT = concat!("UPDATE users SET ", later_tokens_valid_from!("?2"), "
              WHERE id = ?1 AND ", is_open!("id"));
    DISABLE_ACCOUNT = concat!("UPDATE users
                SET disabled_at = coalesce(disabled_at, ?2), ", later_tokens_valid_from!("?3"), "
              WHERE id = ?1 AND ", is_open!("id"));
    ENABLE_ACCOUNT = concat!("UPDATE users SET disabled_at = NULL
              WHERE id = ?1 AND ", is_open!("id"));
    SET_ADMIN = concat!("UPDATE users SET is_admin = ?2 WHERE id = ?1 AND ", is_open!("id"));
    CLOSE_ANY_ACCOUNT = close_account_if!(concat!("id = ?1 AND ", is_open!("id")));
    LIST_ANY_POSTS = select_posts!(concat!(
        "FROM posts NOT INDEXED
          WHERE posts.id < ?2 AND ", is_open!("posts.owner_id"), "
          ORDER BY posts.id DESC LIMIT ?1"
    ));
    LIST_ANY_POSTS_OF_OWNER = concat!(
        owned!("0"), " UNION ALL ", owned!("1"), " ORDER BY 1 DESC LIMIT ?1"
    );
    DELETE_ANY_POST = "DELETE FROM posts WHERE id = ?1 RETURNING owner_id";
}

pub struct SqliteOperator {
    admin: SqliteAdmin,
    /// Opened for the first read, and kept open.
    reader: Option<Connection>,
}

impl SqliteOperator {
    /// Does not open the file, which must exist.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { admin: SqliteAdmin::new(path), reader: None }
    }

    fn reader(&mut self) -> MigrateResult<&Connection> {
        if let Some(reader) = self.reader.take() {
            return Ok(self.reader.insert(reader));
        }
        let no_file = || StoreError::unavailable("the file of the database does not exist");
        let reader = self.admin.existing()?.ok_or_else(no_file)?;
        Ok(self.reader.insert(reader))
    }

    /// Runs the work in one transaction.
    fn write<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T>) -> MigrateResult<T> {
        let transaction = self.admin.begin()?;
        let done = work(&transaction)?;
        commit(transaction)?;
        Ok(done)
    }

    /// Like [`SqliteOperator::write`], for work that deletes rows.
    fn delete<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T>) -> MigrateResult<T> {
        self.write(work).map_err(|error| match error {
            MigrateError::Store(error) => deletion_failed(error).into(),
            error => error,
        })
    }
}

#[async_trait]
impl OperatorStore for SqliteOperator {
    async fn list_accounts(&mut self, after: UserId) -> MigrateResult<Vec<Account>> {
        let mut statement = self.reader()?.prepare_cached(LIST_ACCOUNTS)?;
        let accounts = statement.query_map(params![after.0, ROWS_PER_PAGE], read_account)?;
        Ok(accounts.collect::<rusqlite::Result<_>>()?)
    }

    async fn find_account(&mut self, email: &TypedEmail) -> MigrateResult<Option<Account>> {
        let mut statement = self.reader()?.prepare_cached(FIND_ACCOUNT)?;
        Ok(statement.query_row(email.forms(), read_account).optional()?)
    }

    async fn add_account(&mut self, user: NewUser) -> MigrateResult<CreateUser> {
        self.write(|database| create_user(database, &user))
    }

    async fn set_password(
        &mut self,
        id: UserId,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> MigrateResult<bool> {
        self.write(|database| {
            let params = params![id.0, password_hash.as_str(), revoked_at(now)];
            Ok(database.prepare_cached(SET_PASSWORD)?.execute(params)? > 0)
        })
    }

    async fn sign_out_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool> {
        self.write(|database| {
            let params = [id.0, revoked_at(now)];
            Ok(database.prepare_cached(SIGN_OUT_ACCOUNT)?.execute(params)? > 0)
        })
    }

    async fn disable_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool> {
        self.write(|database| {
            let params = [id.0, now.as_microsecond(), revoked_at(now)];
            Ok(database.prepare_cached(DISABLE_ACCOUNT)?.execute(params)? > 0)
        })
    }

    async fn enable_account(&mut self, id: UserId) -> MigrateResult<bool> {
        self.write(|database| Ok(database.prepare_cached(ENABLE_ACCOUNT)?.execute([id.0])? > 0))
    }

    async fn set_admin(&mut self, id: UserId, is_admin: bool) -> MigrateResult<bool> {
        self.write(|database| {
            Ok(database.prepare_cached(SET_ADMIN)?.execute(params![id.0, is_admin])? > 0)
        })
    }

    async fn close_account(&mut self, id: UserId) -> MigrateResult<bool> {
        self.write(|database| {
            let is_closed = database.prepare_cached(CLOSE_ANY_ACCOUNT)?.execute([id.0])? > 0;
            if is_closed {
                record_closed_account(database, id)?;
            }
            Ok(is_closed)
        })
    }

    async fn delete_rows(&mut self, closed: UserId) -> MigrateResult<()> {
        let mut next = Some(Step::VotesCast);
        while let Some(step) = next {
            let slice = self.delete(|database| Ok(delete_slice(database, closed.0, step)?))?;
            next = step_after(step, slice);
        }
        Ok(())
    }

    async fn record_event(&mut self, id: UserId, event: Event) -> MigrateResult<()> {
        self.write(|database| record_event(database, id, event))
    }

    async fn list_posts(
        &mut self,
        owner: Option<UserId>,
        before: PostId,
    ) -> MigrateResult<Vec<PostWithVotes>> {
        let text = if owner.is_some() { LIST_ANY_POSTS_OF_OWNER } else { LIST_ANY_POSTS };
        let mut statement = self.reader()?.prepare_cached(text)?;
        let mut rows = match owner {
            None => statement.query(params![ROWS_PER_PAGE, before.0])?,
            Some(owner) => statement.query(params![ROWS_PER_PAGE, before.0, owner.0])?,
        };
        let (mut posts, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let found = read_post(row)?;
            bytes += found.post.byte_len();
            posts.push(found);
        }
        Ok(posts)
    }

    async fn delete_post(&mut self, id: PostId) -> MigrateResult<Option<UserId>> {
        self.delete(|database| {
            let mut statement = database.prepare_cached(DELETE_ANY_POST)?;
            Ok(statement.query_row([id.0], |row| row.get(0).map(UserId)).optional()?)
        })
    }
}

/// Reads a row of ID, e-mail, `created_at`, name, `disabled_at` and `is_admin`.
pub(super) fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let disabled_at = row.get::<_, Option<i64>>(4)?.map(nearest_time);
    Ok(Account { user: read_user(row)?, disabled_at, is_admin: row.get(5)? })
}
