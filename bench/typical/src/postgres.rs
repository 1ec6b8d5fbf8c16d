//! The operations in PostgreSQL: one statement each, the service's own for a batch of one.

use chrono::Utc;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::{Result, Row as _, query};

use crate::caller::Caller;
use crate::posts_and_votes::{NewPost, Post, PostWithVotes, Vote, VoteOutcome};
use crate::store::POOL_SIZE;

const FIND_POST: &str = "
    SELECT posts.id::bigint, title, content, published, posts.created_at, owner_id::bigint,
           (SELECT votes FROM vote_counts WHERE post_id = posts.id)
      FROM users
      LEFT JOIN posts
        ON posts.id = $1
       AND COALESCE(owner_id <> ALL (ARRAY(SELECT user_id FROM account_deletions)), TRUE)
       AND (published OR owner_id = users.id)
     WHERE users.id = $2 AND tokens_valid_from BETWEEN $3 AND $4 AND disabled_at IS NULL";

/// A caller who is accepted has at least one row.
const LIST_POSTS: &str = "
    SELECT page.id::bigint, title, content, published, page.created_at, owner_id::bigint,
           (SELECT votes FROM vote_counts WHERE post_id = page.id)
      FROM users
      LEFT JOIN (
          SELECT id, title, content, published, created_at, owner_id
            FROM posts
           WHERE COALESCE(owner_id <> ALL (ARRAY(SELECT user_id FROM account_deletions)), TRUE)
             AND published
           ORDER BY id DESC LIMIT $1
      ) AS page ON TRUE
     WHERE users.id = $2 AND tokens_valid_from BETWEEN $3 AND $4 AND disabled_at IS NULL
     ORDER BY page.id DESC";

const CREATE_POST: &str = "
    INSERT INTO posts (title, content, published, created_at, owner_id)
    SELECT $5, $6, $7, $1, id
      FROM users
     WHERE id = $2 AND tokens_valid_from BETWEEN $3 AND $4 AND disabled_at IS NULL
    RETURNING id::bigint";

/// The xmax of a new row is 0. A vote that is cast already returns no row from `changed`.
const CAST_VOTE: &str = "
    WITH ballot AS (
        SELECT users.id AS user_id, posts.id AS post_id
          FROM users
          LEFT JOIN posts
            ON posts.id = $1
           AND COALESCE(owner_id <> ALL (ARRAY(SELECT user_id FROM account_deletions)), TRUE)
           AND (published OR owner_id = users.id)
         WHERE users.id = $2 AND tokens_valid_from BETWEEN $3 AND $4 AND disabled_at IS NULL
    ), changed AS (
        INSERT INTO votes (post_id, user_id, dir)
        SELECT post_id, user_id, $5 FROM ballot WHERE post_id IS NOT NULL
        ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir
         WHERE votes.dir <> excluded.dir
        RETURNING xmax = 0 AS is_new
    )
    SELECT post_id IS NOT NULL, (SELECT is_new FROM changed) FROM ballot";

#[derive(Clone)]
pub struct PostgresStore(PgPool);

impl PostgresStore {
    pub async fn connect(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(POOL_SIZE);
        // sqlx checks a connection when it returns to the pool. A second check before each use
        // would cost another round trip.
        Ok(Self(pool.test_before_acquire(false).connect(url).await?))
    }

    pub async fn find_post(
        &self,
        Caller { user_id, earliest, latest }: Caller,
        id: i64,
    ) -> Result<Option<Option<PostWithVotes>>> {
        let statement = query(FIND_POST).bind(id).bind(user_id).bind(earliest).bind(latest);
        statement.fetch_optional(&self.0).await?.map(|row| read_post(&row)).transpose()
    }

    pub async fn list_posts(
        &self,
        Caller { user_id, earliest, latest }: Caller,
        limit: i64,
    ) -> Result<Option<Vec<PostWithVotes>>> {
        let statement = query(LIST_POSTS).bind(limit).bind(user_id).bind(earliest).bind(latest);
        let rows = statement.fetch_all(&self.0).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        rows.iter().filter_map(|row| read_post(row).transpose()).collect::<Result<_>>().map(Some)
    }

    pub async fn create_post(
        &self,
        Caller { user_id, earliest, latest }: Caller,
        NewPost { title, content, published }: NewPost,
    ) -> Result<Option<Post>> {
        let created_at = Utc::now();
        let statement = query(CREATE_POST).bind(created_at).bind(user_id).bind(earliest);
        let statement = statement.bind(latest).bind(&title).bind(&content).bind(published);
        let Some(row) = statement.fetch_optional(&self.0).await? else { return Ok(None) };
        let id = row.try_get(0)?;
        Ok(Some(Post { title, content, published, id, created_at, owner_id: user_id }))
    }

    pub async fn cast_vote(
        &self,
        Caller { user_id, earliest, latest }: Caller,
        Vote { post_id, dir }: Vote,
    ) -> Result<Option<VoteOutcome>> {
        let statement = query(CAST_VOTE).bind(post_id).bind(user_id).bind(earliest);
        let statement = statement.bind(latest).bind(dir.0);
        let Some(row) = statement.fetch_optional(&self.0).await? else { return Ok(None) };
        Ok(Some(match (row.try_get(0)?, row.try_get(1)?) {
            (false, _) => VoteOutcome::NoSuchPost,
            (true, Some(true)) => VoteOutcome::Added,
            (true, Some(false)) => VoteOutcome::Changed,
            (true, None) => VoteOutcome::AlreadyCast,
        }))
    }
}

/// Returns `None` if the row has no post.
fn read_post(row: &PgRow) -> Result<Option<PostWithVotes>> {
    let Some(id) = row.try_get(0)? else { return Ok(None) };
    let post = Post {
        id,
        title: row.try_get(1)?,
        content: row.try_get(2)?,
        published: row.try_get(3)?,
        created_at: row.try_get(4)?,
        owner_id: row.try_get(5)?,
    };
    Ok(Some(PostWithVotes { post, votes: row.try_get::<Option<i64>, _>(6)?.unwrap_or(0) }))
}
