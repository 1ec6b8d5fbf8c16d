//! Single posts in PostgreSQL. Not here: how they are found, see `found_posts.rs`;
//! their changes, see `post_changes.rs`; lists, see `lists.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::{ValidFromTimes, valid_from_params};
use super::column::{StoredTime, column};
use super::connection::{QueryError, Value};
use super::error::is_duplicate;
use super::lists::list_posts;
use super::locks::wait_briefly;
use super::pool::Pool;
use super::post_changes::PostChange;
use super::sequence::{explain_duplicate, query_with_new_ids};
use super::statement::{Statement, statements};
use crate::domain::caller::{Caller, Reader};
use crate::domain::page::Page;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::user::UserId;
use crate::store::batch::{Batch, BatchError, LockKey};
use crate::store::{ChangePost, PostList, PostStore, Result, StoreError};

statements! {
    // IDs come from the sequence in the order of the rows. A post is not inserted if its author's
    // account does not exist or does not accept the token. Each row returns the `tokens_valid_from`
    // that the statement checked.
    CREATE_POSTS(
        TEXT_ARRAY, TEXT_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, INT8_ARRAY, TIMESTAMPTZ_ARRAY,
        TIMESTAMPTZ_ARRAY
    ) =
        concat!(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             SELECT title, content, published, created_at, owner_id
               FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                 AS written (title, content, published, created_at, owner_id, least, most, place)
              WHERE (SELECT ", wait_briefly!(), ") IS NOT NULL
                AND (SELECT users.id FROM users
                      WHERE users.id = written.owner_id
                        AND tokens_valid_from BETWEEN least AND most
                        AND disabled_at IS NULL) IS NOT NULL
              ORDER BY place
             RETURNING id::bigint, owner_id::bigint,
                       (SELECT tokens_valid_from FROM users WHERE users.id = posts.owner_id)"
        ),
        concat!(
            "WITH accepted AS MATERIALIZED (
                 SELECT written.*, users.tokens_valid_from,
                        row_number() OVER (ORDER BY place) AS number
                   FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                     AS written (title, content, published, created_at, owner_id, least, most, place)
                   JOIN users
                     ON users.id = written.owner_id
                    AND users.tokens_valid_from BETWEEN least AND most AND users.disabled_at IS NULL
                  WHERE (SELECT ", wait_briefly!(), ") IS NOT NULL
             ), inserted AS (
                 INSERT INTO posts (title, content, published, created_at, owner_id)
                 SELECT title, content, published, created_at, owner_id
                   FROM accepted
                  ORDER BY number
                 RETURNING id::bigint AS id
             ), numbered AS (
                 SELECT id, row_number() OVER (ORDER BY id) AS number FROM inserted
             )
             SELECT id, owner_id, tokens_valid_from FROM accepted JOIN numbered USING (number)"
        );
}

#[async_trait]
impl PostStore for PostgresStore {
    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post> {
        let created = self.new_posts.submit(NewPost { author: caller, content, created_at }).await;
        self.with_caller_first(caller, created).await
    }

    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>> {
        self.posts.submit((Reader::Caller(caller), id)).await
    }

    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList> {
        let posts = list_posts(self, Reader::Caller(caller), page).await;
        self.with_caller_first(caller, posts).await
    }

    async fn find_public_post(&self, id: PostId) -> Result<Option<PostWithVotes>> {
        self.posts.submit((Reader::Anonymous, id)).await
    }

    async fn list_public_posts(&self, page: Page) -> Result<PostList> {
        list_posts(self, Reader::Anonymous, page).await
    }

    async fn update_post(
        &self,
        caller: Caller,
        id: PostId,
        update: PostUpdate,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<PostWithVotes>> {
        let change = PostChange { caller, id, precondition };
        let updated = self.run(async move |pool| Ok(change.update(&pool, &update, None).await?));
        self.with_caller_first(caller, updated.await).await
    }

    async fn delete_post(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<()>> {
        let change = PostChange { caller, id, precondition };
        self.run(async move |pool| Ok(change.delete(&pool, None).await?)).await
    }
}

pub(super) struct NewPost {
    pub(super) author: Caller,
    pub(super) content: PostContent,
    pub(super) created_at: Timestamp,
}

pub(super) struct CreatePosts(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for CreatePosts {
    type Request = NewPost;
    type Answer = Post;

    async fn run(
        &self,
        requests: &[&NewPost],
    ) -> std::result::Result<Vec<Result<Post>>, BatchError> {
        let titles: Vec<_> = requests.iter().map(|new| new.content.title.as_str()).collect();
        let contents: Vec<_> = requests.iter().map(|new| new.content.content.as_str()).collect();
        let published: Vec<_> = requests.iter().map(|new| new.content.published).collect();
        let times: Vec<_> = requests.iter().map(|new| StoredTime(new.created_at)).collect();
        let authors: Vec<_> = requests.iter().map(|new| new.author.user_id.0).collect();
        let (earliest, latest) = valid_from_params(requests.iter().map(|new| new.author));
        let values: [Value<'_>; 7] =
            [&titles, &contents, &published, &times, &authors, &earliest, &latest];
        let rows = match query_with_new_ids(&self.0, &CREATE_POSTS, &values).await {
            Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {
                let error = explain_duplicate(&self.0, "posts", error).await;
                return Err(BatchError::RolledBack(error));
            }
            inserted => inserted?,
        };
        assign_ids(requests, &rows).map_err(BatchError::Final)
    }

    fn lock_keys(new: &NewPost) -> Vec<LockKey> {
        vec![LockKey::User(new.author.user_id)]
    }
}

/// Assigns the IDs to the posts. The rows come in any order, but the IDs ascend in the order of the
/// posts, and an author's `tokens_valid_from` says which posts were inserted.
fn assign_ids(requests: &[&NewPost], rows: &[Row]) -> Result<Vec<Result<Post>>> {
    let mut ids = Vec::new();
    let mut authors = ValidFromTimes::with_capacity(rows.len());
    for row in rows {
        ids.push(column::<i64>(row, 0)?);
        authors.insert(UserId(column(row, 1)?), column(row, 2));
    }
    ids.sort_unstable();
    let mut ids = ids.into_iter();
    let posts = requests.iter().map(|new| {
        authors.check(new.author)?;
        let id = ids.next().ok_or_else(|| StoreError::internal("an inserted post has no ID"))?;
        Ok(new.content.to_post(PostId(id), new.created_at, new.author.user_id))
    });
    Ok(posts.collect())
}
