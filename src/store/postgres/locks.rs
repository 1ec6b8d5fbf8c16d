//! The locks that statements on votes share.
//!
//! A change of several votes locks votes, posts and counts, and each trigger locks its counts in
//! their own order. Without another lock, two such changes can wait for each other. A statement
//! that changes votes therefore takes one advisory lock for each post before it locks a row.

/// A query that takes the advisory locks of posts, until the end of the transaction. `$ids` is a
/// query for a column of post IDs.
///
/// Use it as a materialized step, and begin the change with `(SELECT count(*) FROM locked) > 0`.
/// PostgreSQL evaluates this condition once, before it reads the first row. The class of the locks
/// is "vote" in ASCII, so they never meet the locks of a migration or of another program. Two posts
/// can share a lock. The locks need no right on any table.
macro_rules! lock_posts {
    ($ids:expr) => {
        concat!(
            "SELECT pg_advisory_xact_lock(1987015781, key)
               FROM (SELECT DISTINCT (post_id::bigint % 2147483647)::integer AS key
                       FROM (",
            $ids,
            ") AS posts (post_id)
                      ORDER BY key) AS keys"
        )
    };
}

pub(super) use lock_posts;
