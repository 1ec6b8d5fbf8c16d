//! Posts in SQLite.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::timestamp;
use super::search::search_posts;
use super::statements::statements;
use super::users::{accepted, find_caller};
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PageBuilder, PostList, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{Post, PostContent, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;
use crate::store::{ChangePost, Result, StoreError};

/// A post as every reading shows it.
macro_rules! reading {
    ($rest:literal) => {
        concat!(
            "SELECT posts.id, posts.title, posts.content, posts.published, posts.created_at,
                    posts.owner_id,
                    (SELECT votes FROM vote_counts WHERE post_id = posts.id)
               ",
            $rest
        )
    };
}

statements! {
    CREATE_POST = "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT ?1, ?2, ?3, ?4, id
           FROM users
          WHERE id = ?5 AND tokens_valid_from BETWEEN ?6 AND ?7";
    FIND_POST = reading!("FROM users
               LEFT JOIN posts
                 ON posts.id = ?1
                AND (posts.published OR posts.owner_id = users.id OR ?3)
              WHERE users.id = ?2 AND users.tokens_valid_from BETWEEN ?4 AND ?5");
    READ_POST = reading!("FROM posts WHERE posts.id = ?1");
    LIST_PUBLISHED = reading!("FROM posts
              WHERE posts.published = 1
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_ALL = reading!("FROM posts
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_OWN_DRAFTS = reading!("FROM posts
              WHERE posts.owner_id = ?3 AND posts.published = 0
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    REPLACE_POST = "UPDATE posts SET title = ?3, content = ?4, published = ?5
          WHERE id = ?1 AND owner_id = ?2
            AND EXISTS (SELECT 1 FROM users
                         WHERE id = ?2 AND tokens_valid_from BETWEEN ?6 AND ?7)
         RETURNING created_at";
    DELETE_POST = "DELETE FROM posts
          WHERE id = ?1 AND owner_id = ?2
            AND EXISTS (SELECT 1 FROM users
                         WHERE id = ?2 AND tokens_valid_from BETWEEN ?3 AND ?4)";
}

pub(super) fn create_post(
    database: &Connection,
    caller: Caller,
    content: &PostContent,
    created_at: Timestamp,
) -> Result<Post> {
    let [author, earliest, latest] = accepted(caller);
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
    Ok(post(id, content, created_at, caller.user_id))
}

pub(super) fn find_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
) -> Result<Option<PostWithVotes>> {
    let [viewer, earliest, latest] = accepted(caller);
    let sees_drafts = caller.drafts == DraftVisibility::Visible;
    let found = database
        .prepare_cached(FIND_POST)?
        .query_row(params![id.0, viewer, sees_drafts, earliest, latest], |row| {
            match row.get::<_, Option<i64>>(0)? {
                Some(_) => read_post_with_votes(row).map(Some),
                None => Ok(None),
            }
        })
        .optional()?;
    found.ok_or(StoreError::CallerRejected)
}

pub(super) fn list_posts(database: &Connection, caller: Caller, page: &Page) -> Result<PostList> {
    let posts = match page.search.as_deref() {
        None | Some("") => read_list(database, caller, page)?,
        Some(text) => search_posts(database, caller, page, text)?,
    };
    // Asked last: an account that is there now was there when the list was read.
    find_caller(database, caller)?;
    Ok(posts.into())
}

fn read_list(database: &Connection, caller: Caller, page: &Page) -> Result<Vec<PostWithVotes>> {
    let mut statement = database.prepare_cached(list_statement(caller, page))?;
    let limit = page.limit.map_or(-1, i64::from);
    let skip = i64::try_from(page.skip).unwrap_or(i64::MAX);
    let mut rows = match page.scope {
        PostScope::Public => statement.query_map(params![limit, skip], read_post_with_votes)?,
        PostScope::OwnDrafts => {
            statement.query_map(params![limit, skip, caller.user_id.0], read_post_with_votes)?
        }
    };
    let mut filling = PageBuilder::new(page);
    while filling.has_room()
        && let Some(post) = rows.next()
    {
        filling.push(post?);
    }
    Ok(filling.into_posts())
}

/// The post, whoever may see it.
pub(super) fn read_post(database: &Connection, id: PostId) -> rusqlite::Result<PostWithVotes> {
    database.prepare_cached(READ_POST)?.query_row([id.0], read_post_with_votes)
}

pub(super) fn replace_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
    content: &PostContent,
) -> Result<ChangePost<Post>> {
    let [author, earliest, latest] = accepted(caller);
    let created_at = database
        .prepare_cached(REPLACE_POST)?
        .query_row(
            params![
                id.0,
                author,
                content.title.as_str(),
                content.content.as_str(),
                content.published,
                earliest,
                latest,
            ],
            |row| timestamp(row, 0),
        )
        .optional()?;
    match created_at {
        Some(created_at) => Ok(ChangePost::Changed(post(id, content, created_at, caller.user_id))),
        None => why_unchanged(database, caller, id),
    }
}

pub(super) fn delete_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
) -> Result<ChangePost<()>> {
    let [author, earliest, latest] = accepted(caller);
    let deleted =
        database.prepare_cached(DELETE_POST)?.execute([id.0, author, earliest, latest])?;
    if deleted > 0 {
        return Ok(ChangePost::Changed(()));
    }
    why_unchanged(database, caller, id)
}

fn why_unchanged<T>(database: &Connection, caller: Caller, id: PostId) -> Result<ChangePost<T>> {
    match find_post(database, caller, id)? {
        Some(_) => Ok(ChangePost::NotOwner),
        None => Ok(ChangePost::NoSuchPost),
    }
}

/// Each has an index that gives its posts newest first.
fn list_statement(caller: Caller, page: &Page) -> &'static str {
    match (page.scope, caller.drafts) {
        (PostScope::OwnDrafts, _) => LIST_OWN_DRAFTS,
        (PostScope::Public, DraftVisibility::Private) => LIST_PUBLISHED,
        (PostScope::Public, DraftVisibility::Visible) => LIST_ALL,
    }
}

fn post(id: PostId, content: &PostContent, created_at: Timestamp, owner_id: UserId) -> Post {
    Post {
        id,
        title: content.title.clone(),
        content: content.content.clone(),
        published: content.published,
        created_at,
        owner_id,
    }
}

fn read_post_with_votes(row: &Row<'_>) -> rusqlite::Result<PostWithVotes> {
    Ok(PostWithVotes {
        post: Post {
            id: PostId(row.get(0)?),
            title: Text::from_stored(row.get_ref(1)?.as_str()?),
            content: Text::from_stored(row.get_ref(2)?.as_str()?),
            published: row.get(3)?,
            created_at: timestamp(row, 4)?,
            owner_id: UserId(row.get(5)?),
        },
        // A post that nobody voted on has no row.
        votes: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
    })
}
