//! Recounts the votes of every post in one snapshot, compares the sums with the stored counts, finds
//! rows without their post or user, and mends both.

use tokio_postgres::{Client, Error};

use super::distribution;
use super::lock::Retry;
use crate::store::migrate::MigrateResult;

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
SELECT 0 AS part, 0::bigint AS post,
       format('%s of %s name a row of %s that is not there', count, child, parent) AS sentence
  FROM orphans WHERE count > 0
UNION ALL
SELECT 1, posts.id::bigint,
       format('post %s: the count says %s, its votes add up to %s', posts.id,
              coalesce(vote_counts.votes, 0), coalesce(summed.votes, 0))
  FROM posts
  LEFT JOIN vote_counts ON vote_counts.post_id = posts.id
  LEFT JOIN summed ON summed.post_id = posts.id
 WHERE coalesce(vote_counts.votes, 0) <> coalesce(summed.votes, 0)
 ORDER BY part, post, sentence";

pub(super) async fn find_wrong(client: &Client) -> Result<Vec<String>, Error> {
    let (mut wrong, counts) = find_by_kind(client).await?;
    wrong.extend(counts);
    Ok(wrong)
}

/// Describes the rows without their post or user, and the posts whose count is wrong.
pub(super) async fn find_by_kind(client: &Client) -> Result<(Vec<String>, Vec<String>), Error> {
    let (mut orphans, mut counts) = (Vec::new(), Vec::new());
    for table in ["events", "sessions"] {
        orphans.extend(find_orphans_of_users(client, table).await?);
    }
    for row in client.query(FIND, &[]).await? {
        let is_orphan = row.try_get::<_, i32>("part")? == 0;
        let found = if is_orphan { &mut orphans } else { &mut counts };
        found.push(row.try_get("sentence")?);
    }
    Ok((orphans, counts))
}

/// Describes the rows of a table that an earlier revision does not have.
async fn find_orphans_of_users(client: &Client, table: &str) -> Result<Option<String>, Error> {
    let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    if !exists.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let count = format!(
        "SELECT count(*) FROM {table}
          WHERE NOT EXISTS (SELECT FROM users WHERE users.id = {table}.user_id)"
    );
    let count: i64 = client.query_one(&count, &[]).await?.try_get(0)?;
    Ok((count > 0).then(|| format!("{count} of {table} name a row of users that is not there")))
}

/// How many rows one transaction mends. Votes on its posts wait for it.
const BATCH: usize = 200;

/// The tables whose rows can be orphans: name, key, and condition. A post is never deleted, as it has
/// content.
const ORPHANS: [(&str, &str, &str); 4] = [
    (
        "votes",
        "post_id, user_id",
        "NOT EXISTS (SELECT FROM posts WHERE posts.id = votes.post_id)
            OR NOT EXISTS (SELECT FROM users WHERE users.id = votes.user_id)",
    ),
    (
        "vote_counts",
        "post_id",
        "NOT EXISTS (SELECT FROM posts WHERE posts.id = vote_counts.post_id)",
    ),
    ("sessions", "id", "NOT EXISTS (SELECT FROM users WHERE users.id = sessions.user_id)"),
    ("events", "id", "NOT EXISTS (SELECT FROM users WHERE users.id = events.user_id)"),
];

/// Deletes orphans, then mends counts. Describes what changed.
pub(super) async fn repair(client: &mut Client, retry: &Retry) -> MigrateResult<Vec<String>> {
    let mut done = Vec::new();
    for (table, key, condition) in ORPHANS {
        // The lock order of the triggers: the keys begin with the post.
        let delete = format!(
            "DELETE FROM {table} WHERE ({key}) IN
                 (SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT {BATCH})"
        );
        let mut deleted = 0;
        loop {
            match client.execute(&delete, &[]).await {
                Ok(0) => break,
                Ok(count) => deleted += count,
                Err(error) => retry.after(client, error).await?,
            }
        }
        if deleted > 0 {
            done.push(format!("deleted {deleted} of {table} without their post or user"));
        }
    }
    let mut wrong: Vec<i64> = Vec::new();
    for row in client.query(FIND, &[]).await? {
        if row.try_get::<_, i32>("part")? == 1 {
            wrong.push(row.try_get("post")?);
        }
    }
    // Citus locks rows of one shard only.
    let batch = if distribution::is_distributed(client).await? { 1 } else { BATCH };
    for batch in wrong.chunks(batch) {
        loop {
            match mend(client, batch).await {
                Ok(mended) => break done.extend(mended),
                Err(error) => retry.after(client, error).await?,
            }
        }
    }
    Ok(done)
}

/// Recounts the posts. Each writer of votes holds the count of the post until the end of its
/// transaction. After the counts are locked, the votes that a new statement sees are therefore those
/// that the counts must contain; votes of later transactions are added when this one ends.
async fn mend(client: &mut Client, posts: &[i64]) -> Result<Vec<String>, Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute(
            "INSERT INTO vote_counts (post_id, votes)
             SELECT id, 0 FROM posts WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE
             ON CONFLICT DO NOTHING",
            &[&posts],
        )
        .await?;
    transaction
        .execute(
            "SELECT post_id FROM vote_counts WHERE post_id = ANY ($1) ORDER BY post_id FOR UPDATE",
            &[&posts],
        )
        .await?;
    let rows = transaction
        .query(
            "UPDATE vote_counts AS counted SET votes = before.sum
               FROM (SELECT post_id, votes AS kept,
                            (SELECT coalesce(sum(dir), 0) FROM votes
                              WHERE votes.post_id = vote_counts.post_id) AS sum
                       FROM vote_counts WHERE post_id = ANY ($1)) AS before
              WHERE counted.post_id = before.post_id AND counted.votes <> before.sum
             RETURNING counted.post_id, kept, counted.votes",
            &[&posts],
        )
        .await?;
    let mut mended = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect::<Result<Vec<(i64, i64, i64)>, Error>>()?;
    transaction.commit().await?;
    mended.sort_unstable();
    let describe =
        |(post, kept, votes)| format!("post {post}: the count was {kept}, and is {votes}");
    Ok(mended.into_iter().map(describe).collect())
}
