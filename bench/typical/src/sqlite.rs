//! The operations in SQLite: readers of their own, and one connection that writes.

use chrono::{DateTime, Utc};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Result, Row as _, query};

use crate::caller::Caller;
use crate::posts_and_votes::{NewPost, Post, PostWithVotes, Vote, VoteOutcome};
use crate::store::POOL_SIZE;

const FIND_POST: &str = "
    SELECT posts.id, posts.title, posts.content, posts.published, posts.created_at, posts.owner_id,
           (SELECT votes FROM vote_counts WHERE post_id = posts.id)
      FROM users
      LEFT JOIN posts
        ON posts.id = ?1
       AND (NOT EXISTS (SELECT 1 FROM account_deletions)
            OR posts.owner_id NOT IN (SELECT user_id FROM account_deletions))
       AND (posts.published OR posts.owner_id = users.id)
     WHERE users.id = ?2 AND users.tokens_valid_from BETWEEN ?3 AND ?4
       AND users.disabled_at IS NULL";

const FIND_CALLER: &str = "
    SELECT 1 FROM users
     WHERE id = ?1 AND tokens_valid_from BETWEEN ?2 AND ?3 AND disabled_at IS NULL";

const LIST_POSTS: &str = "
    SELECT posts.id, posts.title, posts.content, posts.published, posts.created_at, posts.owner_id,
           (SELECT votes FROM vote_counts WHERE post_id = posts.id)
      FROM posts INDEXED BY posts_published
     WHERE (NOT EXISTS (SELECT 1 FROM account_deletions)
            OR posts.owner_id NOT IN (SELECT user_id FROM account_deletions))
       AND posts.published = 1
     ORDER BY posts.id DESC LIMIT ?1";

const CREATE_POST: &str = "
    INSERT INTO posts (title, content, published, created_at, owner_id)
    SELECT ?1, ?2, ?3, ?4, id
      FROM users
     WHERE id = ?5 AND tokens_valid_from BETWEEN ?6 AND ?7 AND disabled_at IS NULL";

const FIND_VOTE: &str = "
    SELECT posts.id, votes.dir
      FROM users
      LEFT JOIN posts
        ON posts.id = ?1
       AND (NOT EXISTS (SELECT 1 FROM account_deletions)
            OR posts.owner_id NOT IN (SELECT user_id FROM account_deletions))
       AND (posts.published OR posts.owner_id = users.id)
      LEFT JOIN votes ON votes.post_id = posts.id AND votes.user_id = users.id
     WHERE users.id = ?2 AND users.tokens_valid_from BETWEEN ?3 AND ?4
       AND users.disabled_at IS NULL";

const ADD_VOTE: &str = "INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)";

const CHANGE_VOTE: &str = "UPDATE votes SET dir = ?3 WHERE post_id = ?1 AND user_id = ?2";

#[derive(Clone)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl SqliteStore {
    pub async fn open(path: &str) -> Result<Self> {
        // The settings of the service: durable, and a checkpoint after 32 MiB of log.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "8000")
            .pragma("trusted_schema", "OFF");
        let readers = options.clone().pragma("query_only", "ON");
        let pool = |size| SqlitePoolOptions::new().max_connections(size).test_before_acquire(false);
        Ok(Self {
            writer: pool(1).connect_with(options).await?,
            readers: pool(POOL_SIZE).connect_with(readers).await?,
        })
    }

    pub async fn find_post(
        &self,
        caller: Caller,
        id: i64,
    ) -> Result<Option<Option<PostWithVotes>>> {
        let [earliest, latest] = valid_from_range(caller);
        let statement = query(FIND_POST).bind(id).bind(caller.user_id).bind(earliest).bind(latest);
        let Some(row) = statement.fetch_optional(&self.readers).await? else { return Ok(None) };
        if row.try_get::<Option<i64>, _>(0)?.is_none() {
            return Ok(Some(None));
        }
        read_post(&row).map(Some).map(Some)
    }

    pub async fn list_posts(
        &self,
        caller: Caller,
        limit: i64,
    ) -> Result<Option<Vec<PostWithVotes>>> {
        let mut reader = self.readers.acquire().await?;
        let rows = query(LIST_POSTS).bind(limit).fetch_all(&mut *reader).await?;
        // Checked last: an account that exists now existed when the list was read.
        let [earliest, latest] = valid_from_range(caller);
        let statement = query(FIND_CALLER).bind(caller.user_id).bind(earliest).bind(latest);
        if statement.fetch_optional(&mut *reader).await?.is_none() {
            return Ok(None);
        }
        rows.iter().map(read_post).collect::<Result<_>>().map(Some)
    }

    pub async fn create_post(
        &self,
        caller: Caller,
        NewPost { title, content, published }: NewPost,
    ) -> Result<Option<Post>> {
        let created_at = Utc::now();
        let [earliest, latest] = valid_from_range(caller);
        let statement = query(CREATE_POST).bind(&title).bind(&content).bind(published);
        let statement = statement.bind(created_at.timestamp_micros()).bind(caller.user_id);
        let inserted = statement.bind(earliest).bind(latest).execute(&self.writer).await?;
        if inserted.rows_affected() == 0 {
            return Ok(None);
        }
        let id = inserted.last_insert_rowid();
        Ok(Some(Post { title, content, published, id, created_at, owner_id: caller.user_id }))
    }

    pub async fn cast_vote(
        &self,
        caller: Caller,
        Vote { post_id, dir }: Vote,
    ) -> Result<Option<VoteOutcome>> {
        let [earliest, latest] = valid_from_range(caller);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let statement = query(FIND_VOTE).bind(post_id).bind(caller.user_id).bind(earliest);
        let found = statement.bind(latest).fetch_optional(&mut *transaction).await?;
        let Some(row) = found else { return Ok(None) };
        let (post, cast): (Option<i64>, Option<i16>) = (row.try_get(0)?, row.try_get(1)?);
        let (change, outcome) = match (post, cast) {
            (None, _) => return Ok(Some(VoteOutcome::NoSuchPost)),
            (Some(_), Some(cast)) if dir.0 == cast => return Ok(Some(VoteOutcome::AlreadyCast)),
            (Some(_), Some(_)) => (CHANGE_VOTE, VoteOutcome::Changed),
            (Some(_), None) => (ADD_VOTE, VoteOutcome::Added),
        };
        let statement = query(change).bind(post_id).bind(caller.user_id).bind(dir.0);
        statement.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Some(outcome))
    }
}

fn valid_from_range(caller: Caller) -> [i64; 2] {
    [caller.earliest.timestamp_micros(), caller.latest.timestamp_micros()]
}

fn read_post(row: &SqliteRow) -> Result<PostWithVotes> {
    let created_at = DateTime::from_timestamp_micros(row.try_get(4)?);
    let post = Post {
        id: row.try_get(0)?,
        title: row.try_get(1)?,
        content: row.try_get(2)?,
        published: row.try_get(3)?,
        created_at: created_at.ok_or(sqlx::Error::RowNotFound)?,
        owner_id: row.try_get(5)?,
    };
    Ok(PostWithVotes { post, votes: row.try_get::<Option<i64>, _>(6)?.unwrap_or(0) })
}
