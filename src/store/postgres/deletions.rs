//! The slices of closed accounts in PostgreSQL.
//!
//! A slice first locks the row of the account in `account_deletions`, so that only one process at a
//! time deletes rows of the account. The number of rows that a slice picked, not of those that it
//! deleted, tells whether rows remain: another process may have deleted some of them between the
//! snapshot of the statement and its lock.

use async_trait::async_trait;

use super::column::column;
use super::connection::Value;
use super::locks::lock_posts;
use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::deletions::{
    COST_PER_SLICE, KEYS_PER_SLICE, POSTS_PER_SLICE, Slice, SliceStore, Step, TITLE_COST,
    VOTES_PER_SLICE,
};

/// A statement of a step. It returns whether the account exists, whether the statement locked it,
/// and whether the step may have more rows.
macro_rules! slice {
    ($parts:expr, $has_more:literal) => {
        concat!(
            "WITH claimed AS MATERIALIZED (
                 SELECT user_id FROM account_deletions WHERE user_id = $1 FOR UPDATE SKIP LOCKED
             ), ",
            $parts,
            " SELECT EXISTS (SELECT user_id FROM account_deletions WHERE user_id = $1),
                     EXISTS (SELECT user_id FROM claimed), ",
            $has_more
        )
    };
}

statements! {
    FIND_CLOSED_ACCOUNTS(INT8) = "SELECT user_id FROM account_deletions ORDER BY user_id LIMIT $1";
    // BETWEEN and ORDER BY make the index return the first rows. With an equality the planner may
    // build a bitmap of all votes of the account, for each slice.
    DELETE_VOTES_CAST(INT8, INT8) = slice!(
        concat!("picked AS MATERIALIZED (
             SELECT post_id, user_id FROM votes
              WHERE user_id BETWEEN (SELECT user_id FROM claimed) AND (SELECT user_id FROM claimed)
              ORDER BY user_id LIMIT $2
         ), locked AS MATERIALIZED (", lock_posts!("SELECT post_id FROM picked"), "
         ), deleted AS (
             DELETE FROM votes USING picked
              WHERE (SELECT count(*) FROM locked) > 0
                AND votes.post_id = picked.post_id AND votes.user_id = picked.user_id
         )"),
        "(SELECT count(*) FROM picked) = $2"
    );
    DELETE_VOTES_RECEIVED(INT8, INT8, INT8) = slice!(
        concat!("next_posts AS MATERIALIZED (
             SELECT id FROM posts
              WHERE owner_id = (SELECT user_id FROM claimed)
              ORDER BY published DESC, id DESC LIMIT $3
         ), picked AS MATERIALIZED (
             SELECT votes.post_id, votes.user_id
               FROM next_posts JOIN votes ON votes.post_id = next_posts.id
              LIMIT $2
         ), locked AS MATERIALIZED (", lock_posts!("SELECT post_id FROM picked"), "
         ), deleted AS (
             DELETE FROM votes USING picked
              WHERE (SELECT count(*) FROM locked) > 0
                AND votes.post_id = picked.post_id AND votes.user_id = picked.user_id
         )"),
        "(SELECT count(*) FROM picked) = $2"
    );
    DELETE_POSTS(INT8, INT8, INT8, INT8) = slice!(
        concat!("next_posts AS MATERIALIZED (
             SELECT id, published,
                    octet_length(content) + $4 * least(octet_length(title), 4000) AS cost
               FROM posts
              WHERE owner_id = (SELECT user_id FROM claimed)
              ORDER BY published DESC, id DESC LIMIT $2
         ), picked AS MATERIALIZED (
             SELECT id
               FROM (SELECT id, sum(cost) OVER (
                                ORDER BY published DESC, id DESC
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                            ) AS cost_before
                       FROM next_posts) AS next
              WHERE cost_before IS NULL OR cost_before < $3
         ), locked AS MATERIALIZED (", lock_posts!("SELECT id FROM picked"), "
         ), deleted AS (
             DELETE FROM posts USING picked
              WHERE (SELECT count(*) FROM locked) > 0 AND posts.id = picked.id
         )"),
        "(SELECT count(*) FROM picked) = $2
          OR (SELECT count(*) FROM picked) < (SELECT count(*) FROM next_posts)"
    );
    DELETE_KEYS(INT8, INT8) = slice!(
        "picked AS MATERIALIZED (
             SELECT user_id, key FROM idempotency_keys
              WHERE user_id BETWEEN (SELECT user_id FROM claimed) AND (SELECT user_id FROM claimed)
              ORDER BY user_id, key LIMIT $2
         ), deleted AS (
             DELETE FROM idempotency_keys USING picked
              WHERE idempotency_keys.user_id = picked.user_id AND idempotency_keys.key = picked.key
         )",
        "(SELECT count(*) FROM picked) = $2"
    );
    DELETE_ACCOUNT(INT8) = slice!(
        "deleted AS (
             DELETE FROM users WHERE id = (SELECT user_id FROM claimed)
         )",
        "FALSE"
    );
}

/// Maximum number of closed accounts that a search returns.
const MAX_ACCOUNTS: i64 = 1000;

pub(super) struct PostgresSlices(pub(super) Pool);

#[async_trait]
impl SliceStore for PostgresSlices {
    async fn find_closed_accounts(&self) -> Result<Vec<UserId>> {
        let rows = self.0.query(&FIND_CLOSED_ACCOUNTS, &[&MAX_ACCOUNTS]).await?;
        rows.iter().map(|row| column(row, 0).map(UserId)).collect()
    }

    async fn delete_slice(&self, account: UserId, step: Step) -> Result<Slice> {
        let values: [Value<'_>; 4] = [&account.0, &VOTES_PER_SLICE, &POSTS_PER_SLICE, &TITLE_COST];
        let [account, votes, posts, title_cost] = values;
        let rows = match step {
            Step::VotesCast => self.0.delete(&DELETE_VOTES_CAST, &[account, votes]).await?,
            Step::VotesReceived => {
                self.0.delete(&DELETE_VOTES_RECEIVED, &[account, votes, posts]).await?
            }
            Step::Posts => {
                let values = [account, posts, &COST_PER_SLICE, title_cost];
                self.0.delete(&DELETE_POSTS, &values).await?
            }
            Step::IdempotencyKeys => {
                self.0.delete(&DELETE_KEYS, &[account, &KEYS_PER_SLICE]).await?
            }
            Step::Account => self.0.delete(&DELETE_ACCOUNT, &[account]).await?,
        };
        let Some(row) = rows.first() else { return Ok(Slice::NoAccount) };
        Ok(match (column(row, 0)?, column(row, 1)?, column(row, 2)?) {
            (false, ..) => Slice::NoAccount,
            (true, false, _) => Slice::Busy,
            (true, true, true) => Slice::More,
            (true, true, false) => Slice::Last,
        })
    }
}
