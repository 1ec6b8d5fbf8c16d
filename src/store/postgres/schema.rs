//! Checks that the database has the schema that the statements of requests need. The first request
//! that reaches the database runs the check, because the database may start after the service.

use super::column::column;
use super::connection::Connection;
use super::statement::{Statement, statements};
use crate::store::migrate::{
    Applied, MigrateError, Migration, POSTGRES, POSTGRES_ADOPTED, POSTGRES_SHAPES, count_applied,
    revision_at,
};
use crate::store::{Result, StoreError};

statements! {
    unfenced;
    HAS_HISTORY() =
        "SELECT count(*) = 3 FROM pg_attribute
          WHERE attrelid = to_regclass('schema_migrations')
            AND attname IN ('revision', 'checksum', 'applied_at') AND NOT attisdropped";
    // Earlier releases made the table without the column compatible_from.
    READ_HISTORY() =
        "SELECT revision, checksum, applied_at, to_jsonb(recorded) ->> 'compatible_from'
           FROM schema_migrations AS recorded
          WHERE applied_at IS NOT NULL
          ORDER BY revision COLLATE \"C\"";
    // The tables that are missing, or that another schema of the search path hides.
    FIND_HIDDEN_TABLES(TEXT_ARRAY) =
        "SELECT name
           FROM unnest($1) AS name
           LEFT JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name))
          WHERE relnamespace IS DISTINCT FROM
                (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migrations'))";
    // Whether the trigram index is complete, and whether the locale knows letters beyond ASCII. The
    // letter is computed, because a text with it fails in other encodings than UTF8.
    FIND_SEARCH_INDEX() =
        "SELECT EXISTS (SELECT FROM pg_index
                         WHERE indexrelid = to_regclass('post_search')
                           AND indrelid = to_regclass('posts') AND indisvalid),
                getdatabaseencoding() = 'UTF8'
                AND chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 1078 ELSE 97 END)
                    ~ '[[:alpha:]]'";
    // Citus adds this trigger to each table that it distributes.
    IS_DISTRIBUTED() =
        "SELECT EXISTS (SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
                         WHERE tgrelid = to_regclass('posts') AND tgisinternal
                           AND proname = 'citus_truncate_trigger')";
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
    #[error(
        "the tables {0} are missing, or a schema of the search path hides them: run `post-api db check`"
    )]
    Hidden(String),
    #[error(transparent)]
    History(#[from] MigrateError),
}

/// Checks that this binary can work with the schema of the database, and returns the state of its search index.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot.
pub(super) async fn check(connection: &Connection) -> Result<SearchIndex> {
    find_mismatch(connection).await?.map_or(Ok(()), |found| Err(StoreError::unavailable(found)))?;
    let row = connection.query_one(&FIND_SEARCH_INDEX).await?;
    Ok(match (column(&row, 0)?, column(&row, 1)?) {
        (false, _) => SearchIndex::Missing,
        (true, false) => SearchIndex::Ascii,
        (true, true) => SearchIndex::Unicode,
    })
}

/// Whether Citus has distributed the tables.
pub(super) async fn is_distributed(connection: &Connection) -> Result<bool> {
    column(&connection.query_one(&IS_DISTRIBUTED).await?, 0)
}

/// Whether the database has a schema that this binary can work with.
pub(super) async fn is_current(connection: &Connection) -> Result<bool> {
    Ok(find_mismatch(connection).await?.is_none())
}

async fn find_mismatch(connection: &Connection) -> Result<Option<SchemaMismatch>> {
    if let Err(mismatch) = check_revision(&read_history(connection).await?) {
        return Ok(Some(mismatch));
    }
    let shape = POSTGRES_SHAPES.last().copied().unwrap_or_default();
    let tables = shape.lines().filter_map(|line| line.strip_prefix("table "));
    let tables: Vec<&str> = tables.filter_map(|line| line.split(": ").next()).collect();
    let rows = connection.query(&FIND_HIDDEN_TABLES, &[&tables]).await?;
    let hidden = rows.iter().map(|row| column(row, 0)).collect::<Result<Vec<String>>>()?;
    let is_complete = hidden.is_empty();
    Ok((!is_complete).then(|| SchemaMismatch::Hidden(hidden.join(", "))))
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
                compatible_from: column(row, 3)?,
            })
        })
        .collect()
}
