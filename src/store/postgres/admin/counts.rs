//! Recounts the votes of every post in one snapshot, and compares the sums with the stored counts.

use tokio_postgres::{Client, Error};

/// Rows without their post or user come first. A session with `session_replication_role = replica`
/// can leave them, because it writes with triggers and foreign keys off.
const FIND: &str = "
WITH orphans (child, parent, count) AS (
    SELECT 'posts', 'users', count(*) FROM posts
     WHERE NOT EXISTS (SELECT FROM users WHERE users.id = posts.owner_id)
    UNION ALL
    SELECT 'vote_counts', 'posts', count(*) FROM vote_counts
     WHERE NOT EXISTS (SELECT FROM posts WHERE posts.id = vote_counts.post_id)
    UNION ALL
    SELECT 'votes', 'posts', count(*) FROM votes
     WHERE NOT EXISTS (SELECT FROM posts WHERE posts.id = votes.post_id)
    UNION ALL
    SELECT 'votes', 'users', count(*) FROM votes
     WHERE NOT EXISTS (SELECT FROM users WHERE users.id = votes.user_id)
), summed AS (
    SELECT post_id, sum(dir) AS votes FROM votes GROUP BY post_id
)
SELECT 0 AS part, 0 AS post,
       format('%s of %s name a row of %s that is not there', count, child, parent) AS sentence
  FROM orphans WHERE count > 0
UNION ALL
SELECT 1, posts.id,
       format('post %s: the count says %s, its votes add up to %s', posts.id,
              coalesce(vote_counts.votes, 0), coalesce(summed.votes, 0))
  FROM posts
  LEFT JOIN vote_counts ON vote_counts.post_id = posts.id
  LEFT JOIN summed ON summed.post_id = posts.id
 WHERE coalesce(vote_counts.votes, 0) <> coalesce(summed.votes, 0)
 ORDER BY part, post, sentence";

pub(super) async fn find_wrong(client: &Client) -> Result<Vec<String>, Error> {
    client.query(FIND, &[]).await?.iter().map(|row| row.try_get("sentence")).collect()
}
