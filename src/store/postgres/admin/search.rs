//! The search index. It needs the extension `pg_trgm`, and the role may lack the right to create
//! it. Without the extension the migration succeeds, and a later upgrade builds the index.

use tokio_postgres::{Client, Error};

pub(super) const REVISION: &str = "0005_post_search";
pub(super) const INDEX: &str = "index post_search on posts";

const NOTE: &str = "searches read the titles one by one, because this role cannot create the \
    extension pg_trgm: have a superuser run CREATE EXTENSION pg_trgm in this database, then run \
    `post-api db upgrade` again";

/// Whether the index exists and is complete.
pub(super) async fn has_index(client: &Client) -> Result<bool, Error> {
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_index
                             WHERE indexrelid = to_regclass('post_search')
                               AND indrelid = to_regclass('posts') AND indisvalid)",
            &[],
        )
        .await?
        .try_get(0)
}

/// Whether the role can use the extension.
pub(super) async fn has_extension(client: &Client) -> Result<bool, Error> {
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_extension
                             WHERE extname = 'pg_trgm'
                               AND has_schema_privilege(extnamespace, 'USAGE'))",
            &[],
        )
        .await?
        .try_get(0)
}

pub(super) async fn notes(client: &Client) -> Result<Vec<String>, Error> {
    Ok(if has_index(client).await? { Vec::new() } else { vec![NOTE.to_owned()] })
}
