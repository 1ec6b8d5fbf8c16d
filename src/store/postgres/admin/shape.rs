//! A schema in lines of text that can be compared: of ours, of the reference's, of any version of
//! PostgreSQL.
//!
//! The reference numbers with integers and keeps text in varchar, which makes no difference to any
//! statement of the service, and so makes none here.

use tokio_postgres::Client;

use crate::store::{Result, StoreError};

/// Columns and constraints of the three tables, whoever made them.
const TABLES: &str = "
    SELECT format('%s.%s %s%s%s', relname, attname,
                  CASE format_type(atttypid, atttypmod)
                      WHEN 'integer' THEN 'bigint' WHEN 'character varying' THEN 'text'
                      ELSE format_type(atttypid, atttypmod) END,
                  CASE WHEN attnotnull THEN ' not null' END,
                  CASE WHEN attidentity <> '' OR pg_get_expr(adbin, adrelid) LIKE 'nextval(%'
                           THEN ' numbered'
                       WHEN adbin IS NOT NULL THEN ' default ' || pg_get_expr(adbin, adrelid) END)
      FROM pg_class
      JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
       AND relname IN ('users', 'posts', 'votes', 'vote_counts')
     UNION ALL
    SELECT format('%s: %s', relname,
                  CASE pg_get_constraintdef(pg_constraint.oid)
                      WHEN 'PRIMARY KEY (user_id, post_id)' THEN 'PRIMARY KEY (post_id, user_id)'
                      ELSE pg_get_constraintdef(pg_constraint.oid) END)
      FROM pg_class
      JOIN pg_constraint ON conrelid = pg_class.oid AND contype IN ('p', 'u', 'f', 'c')
     WHERE relnamespace = current_schema()::regnamespace
       AND relname IN ('users', 'posts', 'votes', 'vote_counts')
     ORDER BY 1";

/// What else migrations make: indexes that are no constraint's, triggers, functions.
const ADDITIONS: &str = "
    SELECT 'index ' || replace(replace(pg_get_indexdef(indexrelid),
                               quote_ident(current_schema()) || '.', ''), '(title)::text', 'title')
           || CASE WHEN indisvalid THEN '' ELSE ' (unfinished)' END
      FROM pg_index
      JOIN pg_class ON pg_class.oid = indrelid
     WHERE relnamespace = current_schema()::regnamespace
       AND relname IN ('users', 'posts', 'votes', 'vote_counts')
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
     UNION ALL
    SELECT replace(pg_get_triggerdef(pg_trigger.oid), quote_ident(current_schema()) || '.', '')
           || CASE WHEN tgenabled = 'O' THEN '' ELSE ' (disabled)' END
      FROM pg_trigger
      JOIN pg_class ON pg_class.oid = tgrelid
     WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
       AND relname IN ('users', 'posts', 'votes', 'vote_counts')
     UNION ALL
    SELECT 'function ' || proname || ' ' || md5(prosrc)
      FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'count_votes_%'
     ORDER BY 1";

pub(super) async fn read_tables(client: &Client) -> Result<Vec<String>> {
    read(client, TABLES).await
}

pub(super) async fn read_all(client: &Client) -> Result<Vec<String>> {
    let mut lines = read(client, TABLES).await?;
    lines.extend(read(client, ADDITIONS).await?);
    Ok(lines)
}

async fn read(client: &Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query(sql, &[]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(StoreError::internal)).collect()
}

/// What of the one is not in the other, as sentences.
pub(super) fn differences(expected: &[String], found: &[String]) -> Vec<String> {
    let missing = expected.iter().filter(|line| !found.contains(line));
    let strange = found.iter().filter(|line| !expected.contains(line));
    missing
        .map(|line| format!("missing: {line}"))
        .chain(strange.map(|line| format!("unexpected: {line}")))
        .collect()
}
