//! The locks that statements on votes share.
//!
//! A change of several votes locks votes, posts and counts, and each trigger locks its counts in
//! their own order. Without another lock, two such changes can wait for each other. A statement
//! that changes votes therefore takes one advisory lock for each post before it locks a row.
//!
//! The statement of a batch waits only briefly for a row, because all its requests wait with it.
//! Only other programs and single requests hold a row for longer. An advisory lock is held by
//! statements that wait briefly themselves, so it has the timeout of the connection.

use crate::domain::post::PostId;

/// Returns the keys of the locks of posts in the order in which a statement takes them.
pub(super) fn post_lock_keys(posts: &[i64]) -> Vec<i32> {
    let mut keys: Vec<i32> = posts.iter().map(|post| post_lock_key(PostId(*post))).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The same key as in [`lock_posts!`].
fn post_lock_key(PostId(id): PostId) -> i32 {
    i32::try_from(id % i64::from(i32::MAX)).unwrap_or_default()
}

/// A query that takes the advisory locks of posts, until the end of the transaction. `$ids` is a
/// query for a column of post IDs. A statement that knows the posts from its parameters passes
/// [`post_lock_keys`] instead, which costs less.
///
/// Use it as a materialized step, and begin the change with `(SELECT count(*) FROM locked) > 0`.
/// PostgreSQL evaluates this condition once, before it reads the first row. The step returns a
/// number, because Citus cannot pass on a column of the type void. The class of the locks is "vote"
/// in ASCII, so they never meet the locks of a migration or of another program. Two posts can share
/// a lock. The locks need no right on any table.
macro_rules! lock_posts {
    ($ids:expr) => {
        concat!(
            "SELECT count(pg_advisory_xact_lock(1987015781, key))
               FROM (SELECT DISTINCT (post_id::bigint % 2147483647)::integer AS key
                       FROM (",
            $ids,
            ") AS posts (post_id)
                      ORDER BY key) AS keys"
        )
    };
}

/// A query that takes the locks of the [`post_lock_keys`] in the parameter, and then makes the rest
/// of the statement wait as [`wait_briefly!`] does. The change begins with
/// `(SELECT count(*) FROM locked) > 0`.
macro_rules! lock_posts_briefly {
    ($keys:literal) => {
        concat!(
            "SELECT ",
            wait_briefly!(),
            " FROM (SELECT count(pg_advisory_xact_lock(1987015781, key))
                      FROM unnest(",
            $keys,
            ") AS keys (key)) AS locks"
        )
    };
}

/// An expression that makes the rest of the statement wait at most 100 ms for a lock. Evaluate it
/// in a step of its own, before the first row is locked.
macro_rules! wait_briefly {
    () => {
        "set_config('lock_timeout', '100ms', true)"
    };
}

pub(super) use lock_posts;
pub(super) use lock_posts_briefly;
pub(super) use wait_briefly;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_lock_keys_are_sorted_remainders() {
        let posts = [9, 1, 9, -1, i64::from(i32::MAX), i64::MIN, i64::MAX];
        assert_eq!(post_lock_keys(&posts), [-2, -1, 0, 1, 9]);
    }
}
