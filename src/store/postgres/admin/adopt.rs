//! What a database is that has no history of ours: empty, the reference's, or somebody else's.

use tokio_postgres::Client;

use super::shape::{differences, read_tables};
use crate::store::{Result, StoreError};

/// The newest revision of the reference's Alembic migrations.
const ALEMBIC_HEAD: &str = "0cf86d064551";

/// The tables that the reference's migrations make, as `shape` writes them.
const REFERENCE: [&str; 19] = [
    "posts.content text not null",
    "posts.created_at timestamp with time zone not null default now()",
    "posts.id bigint not null numbered",
    "posts.owner_id bigint not null",
    "posts.published boolean not null default true",
    "posts.title text not null",
    "users.created_at timestamp with time zone not null default now()",
    "users.email text not null",
    "users.id bigint not null numbered",
    "users.password text not null",
    "votes.post_id bigint not null",
    "votes.user_id bigint not null",
    "posts: FOREIGN KEY (owner_id) REFERENCES users(id) ON DELETE CASCADE",
    "posts: PRIMARY KEY (id)",
    "users: PRIMARY KEY (id)",
    "users: UNIQUE (email)",
    "votes: FOREIGN KEY (post_id) REFERENCES posts(id) ON DELETE CASCADE",
    "votes: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
    "votes: PRIMARY KEY (post_id, user_id)",
];

/// A column that the course has which the reference was made in; nobody needs to fill it.
pub(super) const COURSE: &str = "users.phone_number text";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// There is none of the tables.
    Empty,
    /// Alembic's migrations made it, and came to this revision.
    Reference(String),
    /// What is not as it would have to be.
    Unknown(Vec<String>),
}

pub(super) async fn recognise(client: &Client) -> Result<Origin> {
    let tables = read_tables(client).await?;
    let alembic = read_alembic(client).await?;
    let revision = match (alembic.as_deref(), tables.is_empty()) {
        (None, true) => return Ok(Origin::Empty),
        (None, false) => {
            return Ok(unknown("there are tables of the service's names and no alembic_version"));
        }
        (Some(_), true) => {
            return Ok(unknown("alembic_version is there, and the tables are not"));
        }
        (Some([revision]), false) => revision.clone(),
        (Some(revisions), false) => {
            return Ok(unknown(&format!(
                "alembic_version has {revisions:?}, and not one revision"
            )));
        }
    };
    let expected = REFERENCE.map(str::to_owned);
    let found: Vec<String> = tables.into_iter().filter(|line| line != COURSE).collect();
    let differences = differences(&expected, &found);
    if differences.is_empty() {
        return Ok(Origin::Reference(revision));
    }
    Ok(Origin::Unknown(differences))
}

/// What an operator is told before it is adopted.
pub(super) async fn describe(client: &Client, revision: &str) -> Result<Vec<String>> {
    let mut lines = vec![format!(
        "the reference's Alembic migrations made this database (at {revision}): it is adopted"
    )];
    if revision != ALEMBIC_HEAD {
        lines.push(format!(
            "{revision} is not the reference's own revision ({ALEMBIC_HEAD}), but its tables are"
        ));
    }
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts),
                    (SELECT count(*) FROM votes)",
            &[],
        )
        .await?;
    let count = |place| row.try_get::<_, i64>(place).map_err(StoreError::internal);
    let (users, posts, votes) = (count(0)?, count(1)?, count(2)?);
    lines.push(format!("{users} users, {posts} posts and {votes} votes stay as they are"));
    Ok(lines)
}

fn unknown(line: &str) -> Origin {
    Origin::Unknown(vec![line.to_owned()])
}

/// The revisions that Alembic remembers, if it was here.
async fn read_alembic(client: &Client) -> Result<Option<Vec<String>>> {
    let row = client.query_one("SELECT to_regclass('alembic_version') IS NOT NULL", &[]).await?;
    if !row.try_get(0).map_err(StoreError::internal)? {
        return Ok(None);
    }
    let rows = client.query("SELECT version_num::text FROM alembic_version", &[]).await?;
    rows.iter()
        .map(|row| row.try_get(0).map_err(StoreError::internal))
        .collect::<Result<_>>()
        .map(Some)
}
