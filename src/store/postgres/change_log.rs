//! The log of changes in PostgreSQL.
//!
//! A change is read when every older transaction has ended, so no change can appear before one that
//! was read. An old transaction of another database of the server delays the changes, too.
//!
//! The files of a server can go back to an earlier state only while it does not run, and a standby
//! has run before it is promoted. So an epoch lasts as long as the server, and no position of a later
//! state is valid in an earlier one.
//!
//! Not here: the triggers that write the log, see the migration `0022_change_log_ends`.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresStore;
use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_unrepresentable;
use super::pool::Pool;
use super::row::{is_open, read_post};
use super::statement::{Statement, statements};
use crate::domain::change::{
    ChangeEpoch, ChangePosition, ChangedPost, Changes, Listening, MAX_CHANGED_TEXT,
};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::store::change_row::{CHANGES_PER_SLICE, ChangeRow, MAX_CHANGES, SLICES_PER_CALL};
use crate::store::{ChangeStore, Result, StoreError};

/// Tells this database of this run of the server from every other one. A copy of a database has
/// other OIDs. After a crash of one of its processes the server recovers and keeps its time of
/// start, but can lose transactions that did not wait for the disk: it resets its statistics then.
macro_rules! origin {
    () => {
        "(SELECT oid FROM pg_database WHERE datname = current_database())
                        || ':' || to_regclass('post_changes')::oid
                        || ':' || (1000000 * extract(epoch FROM pg_postmaster_start_time()))::bigint
                        || ':' || (SELECT (1000000 * extract(epoch FROM stats_reset))::bigint
                                     FROM pg_stat_wal)"
    };
}

/// Whether the epoch of `change_log` continues.
macro_rules! continues {
    () => {
        "until > now() AND change_log.origin = here.origin AND here.is_logged AND NOT here.is_ahead"
    };
}

statements! {
    // If the rows moved to another server, their transactions can be ahead of those of this server.
    // The triggers read the sequence, and log for a minute longer than `until`: a renewal just before
    // `until` continues the epoch without a gap. The sequence is 1 after a change that was not logged.
    LISTEN_TO_CHANGES() = concat!(
        "WITH here AS MATERIALIZED (
             SELECT ", origin!(), " AS origin,
                    nextval('change_until_seq') > date_part('epoch', now()) AS is_logged,
                    coalesce((SELECT c.xid FROM post_changes AS c
                               ORDER BY c.xid DESC, c.id DESC LIMIT 1)
                                 >= pg_snapshot_xmax(pg_current_snapshot()), FALSE) AS is_ahead
         )
         UPDATE change_log
            SET epoch = CASE WHEN ", continues!(), " THEN epoch
                             ELSE hashtextextended(gen_random_uuid()::text, 0) END,
                trimmed_xid = CASE WHEN ", continues!(), " THEN trimmed_xid ELSE '0' END,
                trimmed_id = CASE WHEN ", continues!(), " THEN trimmed_id ELSE 0 END,
                origin = here.origin,
                until = now() + interval '1 hour'
           FROM here
          WHERE one
         RETURNING epoch, here.is_ahead,
                   setval('change_until_seq', ceil(date_part('epoch', now()))::bigint + 3660)"
    );
    // No transaction of this server can have written the rows.
    DELETE_CHANGES_AHEAD(INT8) =
        "WITH ahead AS MATERIALIZED (
             SELECT c.ctid FROM post_changes AS c
              WHERE c.xid >= pg_snapshot_xmax(pg_current_snapshot())
              ORDER BY c.xid, c.id LIMIT $1
         ), deleted AS (
             DELETE FROM post_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM ahead))
             RETURNING id
         )
         SELECT count(*) FROM deleted";
    FIND_START_OF_CHANGES() = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    // The names of the columns are qualified: `ORDER BY xid` could mean the text in the result.
    // After a restart of the server the epoch is 0 until a process registers.
    READ_CHANGES(INT8, INT8, INT8) = concat!(
        "SELECT CASE WHEN origin = ", origin!(), " THEN epoch ELSE 0 END,
                trimmed_xid::text::bigint, trimmed_id,
                pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
                part.xid::text::bigint, part.id, part.post_id, part.user_id, part.kind::bigint,
                part.was_published, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
           FROM change_log
           LEFT JOIN LATERAL (
                SELECT * FROM post_changes AS c
                 WHERE (c.xid, c.id) > ($1::bigint::text::xid8, $2)
                   AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
                 ORDER BY c.xid, c.id LIMIT $3) AS part ON TRUE
          WHERE one"
    );
    // Only published posts unless $2. Texts of more than $3 bytes are not read.
    FIND_CHANGED_POSTS(INT8_ARRAY, BOOL, INT8) = concat!(
        "SELECT id::bigint, CASE WHEN is_short THEN title END, CASE WHEN is_short THEN content END,
                published, created_at, owner_id::bigint,
                (SELECT votes FROM vote_counts WHERE post_id = found.id), is_short
           FROM (SELECT *, octet_length(title) + octet_length(content) <= $3 AS is_short
                   FROM posts
                  WHERE id = ANY($1) AND (published OR $2) AND ", is_open!("owner_id"), ") AS found"
    );
    // Deletes the oldest rows. Only one process at a time deletes, and moves the trimmed position.
    FORGET_CHANGES(INT8, INT8) =
        "WITH claimed AS MATERIALIZED (
             SELECT one FROM change_log WHERE one FOR UPDATE SKIP LOCKED
         ), newest AS MATERIALIZED (
             SELECT c.id FROM post_changes AS c ORDER BY c.xid DESC, c.id DESC LIMIT 1
         ), first AS MATERIALIZED (
             SELECT c.ctid, c.xid, c.id, c.at FROM post_changes AS c
              ORDER BY c.xid, c.id LIMIT $1
         ), deleted AS (
             DELETE FROM post_changes
              WHERE EXISTS (SELECT FROM claimed)
                AND ctid = ANY (ARRAY(
                        SELECT ctid FROM first
                         WHERE xid < pg_snapshot_xmax(pg_current_snapshot())
                           AND (at < now() - interval '1 hour'
                                OR id <= (SELECT id FROM newest) - $2)))
             RETURNING xid, id
         ), last AS MATERIALIZED (
             SELECT deleted.xid, deleted.id FROM deleted
              ORDER BY deleted.xid DESC, deleted.id DESC LIMIT 1
         ), moved AS (
             UPDATE change_log SET trimmed_xid = last.xid, trimmed_id = last.id
               FROM last
              WHERE one AND (trimmed_xid, trimmed_id) < (last.xid, last.id)
         )
         SELECT count(*) FROM deleted";
}

#[async_trait]
impl ChangeStore for PostgresStore {
    async fn has_change_log(&self) -> Result<bool> {
        Ok(!self.pool.is_distributed())
    }

    async fn listen_to_changes(&self) -> Result<Listening> {
        self.run(async |pool| {
            let rows = pool.query(&LISTEN_TO_CHANGES, &[]).await?;
            if pool.is_distributed() {
                return Err(StoreError::unavailable("a distributed database logs no changes"));
            }
            let row = rows.first().ok_or_else(|| StoreError::internal("no log of changes"))?;
            let (epoch, is_ahead) = (ChangeEpoch(column(row, 0)?), column(row, 1)?);
            if is_ahead {
                while delete_slice(&pool, &DELETE_CHANGES_AHEAD, &[&CHANGES_PER_SLICE]).await? {}
            }
            // Read after the commit: a transaction that saw no registration has an older number.
            let rows = pool.query(&FIND_START_OF_CHANGES, &[]).await?;
            let row = rows.first().ok_or_else(|| StoreError::internal("no snapshot"))?;
            let start = ChangePosition { transaction: column(row, 0)?, number: 0 };
            Ok(Listening { epoch, start })
        })
        .await
    }

    async fn read_changes(&self, after: ChangePosition, limit: u32) -> Result<Changes> {
        self.run(async move |pool| {
            let (transaction, limit) = (after.transaction.max(0), limit.max(1));
            let values: [Value<'_>; 3] = [&transaction, &after.number, &i64::from(limit)];
            read_part(&pool.query(&READ_CHANGES, &values).await?, limit)
        })
        .await
    }

    async fn find_changed_posts(
        &self,
        ids: Vec<PostId>,
        drafts: DraftVisibility,
    ) -> Result<Vec<ChangedPost>> {
        self.run(async move |pool| {
            let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
            let sees_drafts = drafts == DraftVisibility::Visible;
            let find = async |longest: i64| {
                pool.query(&FIND_CHANGED_POSTS, &[&ids, &sees_drafts, &longest]).await
            };
            let rows = match find(i64::from(MAX_CHANGED_TEXT)).await {
                // PostgreSQL cannot convert a stored text. Without texts every post is readable.
                Err(QueryError::Statement(error)) if is_unrepresentable(error.code()) => {
                    find(-1).await?
                }
                found => found?,
            };
            rows.iter().map(read_changed_post).collect()
        })
        .await
    }

    async fn forget_changes(&self) -> Result<()> {
        self.run(async |pool| {
            for _ in 0..SLICES_PER_CALL {
                let values: [Value<'_>; 2] = [&CHANGES_PER_SLICE, &MAX_CHANGES];
                if !delete_slice(&pool, &FORGET_CHANGES, &values).await? {
                    break;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Returns whether there may be another slice.
async fn delete_slice(pool: &Pool, statement: &Statement, values: &[Value<'_>]) -> Result<bool> {
    let rows = pool.query(statement, values).await?;
    let row = rows.first().ok_or_else(|| StoreError::internal("no count of changes"))?;
    Ok(column::<i64>(row, 0)? >= CHANGES_PER_SLICE)
}

/// Reads the rows of [`READ_CHANGES`]. Without a change, it returns one row.
fn read_part(rows: &[Row], limit: u32) -> Result<Changes> {
    let log = rows.first().ok_or_else(|| StoreError::internal("no log of changes"))?;
    let mut changes = Vec::new();
    for row in rows {
        if let Some(transaction) = column(row, 4)? {
            changes.push(ChangeRow {
                position: ChangePosition { transaction, number: column(row, 5)? },
                post_id: column(row, 6)?,
                user_id: column(row, 7)?,
                kind: column(row, 8)?,
                was_published: column(row, 9)?,
            });
        }
    }
    // The join keeps the order, but SQL does not promise it.
    changes.sort_unstable_by_key(|change| change.position);
    let is_full = u32::try_from(changes.len()).is_ok_and(|count| count >= limit);
    let end = match changes.last() {
        Some(last) if is_full => last.position,
        _ => ChangePosition { transaction: column(log, 3)?, number: 0 },
    };
    Ok(Changes {
        epoch: ChangeEpoch(column(log, 0)?),
        changes: changes.iter().filter_map(ChangeRow::read).collect(),
        end,
        watermark: ChangePosition { transaction: column(log, 10)?, number: 0 },
        forgotten: ChangePosition { transaction: column(log, 1)?, number: column(log, 2)? },
    })
}

fn read_changed_post(row: &Row) -> Result<ChangedPost> {
    let id = PostId(column(row, 0)?);
    if column(row, 7)? {
        let found = read_post(row)?;
        return Ok(ChangedPost { id, votes: found.votes, post: Some(found.post) });
    }
    let votes: Option<i64> = column(row, 6)?;
    Ok(ChangedPost { id, votes: votes.unwrap_or(0), post: None })
}
