//! The store of a process: PostgreSQL or SQLite.
//!
//! A method returns `None` if the account of the caller does not exist, is disabled, or does not
//! accept the token.

use sqlx::Result;

use crate::caller::Caller;
use crate::postgres::PostgresStore;
use crate::posts_and_votes::{NewPost, Post, PostWithVotes, Vote, VoteOutcome};
use crate::sqlite::SqliteStore;

/// Connections of a pool.
pub const POOL_SIZE: u32 = 16;

#[derive(Clone)]
pub enum Store {
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens the database of a URL: `postgresql://…` or `sqlite:PATH`.
    pub async fn open(url: &str) -> Result<Self> {
        Ok(match url.strip_prefix("sqlite:") {
            Some(path) => Self::Sqlite(SqliteStore::open(path).await?),
            None => Self::Postgres(PostgresStore::connect(url).await?),
        })
    }

    /// Returns the post, if the caller sees it.
    pub async fn find_post(
        &self,
        caller: Caller,
        id: i64,
    ) -> Result<Option<Option<PostWithVotes>>> {
        match self {
            Self::Postgres(store) => store.find_post(caller, id).await,
            Self::Sqlite(store) => store.find_post(caller, id).await,
        }
    }

    /// Returns the newest published posts.
    pub async fn list_posts(
        &self,
        caller: Caller,
        limit: i64,
    ) -> Result<Option<Vec<PostWithVotes>>> {
        match self {
            Self::Postgres(store) => store.list_posts(caller, limit).await,
            Self::Sqlite(store) => store.list_posts(caller, limit).await,
        }
    }

    pub async fn create_post(&self, caller: Caller, new: NewPost) -> Result<Option<Post>> {
        match self {
            Self::Postgres(store) => store.create_post(caller, new).await,
            Self::Sqlite(store) => store.create_post(caller, new).await,
        }
    }

    pub async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<Option<VoteOutcome>> {
        match self {
            Self::Postgres(store) => store.cast_vote(caller, vote).await,
            Self::Sqlite(store) => store.cast_vote(caller, vote).await,
        }
    }
}
