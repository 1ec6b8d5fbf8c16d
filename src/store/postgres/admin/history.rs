//! The table `schema_migrations`: which migrations the database has.

use jiff::Timestamp;
use tokio_postgres::{Client, Error, GenericClient};

use crate::store::migrate::{Applied, MigrateError, MigrateResult, Migration};

pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    revision text PRIMARY KEY,
    checksum text NOT NULL,
    -- Null while a migration that is not one transaction runs, up or down.
    applied_at timestamptz,
    -- Set for the first migration, if the reference service created the tables.
    adopted_from text,
    -- The oldest revision that a binary must know to work with a database that has this migration.
    compatible_from text
)";

/// For a history that an earlier release made. Only if the column is missing: the change waits for
/// every reader of the history.
pub(super) const ADD_COMPATIBLE_FROM: &str =
    "ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS compatible_from text";

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

/// Returns whether the table exists.
///
/// # Errors
/// [`MigrateError::ForeignHistory`] if another program has a table of this name.
async fn exists(client: &Client) -> MigrateResult<bool> {
    let row = client.query_one(COLUMNS, &[]).await?;
    let Some(columns) = row.try_get::<_, Option<Vec<String>>>(0)? else {
        return Ok(false);
    };
    if ["revision", "checksum", "applied_at", "adopted_from"]
        .iter()
        .all(|name| columns.iter().any(|column| column == name))
    {
        return Ok(true);
    }
    Err(MigrateError::ForeignHistory(describe_foreign(&columns)))
}

/// The columns of the table in alphabetical order, or null if there is none.
const COLUMNS: &str = "
    SELECT array_agg(attname::text ORDER BY attname)
      FROM pg_attribute
     WHERE attrelid = to_regclass('schema_migrations') AND attnum > 0 AND NOT attisdropped";

/// Says whose table the columns suggest, and the cure.
fn describe_foreign(columns: &[String]) -> String {
    let owner = match columns.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["dirty", "version"] => "it seems to be of golang-migrate",
        ["version"] => "it seems to be of Rails or dbmate",
        ["inserted_at", "version"] => "it seems to be of Ecto",
        _ => "it is of another program",
    };
    format!(
        "{owner} (its columns are {}); give the service a schema of its own: run `CREATE SCHEMA \
         post_api`, and add `?options=-c%20search_path%3Dpost_api` to DATABASE_URL",
        columns.join(", ")
    )
}

/// Returns `None` if the database has no history.
///
/// # Errors
/// [`MigrateError::ForeignHistory`] if another program has a table of this name.
pub(super) async fn read(client: &Client) -> MigrateResult<Option<History>> {
    if !exists(client).await? {
        return Ok(None);
    }
    // Earlier releases made the table without the last column.
    let rows = client
        .query(
            "SELECT revision, checksum, applied_at, adopted_from,
                    to_jsonb(recorded) ->> 'compatible_from'
               FROM schema_migrations AS recorded ORDER BY revision COLLATE \"C\"",
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
            compatible_from: row.try_get(4)?,
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
    let columns: Vec<String> = client.query_one(COLUMNS, &[]).await?.try_get(0)?;
    if !columns.iter().any(|column| column == "compatible_from") {
        client.batch_execute(ADD_COMPATIBLE_FROM).await?;
    }
    client
        .execute(
            "INSERT INTO schema_migrations
                    (revision, checksum, applied_at, adopted_from, compatible_from)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (revision) DO UPDATE
                SET checksum = excluded.checksum, applied_at = excluded.applied_at,
                    compatible_from = excluded.compatible_from",
            &[
                &migration.revision,
                &migration.checksum(),
                &applied_at,
                &adopted_from,
                &migration.compatible_from,
            ],
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
