//! The posts for rankings, in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use super::column::column;
use super::connection::Value;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::ranking::RankedPost;
use crate::store::rankings::{MAX_COUNTS, MAX_NEWEST, MAX_UNVOTED, MostVoted};
use crate::store::{RankSource, RankingStore, Result};

statements! {
    // An index by votes would make every vote dearer, so this reads all counts.
    RANK_MOST_VOTED(INT8, BOOL) = concat!(
        "SELECT counts.post_id::bigint, votes, created_at
           FROM (SELECT post_id, votes FROM vote_counts
                  ORDER BY votes DESC, post_id DESC LIMIT $1) AS counts
           LEFT JOIN posts ON posts.id = counts.post_id AND (published OR $2) AND ",
        is_open!("owner_id"),
        " ORDER BY votes DESC, counts.post_id DESC"
    ), concat!(
        "SELECT vote_counts.post_id::bigint, votes, created_at
           FROM vote_counts
           LEFT JOIN posts ON posts.id = vote_counts.post_id AND (published OR $2) AND ",
        is_open!("owner_id"),
        " ORDER BY votes DESC, vote_counts.post_id DESC LIMIT $1"
    );
    RANK_UNVOTED(INT8) = concat!(
        "SELECT id::bigint, created_at FROM posts
          WHERE published AND ", is_open!("owner_id"), "
            AND NOT EXISTS (SELECT FROM vote_counts WHERE post_id = posts.id)
          ORDER BY id DESC LIMIT $1"
    );
    RANK_ALL_UNVOTED(INT8) = concat!(
        "SELECT id::bigint, created_at FROM posts
          WHERE ", is_open!("owner_id"), "
            AND NOT EXISTS (SELECT FROM vote_counts WHERE post_id = posts.id)
          ORDER BY id DESC LIMIT $1"
    );
    RANK_NEWEST(INT8) = concat!(
        "SELECT id::bigint, created_at, (SELECT votes FROM vote_counts WHERE post_id = posts.id)
           FROM posts
          WHERE published AND ", is_open!("owner_id"), "
          ORDER BY published DESC, created_at DESC, posts.id DESC LIMIT $1"
    );
    RANK_ALL_NEWEST(INT8) = concat!(
        "SELECT id::bigint, created_at, (SELECT votes FROM vote_counts WHERE post_id = posts.id)
           FROM posts
          WHERE ", is_open!("owner_id"), "
          ORDER BY posts.id DESC LIMIT $1"
    );
}

#[async_trait]
impl RankingStore for PostgresStore {
    async fn rank_posts(
        &self,
        source: RankSource,
        drafts: DraftVisibility,
    ) -> Result<Vec<RankedPost>> {
        let sees_drafts = drafts == DraftVisibility::Visible;
        let read = async {
            match source {
                RankSource::MostVoted => self.rank_most_voted(sees_drafts).await,
                RankSource::Newest => {
                    let statement = if sees_drafts { &RANK_ALL_NEWEST } else { &RANK_NEWEST };
                    let rows = self.long_work.query(statement, &[&limit(MAX_NEWEST)]).await?;
                    let post = |row| {
                        let votes: Option<i64> = column(row, 2)?;
                        Ok(RankedPost { votes: votes.unwrap_or(0), ..unvoted(row)? })
                    };
                    rows.iter().map(post).collect()
                }
            }
        };
        Box::pin(self.read_long(read)).await
    }
}

impl PostgresStore {
    async fn rank_most_voted(&self, sees_drafts: bool) -> Result<Vec<RankedPost>> {
        let values: [Value<'_>; 2] = [&limit(MAX_COUNTS), &sees_drafts];
        let mut counts = MostVoted::default();
        for row in &self.long_work.query(&RANK_MOST_VOTED, &values).await? {
            let (id, votes) = (column(row, 0)?, column(row, 1)?);
            let created_at: Option<_> = column(row, 2)?;
            let post =
                created_at.map(|created_at| RankedPost { id: PostId(id), votes, created_at });
            counts.push(votes, id, post);
        }
        if !counts.needs_unvoted() {
            return Ok(counts.merge([]));
        }
        let statement = if sees_drafts { &RANK_ALL_UNVOTED } else { &RANK_UNVOTED };
        let rows = self.long_work.query(statement, &[&limit(MAX_UNVOTED)]).await?;
        let unvoted = rows.iter().map(unvoted).collect::<Result<Vec<_>>>()?;
        Ok(counts.merge(unvoted))
    }
}

fn unvoted(row: &tokio_postgres::Row) -> Result<RankedPost> {
    Ok(RankedPost { id: PostId(column(row, 0)?), votes: 0, created_at: column(row, 1)? })
}

fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
