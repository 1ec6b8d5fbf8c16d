//! The table `schema_migrations`: which migrations the database has.

use jiff::Timestamp;
use tokio_postgres::{Client, Error, GenericClient};

use crate::store::migrate::{Applied, Migration};

pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    revision text PRIMARY KEY,
    checksum text NOT NULL,
    -- Null while a migration that is not one transaction runs, up or down.
    applied_at timestamptz,
    -- Set for the first migration, if the reference service created the tables.
    adopted_from text
)";

#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) applied: Vec<Applied>,
    /// The migration that was started, up or down, and did not finish.
    pub(super) unfinished: Option<Applied>,
    /// The origin of an adopted database. Its first migration is the one for existing tables.
    pub(super) adopted_from: Option<String>,
}

impl History {
    pub(super) fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.unfinished.is_none()
    }

    pub(super) fn has(&self, revision: &str) -> bool {
        self.applied.iter().any(|applied| applied.revision == revision)
    }
}

async fn exists(client: &Client) -> Result<bool, Error> {
    client.query_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[]).await?.try_get(0)
}

/// Returns `None` if the database has no history.
pub(super) async fn read(client: &Client) -> Result<Option<History>, Error> {
    if !exists(client).await? {
        return Ok(None);
    }
    let rows = client
        .query(
            "SELECT revision, checksum, applied_at, adopted_from
               FROM schema_migrations ORDER BY revision COLLATE \"C\"",
            &[],
        )
        .await?;
    let mut history = History::default();
    for row in rows {
        let applied_at: Option<Timestamp> = row.try_get(2)?;
        let applied = Applied {
            revision: row.try_get(0)?,
            checksum: row.try_get(1)?,
            applied_at: applied_at.unwrap_or_default(),
        };
        if let Some(adopted_from) = row.try_get(3)? {
            history.adopted_from = Some(adopted_from);
        }
        match applied_at {
            Some(_) => history.applied.push(applied),
            None => history.unfinished = Some(applied),
        }
    }
    Ok(Some(history))
}

/// Records the migration as applied, or as unfinished if `applied_at` is `None`.
pub(super) async fn record_applied(
    client: &impl GenericClient,
    migration: &Migration,
    applied_at: Option<Timestamp>,
    adopted_from: Option<&str>,
) -> Result<(), Error> {
    client.batch_execute(CREATE).await?;
    client
        .execute(
            "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)
             ON CONFLICT (revision) DO UPDATE
                SET checksum = excluded.checksum, applied_at = excluded.applied_at",
            &[&migration.revision, &migration.checksum(), &applied_at, &adopted_from],
        )
        .await?;
    Ok(())
}

/// Removes the migration from the history. For the first migration, drops the whole table.
pub(super) async fn remove_applied(
    client: &impl GenericClient,
    migration: &Migration,
    is_first: bool,
) -> Result<(), Error> {
    if is_first {
        return client.batch_execute("DROP TABLE IF EXISTS schema_migrations").await;
    }
    client
        .execute("DELETE FROM schema_migrations WHERE revision = $1", &[&migration.revision])
        .await?;
    Ok(())
}
