//! What the database must be before it is served from, and what it can do. Asked once, by the
//! first request that finds the database there: it may come later than the service.

use super::connection::Connection;
use super::row::column;
use super::statement::{Statement, statements};
use crate::store::migrate::{
    Applied, MigrateError, Migration, POSTGRES, POSTGRES_ADOPTED, position, revision_at,
};
use crate::store::{Result, StoreError};

statements! {
    HAS_HISTORY() = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    READ_HISTORY() =
        "SELECT revision, checksum, applied_at
           FROM schema_migrations
          WHERE applied_at IS NOT NULL
          ORDER BY revision COLLATE \"C\"";
    // The index of trigrams, if it is complete; and whether the locale knows other letters than
    // those of English.
    FIND_SEARCH_INDEX() =
        "SELECT EXISTS (SELECT FROM pg_index
                         WHERE indexrelid = to_regclass('post_search') AND indisvalid),
                'ж' ~ '[[:alpha:]]'";
}

/// What the index of trigrams can do in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SearchIndex {
    /// There is none.
    Missing,
    /// It knows the letters of English alone.
    Ascii,
    Unicode,
}

/// Why a database cannot be served from.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("the database is at {0}: run `post-api db upgrade`")]
    Behind(&'static str),
    #[error(transparent)]
    History(#[from] MigrateError),
}

/// Whether the schema is the one that the statements are written for.
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

fn check_revision(applied: &[Applied]) -> std::result::Result<(), Unfit> {
    let is_adopted = POSTGRES_ADOPTED.first().map(Migration::checksum)
        == applied.first().map(|first| first.checksum.clone());
    let at = position(if is_adopted { POSTGRES_ADOPTED } else { POSTGRES }, applied)?;
    if at < POSTGRES.len() { Err(Unfit::Behind(revision_at(POSTGRES, at))) } else { Ok(()) }
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
