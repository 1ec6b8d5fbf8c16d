//! The reads of administrators in SQLite.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::events::read_event;
use super::operator::read_account;
use super::row::{is_open, timestamp};
use super::statement::statements;
use crate::domain::administration::{
    AccountEvent, AccountPage, DayCount, EventPage, ListPage, Listed, RowCount, RowCounts,
};
use crate::domain::caller::Caller;
use crate::domain::user::UserId;
use crate::store::administration::{AdministrationStore, MAX_PER_DAY, NEWEST_ACCOUNTS, SignUps};
use crate::store::{Result, StoreError};

statements! {
    IS_ADMINISTRATOR = "SELECT is_admin FROM users
              WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";
    LIST_ALL_ACCOUNTS = concat!("SELECT id, email, created_at, name, disabled_at, is_admin FROM users
              WHERE id < ?1 AND ", is_open!("id"), "
              ORDER BY id DESC LIMIT ?2");
    LIST_ALL_EVENTS = concat!("SELECT kind, at, client, user_id, id FROM events
              WHERE id < ?1 AND ", is_open!("user_id"), "
              ORDER BY id DESC LIMIT ?2");
    // SQLite counts a whole table by the pages of its smallest index, without reading rows.
    COUNT_USERS = "SELECT count(*) FROM users";
    COUNT_CLOSED = "SELECT count(*) FROM account_deletions";
    COUNT_POSTS = "SELECT count(*) FROM posts";
    COUNT_DRAFTS = "SELECT count(*) FROM posts INDEXED BY posts_created WHERE published = 0";
    COUNT_VOTES = "SELECT count(*) FROM votes";
    COUNT_POSTS_OF_DAY = "SELECT count(*) FROM
              (SELECT 1 FROM posts INDEXED BY posts_created
                WHERE published = 1 AND created_at >= ?1 AND created_at < ?2 LIMIT ?3)";
    READ_NEWEST_ACCOUNTS = concat!("SELECT id, created_at FROM users NOT INDEXED
              WHERE ", is_open!("id"), " ORDER BY id DESC LIMIT ?1");
}

#[async_trait]
impl AdministrationStore for SqliteStore {
    async fn is_administrator(&self, caller: Caller) -> Result<bool> {
        self.readers.run(move |database| is_administrator(database, caller)).await
    }

    async fn list_accounts(&self, caller: Caller, page: ListPage) -> Result<Option<AccountPage>> {
        self.list_for(caller, page, LIST_ALL_ACCOUNTS, |row| {
            let account = read_account(row)?;
            Ok((account.user.id.0, Some(account)))
        })
        .await
    }

    async fn list_all_events(&self, caller: Caller, page: ListPage) -> Result<Option<EventPage>> {
        self.list_for(caller, page, LIST_ALL_EVENTS, |row| {
            let (user_id, id) = (UserId(row.get(3)?), row.get(4)?);
            Ok((id, read_event(row)?.map(|event| AccountEvent { id, user_id, event })))
        })
        .await
    }

    async fn count_all_rows(&self) -> Result<RowCounts> {
        self.list_readers
            .run(|database| {
                let snapshot = database.unchecked_transaction()?;
                let count = |text: &str| -> rusqlite::Result<u64> {
                    snapshot.prepare_cached(text)?.query_row([], read_count)
                };
                let exact = |count| RowCount { count, is_exact: true };
                let drafts = count(COUNT_DRAFTS)?;
                Ok(RowCounts {
                    users: exact(count(COUNT_USERS)?.saturating_sub(count(COUNT_CLOSED)?)),
                    posts: exact(count(COUNT_POSTS)?.saturating_sub(drafts)),
                    drafts: exact(drafts),
                    votes: exact(count(COUNT_VOTES)?),
                })
            })
            .await
    }

    async fn count_days(&self, days: Vec<Timestamp>) -> Result<Vec<DayCount>> {
        self.list_readers
            .run(move |database| {
                let sign_ups = read_sign_ups(database)?;
                let mut posts = database.prepare_cached(COUNT_POSTS_OF_DAY)?;
                let count = |begins_at: Timestamp| {
                    let begin = begins_at.as_microsecond();
                    let day = SignedDuration::from_hours(24).as_micros();
                    let end = begin.saturating_add(i64::try_from(day).unwrap_or(i64::MAX));
                    let posts = posts.query_row(params![begin, end, MAX_PER_DAY], read_count)?;
                    Ok(DayCount { begins_at, users: sign_ups.of(begins_at), posts })
                };
                days.into_iter().map(count).collect()
            })
            .await
    }
}

impl SqliteStore {
    /// Reads a page, and one entry more, if the caller is an administrator. An entry of a kind that
    /// only a newer version knows is left out.
    async fn list_for<T: Send + 'static>(
        &self,
        caller: Caller,
        page: ListPage,
        statement: &'static str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<(i64, Option<T>)> + Send + 'static,
    ) -> Result<Option<Listed<T>>> {
        self.list_readers
            .run(move |database| {
                // The right and the list are read from one snapshot.
                let snapshot = database.unchecked_transaction()?;
                if !is_administrator(&snapshot, caller)? {
                    return Ok(None);
                }
                let before = page.before.unwrap_or(i64::MAX);
                let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
                let mut statement = snapshot.prepare_cached(statement)?;
                let mut rows = statement.query(params![before, i64::from(page.limit) + 1])?;
                let mut listed = Listed { entries: Vec::new(), next: None };
                let mut last = None;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    if count == limit {
                        listed.next = last;
                        break;
                    }
                    let (id, entry) = read(row)?;
                    listed.entries.extend(entry);
                    last = Some(id);
                    count += 1;
                }
                Ok(Some(listed))
            })
            .await
    }
}

fn is_administrator(database: &Connection, caller: Caller) -> Result<bool> {
    let mut statement = database.prepare_cached(IS_ADMINISTRATOR)?;
    let is_admin = statement.query_row(caller_params(caller), |row| row.get(0)).optional()?;
    is_admin.ok_or(StoreError::CallerRejected)
}

fn read_count(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))
}

fn read_sign_ups(database: &Connection) -> Result<SignUps> {
    let mut sign_ups = SignUps::default();
    let mut statement = database.prepare_cached(READ_NEWEST_ACCOUNTS)?;
    let mut rows = statement.query([NEWEST_ACCOUNTS])?;
    while let Some(row) = rows.next()? {
        sign_ups.add(timestamp(row, 1)?, 1, row.get(0)?);
    }
    Ok(sign_ups)
}
