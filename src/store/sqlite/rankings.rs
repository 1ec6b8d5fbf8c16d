//! The posts for rankings, in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::row::{is_open, timestamp};
use super::statement::statements;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::ranking::RankedPost;
use crate::store::rankings::{MAX_COUNTS, MAX_NEWEST, MAX_UNVOTED, MostVoted};
use crate::store::{RankSource, RankingStore, Result};

statements! {
    // An index by votes would make every vote dearer, so this reads all counts. CROSS JOIN fixes the
    // order of the loops.
    RANK_MOST_VOTED = concat!(
        "SELECT counts.post_id, votes, created_at, posts.id IS NOT NULL
           FROM (SELECT post_id, votes FROM vote_counts
                  ORDER BY votes DESC, post_id DESC LIMIT ?1) AS counts
           LEFT JOIN posts ON posts.id = counts.post_id AND (published OR ?2) AND ",
        is_open!("owner_id"),
    );
    RANK_UNVOTED = concat!(
        "SELECT id, created_at FROM posts INDEXED BY posts_published
          WHERE published = 1 AND ", is_open!("owner_id"), "
            AND NOT EXISTS (SELECT 1 FROM vote_counts WHERE post_id = posts.id)
          ORDER BY id DESC LIMIT ?1"
    );
    RANK_ALL_UNVOTED = concat!(
        "SELECT id, created_at FROM posts NOT INDEXED
          WHERE ", is_open!("owner_id"), "
            AND NOT EXISTS (SELECT 1 FROM vote_counts WHERE post_id = posts.id)
          ORDER BY id DESC LIMIT ?1"
    );
    RANK_NEWEST = concat!(
        "SELECT id, created_at, (SELECT votes FROM vote_counts WHERE post_id = posts.id)
           FROM posts INDEXED BY posts_created
          WHERE published = 1 AND ", is_open!("owner_id"), "
          ORDER BY created_at DESC, id DESC LIMIT ?1"
    );
    RANK_ALL_NEWEST = concat!(
        "SELECT id, created_at, (SELECT votes FROM vote_counts WHERE post_id = posts.id)
           FROM posts NOT INDEXED
          WHERE ", is_open!("owner_id"), "
          ORDER BY id DESC LIMIT ?1"
    );
}

#[async_trait]
impl RankingStore for SqliteStore {
    async fn rank_posts(
        &self,
        source: RankSource,
        drafts: DraftVisibility,
    ) -> Result<Vec<RankedPost>> {
        let sees_drafts = drafts == DraftVisibility::Visible;
        self.list_readers
            .run(move |database| match source {
                RankSource::MostVoted => rank_most_voted(database, sees_drafts),
                RankSource::Newest => {
                    let statement = if sees_drafts { RANK_ALL_NEWEST } else { RANK_NEWEST };
                    read_all(database, statement, MAX_NEWEST, |row| {
                        let votes: Option<i64> = row.get(2)?;
                        Ok(RankedPost { votes: votes.unwrap_or(0), ..unvoted(row)? })
                    })
                }
            })
            .await
    }
}

fn rank_most_voted(database: &Connection, sees_drafts: bool) -> Result<Vec<RankedPost>> {
    let mut statement = database.prepare_cached(RANK_MOST_VOTED)?;
    let mut rows = statement.query((limit(MAX_COUNTS), sees_drafts))?;
    let mut counts = MostVoted::default();
    while let Some(row) = rows.next()? {
        let (id, votes) = (row.get(0)?, row.get(1)?);
        let post = if row.get(3)? {
            Some(RankedPost { id: PostId(id), votes, created_at: timestamp(row, 2)? })
        } else {
            None
        };
        counts.push(votes, id, post);
    }
    if !counts.needs_unvoted() {
        return Ok(counts.merge([]));
    }
    let statement = if sees_drafts { RANK_ALL_UNVOTED } else { RANK_UNVOTED };
    Ok(counts.merge(read_all(database, statement, MAX_UNVOTED, unvoted)?))
}

fn read_all(
    database: &Connection,
    statement: &str,
    most: usize,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<RankedPost>,
) -> Result<Vec<RankedPost>> {
    let mut statement = database.prepare_cached(statement)?;
    Ok(statement.query_map([limit(most)], read)?.collect::<rusqlite::Result<_>>()?)
}

fn unvoted(row: &Row<'_>) -> rusqlite::Result<RankedPost> {
    Ok(RankedPost { id: PostId(row.get(0)?), votes: 0, created_at: timestamp(row, 1)? })
}

fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
