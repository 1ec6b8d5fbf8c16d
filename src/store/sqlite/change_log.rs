//! The log of changes in SQLite. One connection writes at a time, so the numbers of the rows have the
//! order of the commits.
//!
//! Each process begins an epoch of its own, so no position of a later state is valid in a copy that
//! was put back. If a program puts back a copy under a running process, the next write ends the epoch.
//!
//! Not here: the triggers that write the log, see the migration `0022_change_log_ends`.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::row::{is_open, json_array, read_post};
use super::statement::statements;
use crate::domain::change::{
    ChangeEpoch, ChangePosition, ChangedPost, Changes, Listening, MAX_CHANGED_TEXT,
};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::store::change_row::{CHANGES_PER_SLICE, ChangeRow, MAX_CHANGES, SLICES_PER_CALL};
use crate::store::{ChangeStore, Result};

/// The time of the database in microseconds since 1970, as the triggers compute it.
macro_rules! now {
    () => {
        "1000000 * CAST(strftime('%s', 'now') AS INTEGER)"
    };
}

/// An hour in microseconds.
macro_rules! hour {
    () => {
        "3600000000"
    };
}

/// The position of the newest change, also if it was deleted.
macro_rules! newest {
    () => {
        "max(trimmed_id, ifnull((SELECT max(id) FROM post_changes), 0))"
    };
}

/// Whether the epoch continues. `?1` is whether this process has begun it or continued it before.
macro_rules! continues {
    () => {
        concat!("?1 AND until > ", now!())
    };
}

/// Whether the texts of a post have at most `?3` bytes.
macro_rules! is_short {
    () => {
        "octet_length(posts.title) + octet_length(posts.content) <= ?3"
    };
}

statements! {
    LISTEN_TO_CHANGES = concat!(
        "UPDATE change_log
            SET epoch = CASE WHEN ", continues!(), " THEN epoch ELSE random() END,
                trimmed_id = CASE WHEN ", continues!(), " THEN trimmed_id ELSE 0 END,
                until = ", now!(), " + ", hour!(), "
          WHERE one = 1
         RETURNING epoch, ", newest!()
    );
    FIND_NEWEST_CHANGE = concat!("SELECT ", newest!(), " FROM change_log WHERE one = 1");
    END_EPOCH = "UPDATE change_log SET epoch = random(), until = 0 WHERE one = 1";
    READ_CHANGES = concat!(
        "SELECT log.epoch, log.trimmed_id, c.id, c.post_id, c.user_id, c.kind, c.was_published,
                ", newest!(), "
           FROM change_log AS log
           LEFT JOIN (SELECT * FROM post_changes WHERE id > ?1 ORDER BY id LIMIT ?2) AS c ON TRUE
          WHERE log.one = 1"
    );
    // CROSS JOIN fixes the order of the loops. The length of a text is known without reading it.
    FIND_CHANGED_POSTS = concat!(
        "SELECT posts.id, iif(", is_short!(), ", posts.title, NULL),
                iif(", is_short!(), ", posts.content, NULL),
                posts.published, posts.created_at, posts.owner_id,
                (SELECT votes FROM vote_counts WHERE post_id = posts.id), ", is_short!(), "
           FROM json_each(?1) AS asked
          CROSS JOIN posts ON posts.id = asked.value
            AND ", is_open!("posts.owner_id"), "
          WHERE posts.published OR ?2"
    );
    FORGET_CHANGES = concat!(
        "DELETE FROM post_changes
          WHERE id IN (SELECT id FROM post_changes ORDER BY id LIMIT ?1)
            AND (at < ", now!(), " - ", hour!(), "
                 OR id <= (SELECT max(id) FROM post_changes) - ?2)
         RETURNING id"
    );
    TRIM_CHANGES = "UPDATE change_log SET trimmed_id = max(trimmed_id, ?1) WHERE one = 1";
}

/// Returns the number of the newest change.
pub(super) fn find_newest(database: &Connection) -> rusqlite::Result<i64> {
    database.prepare_cached(FIND_NEWEST_CHANGE)?.query_row([], |row| row.get(0))
}

#[async_trait]
impl ChangeStore for SqliteStore {
    async fn has_change_log(&self) -> Result<bool> {
        Ok(true)
    }

    async fn listen_to_changes(&self) -> Result<Listening> {
        let is_renewal = self.has_listened.load(Ordering::Acquire);
        let listening = self
            .writer
            .run(move |database| {
                let mut statement = database.prepare_cached(LISTEN_TO_CHANGES)?;
                Ok(statement.query_row([is_renewal], |row| {
                    Ok(Listening { epoch: ChangeEpoch(row.get(0)?), start: position(row.get(1)?) })
                })?)
            })
            .await?;
        self.has_listened.store(true, Ordering::Release);
        Ok(listening)
    }

    async fn read_changes(&self, after: ChangePosition, limit: u32) -> Result<Changes> {
        self.readers.run(move |database| Ok(read_changes(database, after, limit)?)).await
    }

    async fn find_changed_posts(
        &self,
        ids: Vec<PostId>,
        drafts: DraftVisibility,
    ) -> Result<Vec<ChangedPost>> {
        self.list_readers
            .run(move |database| {
                let ids = json_array(ids.iter().map(|id| id.0));
                let sees_drafts = drafts == DraftVisibility::Visible;
                let mut statement = database.prepare_cached(FIND_CHANGED_POSTS)?;
                let params = params![ids, sees_drafts, MAX_CHANGED_TEXT];
                let posts = statement.query_map(params, read_changed_post)?;
                Ok(posts.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn forget_changes(&self) -> Result<()> {
        for _ in 0..SLICES_PER_CALL {
            if !self.writer.run(|database| Ok(delete_slice(database)?)).await? {
                break;
            }
        }
        Ok(())
    }
}

/// Returns whether there may be another slice.
fn delete_slice(database: &Connection) -> rusqlite::Result<bool> {
    let mut statement = database.prepare_cached(FORGET_CHANGES)?;
    let deleted = statement.query_map([CHANGES_PER_SLICE, MAX_CHANGES], |row| row.get(0))?;
    let deleted = deleted.collect::<rusqlite::Result<Vec<i64>>>()?;
    if let Some(last) = deleted.iter().max() {
        database.prepare_cached(TRIM_CHANGES)?.execute([last])?;
    }
    Ok(i64::try_from(deleted.len()) == Ok(CHANGES_PER_SLICE))
}

fn read_changes(
    database: &Connection,
    after: ChangePosition,
    limit: u32,
) -> rusqlite::Result<Changes> {
    let (mut epoch, mut forgotten, mut newest) = (ChangeEpoch(0), position(0), position(0));
    let mut changes: Vec<ChangeRow> = Vec::new();
    let mut statement = database.prepare_cached(READ_CHANGES)?;
    let mut rows = statement.query(params![after.number, limit.max(1)])?;
    while let Some(row) = rows.next()? {
        epoch = ChangeEpoch(row.get(0)?);
        forgotten = position(row.get(1)?);
        newest = position(row.get(7)?);
        if let Some(number) = row.get(2)? {
            changes.push(read_row(row, number)?);
        }
    }
    // The join keeps the order, but SQL does not promise it.
    changes.sort_unstable_by_key(|change| change.position);
    let end = changes.last().map_or(newest, |last| last.position);
    let changes = changes.iter().filter_map(ChangeRow::read).collect();
    // One writer commits in the order of the numbers.
    Ok(Changes { epoch, changes, end, watermark: end, forgotten })
}

fn read_row(row: &Row<'_>, number: i64) -> rusqlite::Result<ChangeRow> {
    Ok(ChangeRow {
        position: position(number),
        post_id: row.get(3)?,
        user_id: row.get(4)?,
        kind: row.get(5)?,
        was_published: row.get(6)?,
    })
}

fn read_changed_post(row: &Row<'_>) -> rusqlite::Result<ChangedPost> {
    if row.get(7)? {
        let found = read_post(row)?;
        return Ok(ChangedPost { id: found.post.id, votes: found.votes, post: Some(found.post) });
    }
    let votes: Option<i64> = row.get(6)?;
    Ok(ChangedPost { id: PostId(row.get(0)?), votes: votes.unwrap_or(0), post: None })
}

/// Rows of an embedded database need no number of their transaction.
fn position(number: i64) -> ChangePosition {
    ChangePosition { transaction: 0, number }
}
