//! The slices of closed accounts in SQLite. Each is a write among others, so it holds up the other
//! writes for one slice only.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::reader::Readers;
use super::statement::statements;
use super::writer::Writer;
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::deletions::{
    COST_PER_SLICE, KEYS_PER_SLICE, POSTS_PER_SLICE, Slice, SliceStore, Step, TITLE_COST,
    VOTES_PER_SLICE,
};

statements! {
    FIND_CLOSED_ACCOUNTS = "SELECT user_id FROM account_deletions ORDER BY user_id LIMIT ?1";
    DELETE_VOTES_CAST = "DELETE FROM votes
          WHERE (post_id, user_id) IN (SELECT post_id, user_id FROM votes
                                        WHERE user_id = ?1
                                        LIMIT ?2)";
    // CROSS JOIN fixes the order of the loops: first the next posts, then their votes.
    DELETE_VOTES_RECEIVED = "DELETE FROM votes
          WHERE (post_id, user_id) IN (
                SELECT votes.post_id, votes.user_id
                  FROM (SELECT id FROM posts
                         WHERE owner_id = ?1
                         ORDER BY published DESC, id DESC LIMIT ?3) AS next_posts
                 CROSS JOIN votes ON votes.post_id = next_posts.id
                 LIMIT ?2)";
    DELETE_POSTS = "DELETE FROM posts
          WHERE id IN (
                SELECT id
                  FROM (SELECT id, sum(cost) OVER (
                                   ORDER BY published DESC, id DESC
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                               ) AS cost_before
                          FROM (SELECT id, published,
                                       octet_length(content)
                                           + ?4 * min(octet_length(title), 4000) AS cost
                                  FROM posts
                                 WHERE owner_id = ?1
                                 ORDER BY published DESC, id DESC LIMIT ?2) AS next_posts) AS next
                 WHERE cost_before IS NULL OR cost_before < ?3)";
    HAS_POSTS = "SELECT 1 FROM posts WHERE owner_id = ?1";
    DELETE_KEYS = "DELETE FROM idempotency_keys
          WHERE (user_id, key) IN (SELECT user_id, key FROM idempotency_keys
                                    WHERE user_id = ?1
                                    LIMIT ?2)";
    DELETE_ACCOUNT = "DELETE FROM users
          WHERE id = (SELECT user_id FROM account_deletions WHERE user_id = ?1)";
}

/// Maximum number of closed accounts that a search returns.
const MAX_ACCOUNTS: i64 = 1000;

pub(super) struct SqliteSlices {
    pub(super) readers: Arc<Readers>,
    pub(super) list_readers: Arc<Readers>,
    pub(super) writer: Arc<Writer>,
}

#[async_trait]
impl SliceStore for SqliteSlices {
    async fn find_closed_accounts(&self) -> Result<Vec<UserId>> {
        self.readers
            .run(|database| {
                let mut statement = database.prepare_cached(FIND_CLOSED_ACCOUNTS)?;
                let accounts = statement.query_map([MAX_ACCOUNTS], |row| row.get(0).map(UserId))?;
                Ok(accounts.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn delete_slice(&self, account: UserId, step: Step) -> Result<Slice> {
        self.writer.run(move |database| Ok(delete_slice(database, account.0, step)?)).await
    }
}

pub(super) fn delete_slice(
    database: &Connection,
    account: i64,
    step: Step,
) -> rusqlite::Result<Slice> {
    let has_more = match step {
        Step::VotesCast => {
            let params = [account, VOTES_PER_SLICE];
            i64::try_from(database.prepare_cached(DELETE_VOTES_CAST)?.execute(params)?)
                == Ok(VOTES_PER_SLICE)
        }
        Step::VotesReceived => {
            let params = [account, VOTES_PER_SLICE, POSTS_PER_SLICE];
            i64::try_from(database.prepare_cached(DELETE_VOTES_RECEIVED)?.execute(params)?)
                == Ok(VOTES_PER_SLICE)
        }
        Step::Posts => {
            let params = params![account, POSTS_PER_SLICE, COST_PER_SLICE, TITLE_COST];
            database.prepare_cached(DELETE_POSTS)?.execute(params)?;
            database.prepare_cached(HAS_POSTS)?.exists([account])?
        }
        Step::IdempotencyKeys => {
            let params = [account, KEYS_PER_SLICE];
            i64::try_from(database.prepare_cached(DELETE_KEYS)?.execute(params)?)
                == Ok(KEYS_PER_SLICE)
        }
        Step::Account => {
            database.prepare_cached(DELETE_ACCOUNT)?.execute([account])?;
            false
        }
    };
    Ok(if has_more { Slice::More } else { Slice::Last })
}
