//! What a database remembers of its migrations, and whether its counts are right.

use jiff::Timestamp;
use tokio_postgres::{Client, Error, Row};

use crate::store::migrate::{Applied, Direction, Migration, Step};
use crate::store::{Result, StoreError};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    revision text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL
)";

pub(super) async fn read(client: &Client) -> Result<Vec<Applied>> {
    const EXISTS: &str = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    const READ: &str =
        "SELECT revision, checksum, applied_at FROM schema_migrations ORDER BY revision";
    let row = client.query_one(EXISTS, &[]).await?;
    if !row.try_get(0).map_err(StoreError::internal)? {
        return Ok(Vec::new());
    }
    let rows = client.query(READ, &[]).await?;
    let read = |row: &Row| -> std::result::Result<Applied, Error> {
        Ok(Applied {
            revision: row.try_get(0)?,
            checksum: row.try_get(1)?,
            applied_at: row.try_get(2)?,
        })
    };
    rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(StoreError::internal)
}

/// The statements that remember a step. The way back to the start leaves nothing behind.
pub(super) fn remember(step: Step, is_first: bool, now: Timestamp) -> String {
    let revision = step.migration.revision;
    match step.direction {
        Direction::Up => format!("{CREATE};\n{}", insert(step.migration, now)),
        Direction::Down if is_first => "DROP TABLE schema_migrations".to_owned(),
        Direction::Down => format!("DELETE FROM schema_migrations WHERE revision = '{revision}'"),
    }
}

/// The statements that declare these to be applied, and no others.
pub(super) fn rewrite<'a>(
    migrations: impl Iterator<Item = &'a Migration>,
    now: Timestamp,
) -> String {
    let mut sql = format!("BEGIN; {CREATE}; DELETE FROM schema_migrations;\n");
    for migration in migrations {
        sql.push_str(&insert(migration, now));
        sql.push_str(";\n");
    }
    sql + "COMMIT"
}

/// The values are ours: names of files, Base64, a time.
fn insert(migration: &Migration, now: Timestamp) -> String {
    format!(
        "INSERT INTO schema_migrations VALUES ('{}', '{}', '{now}')",
        migration.revision,
        migration.checksum(),
    )
}

pub(super) async fn has_search_index(client: &Client) -> Result<bool> {
    const FIND: &str = "SELECT EXISTS (SELECT FROM pg_index
         WHERE indexrelid = to_regclass('post_search') AND indisvalid)";
    client.query_one(FIND, &[]).await?.try_get(0).map_err(StoreError::internal)
}

pub(super) async fn wrong_counts(client: &Client) -> Result<Vec<String>> {
    const FIND: &str =
        "SELECT format('post %s: the count says %s, its votes add up to %s', posts.id,
                coalesce(vote_counts.votes, 0), coalesce(summed.votes, 0))
           FROM posts
           LEFT JOIN vote_counts ON vote_counts.post_id = posts.id
           LEFT JOIN (SELECT post_id, sum(dir) AS votes FROM votes GROUP BY post_id) AS summed
             ON summed.post_id = posts.id
          WHERE coalesce(vote_counts.votes, 0) <> coalesce(summed.votes, 0)
          ORDER BY posts.id";
    let rows = client.query(FIND, &[]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(StoreError::internal)).collect()
}
