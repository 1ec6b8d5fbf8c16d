//! The checks that look at a sample of the rows. Each statement reads one row per place of the
//! sample, through the primary key.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::store::inspection::{
    Finding, MANY_KEYS, judge_counts, judge_due_keys, judge_hashes, judge_orphans, sample_places,
};

const COUNTS: &str = "
    WITH sampled AS MATERIALIZED (
        SELECT DISTINCT found.id FROM unnest($1::bigint[]) AS place
         CROSS JOIN LATERAL (SELECT id FROM posts WHERE id >= place ORDER BY id LIMIT 1) AS found
    )
    SELECT id::bigint,
           coalesce((SELECT votes FROM vote_counts WHERE post_id = sampled.id), 0)::bigint,
           coalesce((SELECT sum(dir) FROM votes WHERE post_id = sampled.id), 0)::bigint
      FROM sampled ORDER BY id";

/// Columns, each with the table whose row it names.
type References = &'static [(&'static str, &'static str)];

/// The tables whose rows can be orphans: name, key by which the sample is taken, the columns of the
/// order, and the references.
const ORPHANS: [(&str, &str, &str, References); 5] = [
    ("posts", "id", "id, owner_id", &[("owner_id", "users")]),
    ("vote_counts", "post_id", "post_id", &[("post_id", "posts")]),
    ("votes", "post_id", "post_id, user_id", &[("post_id", "posts"), ("user_id", "users")]),
    ("sessions", "id", "id, user_id", &[("user_id", "users")]),
    ("events", "id", "id, user_id", &[("user_id", "users")]),
];

/// Only the kind of a hash is read.
const HASHES: &str = "
    WITH sampled AS MATERIALIZED (
        SELECT DISTINCT found.* FROM unnest($1::bigint[]) AS place
         CROSS JOIN LATERAL (SELECT id, left(password, 10) AS beginning FROM users
                              WHERE id >= place ORDER BY id LIMIT 1) AS found
    )
    SELECT count(*) FILTER (WHERE beginning LIKE '$argon2id$%'),
           count(*) FILTER (WHERE beginning LIKE '$argon2i$%' OR beginning LIKE '$argon2d$%'
                               OR beginning LIKE '$2%'),
           count(*)
      FROM sampled";

const DUE_KEYS: &str = "SELECT count(*) FROM
    (SELECT FROM idempotency_keys WHERE expires_at <= $1 LIMIT $2) AS due";

pub(super) async fn inspect_counts(client: &Client) -> Result<Finding, Error> {
    let mut counts = Vec::new();
    for row in client.query(COUNTS, &[&places(client, "posts", "id").await?]).await? {
        counts.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    Ok(judge_counts(&counts))
}

pub(super) async fn inspect_orphans(client: &Client) -> Result<Finding, Error> {
    let mut orphans = Vec::new();
    for (table, key, columns, references) in ORPHANS {
        let places = places(client, table, key).await?;
        for (column, parent) in references {
            let count = format!(
                "WITH sampled AS MATERIALIZED (
                     SELECT DISTINCT found.* FROM unnest($1::bigint[]) AS place
                      CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE {key} >= place
                                           ORDER BY {columns} LIMIT 1) AS found
                 )
                 SELECT count(*) FROM sampled
                  WHERE (SELECT id FROM {parent} WHERE id = sampled.{column}) IS NULL"
            );
            let count: i64 = client.query_one(&count, &[&places]).await?.try_get(0)?;
            if count > 0 {
                orphans
                    .push(format!("{count} of {table} name a row of {parent} that is not there"));
            }
        }
    }
    Ok(judge_orphans(&orphans, "a sample of each table"))
}

pub(super) async fn inspect_hashes(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one(HASHES, &[&places(client, "users", "id").await?]).await?;
    let (strong, weak, all): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(judge_hashes(strong, weak, all - strong - weak))
}

pub(super) async fn inspect_keys(client: &Client, now: Timestamp) -> Result<Finding, Error> {
    let row = client.query_one(DUE_KEYS, &[&now, &(MANY_KEYS + 1)]).await?;
    Ok(judge_due_keys(row.try_get(0)?))
}

/// Returns the places of a sample of the table, none if the table is empty.
async fn places(client: &Client, table: &str, key: &str) -> Result<Vec<i64>, Error> {
    let range = format!("SELECT min({key})::bigint, max({key})::bigint FROM {table}");
    let row = client.query_one(&range, &[]).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (Some(first), Some(last)) => sample_places((first, last)),
        _ => Vec::new(),
    })
}
