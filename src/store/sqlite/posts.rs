//! Single posts in SQLite. Not here: lists, see `lists.rs`.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::error::deletion_failed;
use super::lists::list_posts;
use super::row::{is_open, read_post, select_posts};
use super::statement::statements;
use crate::domain::caller::{Caller, Reader};
use crate::domain::page::Page;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::text::Text;
use crate::store::{ChangePost, PostList, PostStore, Result, StoreError};

statements! {
    CREATE_POST = "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT ?1, ?2, ?3, ?4, id
           FROM users
          WHERE id = ?5 AND tokens_valid_from BETWEEN ?6 AND ?7 AND disabled_at IS NULL";
    FIND_POST = select_posts!(concat!("FROM users
               LEFT JOIN posts
                 ON posts.id = ?1
                AND ", is_open!("posts.owner_id"), "
                AND (posts.published OR posts.owner_id = users.id OR ?3)
              WHERE users.id = ?2 AND users.tokens_valid_from BETWEEN ?4 AND ?5
                AND users.disabled_at IS NULL"));
    FIND_PUBLIC_POST = select_posts!(concat!("FROM posts
              WHERE posts.id = ?1 AND posts.published AND ", is_open!("posts.owner_id")));
    UPDATE_POST = "UPDATE posts
            SET title = ifnull(?3, title), content = ifnull(?4, content),
                published = ifnull(?5, published)
          WHERE id = ?1 AND owner_id = ?2
            AND EXISTS (SELECT 1 FROM users
                         WHERE id = ?2 AND tokens_valid_from BETWEEN ?6 AND ?7
                           AND disabled_at IS NULL)
         RETURNING id, title, content, published, created_at, owner_id,
                   (SELECT votes FROM vote_counts WHERE post_id = posts.id)";
    DELETE_POST = "DELETE FROM posts
          WHERE id = ?1 AND owner_id = ?2
            AND EXISTS (SELECT 1 FROM users
                         WHERE id = ?2 AND tokens_valid_from BETWEEN ?3 AND ?4
                           AND disabled_at IS NULL)";
}

#[async_trait]
impl PostStore for SqliteStore {
    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post> {
        self.writer.run(move |database| create_post(database, caller, &content, created_at)).await
    }

    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>> {
        self.readers.run(move |database| find_post(database, caller, id)).await
    }

    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList> {
        let hidden = self.deletions.hidden_range();
        let reader = Reader::Caller(caller);
        self.list_readers.run(move |database| list_posts(database, hidden, reader, &page)).await
    }

    async fn find_public_post(&self, id: PostId) -> Result<Option<PostWithVotes>> {
        self.readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_PUBLIC_POST)?;
                Ok(statement.query_row([id.0], read_post).optional()?)
            })
            .await
    }

    async fn list_public_posts(&self, page: Page) -> Result<PostList> {
        let hidden = self.deletions.hidden_range();
        let read =
            move |database: &Connection| list_posts(database, hidden, Reader::Anonymous, &page);
        self.list_readers.run(read).await
    }

    async fn update_post(
        &self,
        caller: Caller,
        id: PostId,
        update: PostUpdate,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<PostWithVotes>> {
        self.writer
            .run(move |database| update_post(database, caller, id, &update, precondition.as_ref()))
            .await
    }

    async fn delete_post(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<()>> {
        self.writer
            .run(move |database| delete_post(database, caller, id, precondition.as_ref()))
            .await
            .map_err(deletion_failed)
    }
}

pub(super) fn create_post(
    database: &Connection,
    caller: Caller,
    content: &PostContent,
    created_at: Timestamp,
) -> Result<Post> {
    let [author, earliest, latest] = caller_params(caller);
    let inserted = database.prepare_cached(CREATE_POST)?.execute(params![
        content.title.as_str(),
        content.content.as_str(),
        content.published,
        created_at.as_microsecond(),
        author,
        earliest,
        latest,
    ])?;
    if inserted == 0 {
        return Err(StoreError::CallerRejected);
    }
    let id = PostId(database.last_insert_rowid());
    Ok(content.to_post(id, created_at, caller.user_id))
}

/// Returns the outcome of a change that the precondition forbids. The change must be in the same
/// write.
fn check_precondition<T>(
    database: &Connection,
    caller: Caller,
    id: PostId,
    precondition: Option<&Precondition>,
) -> Result<Option<ChangePost<T>>> {
    let Some(precondition) = precondition else { return Ok(None) };
    Ok(match find_post(database, caller, id)? {
        None => Some(ChangePost::NoSuchPost),
        Some(found) if found.post.owner_id != caller.user_id => Some(ChangePost::NotOwner),
        Some(found) if precondition.is_met_by(&found.post) => None,
        Some(_) => Some(ChangePost::PreconditionFailed),
    })
}

pub(super) fn update_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
    update: &PostUpdate,
    precondition: Option<&Precondition>,
) -> Result<ChangePost<PostWithVotes>> {
    if let Some(refused) = check_precondition(database, caller, id, precondition)? {
        return Ok(refused);
    }
    let [author, earliest, latest] = caller_params(caller);
    let params = params![
        id.0,
        author,
        update.title.as_ref().map(Text::as_str),
        update.content.as_ref().map(Text::as_str),
        update.published,
        earliest,
        latest,
    ];
    let updated = database.prepare_cached(UPDATE_POST)?.query_row(params, read_post).optional()?;
    match updated {
        Some(updated) => Ok(ChangePost::Changed(updated)),
        None => explain_no_change(database, caller, id),
    }
}

pub(super) fn delete_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
    precondition: Option<&Precondition>,
) -> Result<ChangePost<()>> {
    if let Some(refused) = check_precondition(database, caller, id, precondition)? {
        return Ok(refused);
    }
    let [author, earliest, latest] = caller_params(caller);
    let params = [id.0, author, earliest, latest];
    if database.prepare_cached(DELETE_POST)?.execute(params)? > 0 {
        return Ok(ChangePost::Changed(()));
    }
    explain_no_change(database, caller, id)
}

pub(super) fn find_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
) -> Result<Option<PostWithVotes>> {
    let [viewer, earliest, latest] = caller_params(caller);
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let params = params![id.0, viewer, sees_drafts, earliest, latest];
    let found = database
        .prepare_cached(FIND_POST)?
        .query_row(params, |row| match row.get::<_, Option<i64>>(0)? {
            Some(_) => read_post(row).map(Some),
            None => Ok(None),
        })
        .optional()?;
    found.ok_or(StoreError::CallerRejected)
}

fn explain_no_change<T>(
    database: &Connection,
    caller: Caller,
    id: PostId,
) -> Result<ChangePost<T>> {
    match find_post(database, caller, id)? {
        Some(_) => Ok(ChangePost::NotOwner),
        None => Ok(ChangePost::NoSuchPost),
    }
}
