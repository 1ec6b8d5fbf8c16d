//! Ranges of IDs without a post of an open account, in PostgreSQL.
//!
//! A transaction can get an ID from the sequence and commit its post much later, when newer posts
//! are visible. From the first ID until its end, it holds a lock on the sequence. After all
//! transactions have ended that held this lock at one time, every post is visible that got its ID
//! before.

use async_trait::async_trait;

use super::column::column;
use super::deletions::PostgresSlices;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::deletions::hidden_range::{HiddenRange, HiddenRangeStore, LastId};

/// The first posts in the order, `id` or `id DESC`, that are outside of a hidden range and for which
/// the condition is true, as a table. The other texts are the bounds of the range and the maximum
/// number of posts. Without an order in each part, the planner sorts both.
macro_rules! posts_around {
    ($condition:expr, $above:literal, $up_to:literal, $order:literal, $limit:literal) => {
        concat!(
            "((SELECT id, title, content, published, created_at, owner_id
                 FROM posts
                WHERE ",
            $condition,
            " AND id > ",
            $up_to,
            " ORDER BY ",
            $order,
            " LIMIT ",
            $limit,
            ")
              UNION ALL
              (SELECT id, title, content, published, created_at, owner_id
                 FROM posts
                WHERE ",
            $condition,
            " AND id <= ",
            $above,
            " ORDER BY ",
            $order,
            " LIMIT ",
            $limit,
            ")) AS posts"
        )
    };
}

pub(super) use posts_around;

/// The sequence that gives the IDs of posts, if each ID is larger than all earlier ones. With a
/// cache, a session keeps IDs for later transactions.
macro_rules! from_ascending_sequence {
    () => {
        "FROM pg_attribute
         JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
                       AND refclassid = 'pg_class'::regclass
         JOIN pg_sequence ON seqrelid = refobjid
        WHERE attrelid = 'posts'::regclass AND attname = 'id'
          AND seqcache = 1 AND seqincrement > 0 AND NOT seqcycle
          AND has_sequence_privilege(seqrelid, 'USAGE, SELECT')"
    };
}

statements! {
    FIND_LAST_ID() = concat!("SELECT pg_sequence_last_value(seqrelid) ", from_ascending_sequence!());
    // A prepared transaction has no process, and another name than before.
    FIND_TRANSACTIONS_WITH_IDS() = concat!(
        "SELECT virtualtransaction, pid IS NULL
           FROM pg_locks
          WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation IN (SELECT seqrelid ", from_ascending_sequence!(), ")"
    );
    // The ranges and the order name the index, as in `LIST_OWNED`.
    FIND_HIDDEN_RANGE(INT8, INT8) = concat!(
        "WITH newest AS MATERIALIZED (
             SELECT max(id) AS id
               FROM ((SELECT id FROM posts
                       WHERE (owner_id, published, id) >= ($1, TRUE, -9223372036854775807)
                         AND (owner_id, published, id) <= ($1, TRUE, $2)
                       ORDER BY owner_id DESC, published DESC, id DESC LIMIT 1)
                      UNION ALL
                     (SELECT id FROM posts
                       WHERE (owner_id, published, id) >= ($1, FALSE, -9223372036854775807)
                         AND (owner_id, published, id) <= ($1, FALSE, $2)
                       ORDER BY owner_id DESC, published DESC, id DESC LIMIT 1)) AS candidates
         )
         SELECT newest.id::bigint,
                (SELECT posts.id::bigint FROM posts
                  WHERE posts.id < newest.id AND ", is_open!("owner_id"), "
                  ORDER BY posts.id DESC LIMIT 1),
                (SELECT posts.id::bigint FROM posts ORDER BY posts.id LIMIT 1)
           FROM newest
          WHERE newest.id IS NOT NULL"
    );
}

#[async_trait]
impl HiddenRangeStore for PostgresSlices {
    /// The transactions are read after the ID, so that they include each that got it or an earlier
    /// one.
    async fn find_last_id(&self) -> Result<Option<LastId>> {
        // A server of Citus may commit its part of a transaction after the others.
        if self.0.is_distributed() {
            return Ok(None);
        }
        let rows = self.0.query(&FIND_LAST_ID, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(id) = column(row, 0)? else { return Ok(None) };
        let transactions = self.find_transactions().await?.into_iter().map(|(name, _)| name);
        Ok(Some(LastId { id, transactions: transactions.collect() }))
    }

    async fn find_running(&self, transactions: Vec<String>) -> Result<Vec<String>> {
        let running = self.find_transactions().await?.into_iter();
        let noted =
            running.filter(|(name, is_prepared)| *is_prepared || transactions.contains(name));
        Ok(noted.map(|(name, _)| name).collect())
    }

    async fn find_hidden_range(&self, account: UserId, up_to: i64) -> Result<Option<HiddenRange>> {
        let rows = self.0.query(&FIND_HIDDEN_RANGE, &[&account.0, &up_to]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(HiddenRange::new(column(row, 0)?, column(row, 1)?, column(row, 2)?)))
    }
}

impl PostgresSlices {
    /// Returns the transactions that have got an ID for a post, and whether each is prepared.
    async fn find_transactions(&self) -> Result<Vec<(String, bool)>> {
        let rows = self.0.query(&FIND_TRANSACTIONS_WITH_IDS, &[]).await?;
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
    }
}
