//! Checks that the database has the schema that the statements of requests need. The first request
//! that reaches the database runs the check, because the database may start after the service.

use super::column::column;
use super::connection::Connection;
use super::statement::{Statement, statements};
use crate::store::migrate::{
    Applied, MigrateError, Migration, POSTGRES, POSTGRES_ADOPTED, count_applied, revision_at,
};
use crate::store::{Result, StoreError};

statements! {
    HAS_HISTORY() = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    READ_HISTORY() =
        "SELECT revision, checksum, applied_at
           FROM schema_migrations
          WHERE applied_at IS NOT NULL
          ORDER BY revision COLLATE \"C\"";
    // Whether the trigram index is complete, and whether the locale knows letters beyond ASCII. The
    // letter is computed, because a text with it fails in other encodings than UTF8.
    FIND_SEARCH_INDEX() =
        "SELECT EXISTS (SELECT FROM pg_index
                         WHERE indexrelid = to_regclass('post_search') AND indisvalid),
                getdatabaseencoding() = 'UTF8'
                AND chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 1078 ELSE 97 END)
                    ~ '[[:alpha:]]'";
}

/// The trigram index, and the letters that it indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SearchIndex {
    Missing,
    Ascii,
    Unicode,
}

/// Why the service cannot use a database.
#[derive(Debug, thiserror::Error)]
enum SchemaMismatch {
    #[error("the database is at {0}: run `post-api db upgrade`")]
    Behind(&'static str),
    #[error(transparent)]
    History(#[from] MigrateError),
}

/// Checks that the database is at the newest revision, and returns the state of its search index.
///
/// # Errors
/// [`StoreError::Unavailable`] if the revision is another one.
pub(super) async fn check(connection: &Connection) -> Result<SearchIndex> {
    check_revision(&read_history(connection).await?).map_err(StoreError::unavailable)?;
    let row = connection.query_one(&FIND_SEARCH_INDEX).await?;
    Ok(match (column(&row, 0)?, column(&row, 1)?) {
        (false, _) => SearchIndex::Missing,
        (true, false) => SearchIndex::Ascii,
        (true, true) => SearchIndex::Unicode,
    })
}

/// Whether the database is at the newest revision.
pub(super) async fn is_current(connection: &Connection) -> Result<bool> {
    Ok(check_revision(&read_history(connection).await?).is_ok())
}

fn check_revision(applied: &[Applied]) -> std::result::Result<(), SchemaMismatch> {
    let is_adopted = POSTGRES_ADOPTED.first().map(Migration::checksum)
        == applied.first().map(|first| first.checksum.clone());
    let migrations = if is_adopted { POSTGRES_ADOPTED } else { POSTGRES };
    let count = count_applied(migrations, applied)?;
    if count < migrations.len() {
        return Err(SchemaMismatch::Behind(revision_at(migrations, count)));
    }
    Ok(())
}

async fn read_history(connection: &Connection) -> Result<Vec<Applied>> {
    let row = connection.query_one(&HAS_HISTORY).await?;
    if !column::<bool>(&row, 0)? {
        return Ok(Vec::new());
    }
    let rows = connection.query(&READ_HISTORY, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                revision: column(row, 0)?,
                checksum: column(row, 1)?,
                applied_at: column(row, 2)?,
            })
        })
        .collect()
}
