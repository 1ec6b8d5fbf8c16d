//! Posts in SQLite.

use jiff::Timestamp;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension as _, Row, ffi, params, params_from_iter};

use super::users::{find_caller, violates};
use crate::domain::caller::Caller;
use crate::domain::page::{Page, SHORT_SEARCH_BOUND, Shelf, TRIGRAM};
use crate::domain::policy::Drafts;
use crate::domain::post::{Post, PostContent, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;
use crate::store::{ChangePost, Result, StoreError};

pub(super) fn create_post(
    database: &Connection,
    caller: Caller,
    content: &PostContent,
    created_at: Timestamp,
) -> Result<Post> {
    let inserted = database
        .prepare_cached(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .insert(params![
            content.title.as_str(),
            content.content.as_str(),
            content.published,
            created_at.as_microsecond(),
            caller.user_id.0,
        ]);
    let id = match inserted {
        Ok(id) => PostId(id),
        Err(error) if violates(&error, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
            return Err(StoreError::CallerGone);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(post(id, content, created_at, caller.user_id))
}

pub(super) fn find_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
) -> Result<Option<PostWithVotes>> {
    let found = database
        .prepare_cached(
            "SELECT posts.id, posts.title, posts.content, posts.published, posts.created_at,
                    posts.owner_id,
                    (SELECT votes FROM vote_counts WHERE post_id = posts.id)
               FROM users
               LEFT JOIN posts
                 ON posts.id = ?1
                AND (posts.published OR posts.owner_id = users.id OR ?3)
              WHERE users.id = ?2",
        )?
        .query_row(params![id.0, caller.user_id.0, caller.drafts == Drafts::Visible], |row| {
            match row.get::<_, Option<i64>>(0)? {
                Some(_) => read_post_with_votes(row).map(Some),
                None => Ok(None),
            }
        })
        .optional()?;
    found.ok_or(StoreError::CallerGone)
}

pub(super) fn list_posts(
    database: &Connection,
    caller: Caller,
    page: &Page,
) -> Result<Vec<PostWithVotes>> {
    find_caller(database, caller)?;
    if page.limit == Some(0) {
        return Ok(Vec::new());
    }
    let query = list_query(caller, page);
    let mut statement = database.prepare_cached(&query.sql)?;
    let rows = statement.query_map(params_from_iter(query.parameters), read_post_with_votes)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn replace_post(
    database: &Connection,
    caller: Caller,
    id: PostId,
    content: &PostContent,
) -> Result<ChangePost<Post>> {
    let created_at = database
        .prepare_cached(
            "UPDATE posts SET title = ?3, content = ?4, published = ?5
              WHERE id = ?1 AND owner_id = ?2
             RETURNING created_at",
        )?
        .query_row(
            params![
                id.0,
                caller.user_id.0,
                content.title.as_str(),
                content.content.as_str(),
                content.published,
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
    let deleted = database
        .prepare_cached("DELETE FROM posts WHERE id = ?1 AND owner_id = ?2")?
        .execute([id.0, caller.user_id.0])?;
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

struct ListQuery {
    sql: String,
    parameters: Vec<Value>,
}

/// Where the posts of a list come from. Each has an index that gives them newest first.
fn source(caller: Caller, page: &Page) -> (&'static str, Vec<Value>) {
    match (page.shelf, caller.drafts) {
        (Shelf::OwnDrafts, _) => (
            "posts WHERE posts.owner_id = ? AND posts.published = 0",
            vec![Value::Integer(caller.user_id.0)],
        ),
        (Shelf::Public, Drafts::Private) => ("posts WHERE posts.published = 1", Vec::new()),
        (Shelf::Public, Drafts::Visible) => ("posts WHERE TRUE", Vec::new()),
    }
}

/// The texts differ by shelf and kind of search only, so few are ever prepared.
fn list_query(caller: Caller, page: &Page) -> ListQuery {
    const COLUMNS: &str = "SELECT posts.id, posts.title, posts.content, posts.published,
            posts.created_at, posts.owner_id,
            (SELECT votes FROM vote_counts WHERE post_id = posts.id)";

    let (from, mut parameters) = source(caller, page);
    let search = page.search.as_deref().unwrap_or_default();
    let sql = if search.is_empty() {
        format!("{COLUMNS} FROM {from} ORDER BY posts.id DESC LIMIT ? OFFSET ?")
    } else if search.chars().count() < TRIGRAM {
        // Bounded: the newest of the shelf are looked at, no more.
        parameters.push(Value::Integer(i64::from(SHORT_SEARCH_BOUND)));
        parameters.push(Value::Text(search.to_owned()));
        format!(
            "{COLUMNS} FROM posts
              WHERE posts.id IN (
                SELECT posts.id FROM {from} ORDER BY posts.id DESC LIMIT ?)
                AND instr(posts.title, ?) > 0
              ORDER BY posts.id DESC LIMIT ? OFFSET ?"
        )
    } else {
        parameters.push(Value::Text(all_trigrams(search)));
        parameters.push(Value::Text(search.to_owned()));
        format!(
            "{COLUMNS} FROM post_search CROSS JOIN {from}
                AND posts.id = post_search.rowid
                AND post_search MATCH ?
                AND instr(posts.title, ?) > 0
              ORDER BY post_search.rowid DESC LIMIT ? OFFSET ?"
        )
    };
    parameters.push(Value::Integer(page.limit.map_or(-1, i64::from)));
    parameters.push(Value::Integer(i64::try_from(page.skip).unwrap_or(i64::MAX)));
    ListQuery { sql, parameters }
}

/// The start of a long search narrows the index as well as the whole of it would.
const TRIGRAMS: usize = 64;

/// An FTS5 query for the titles that hold every trigram of the text; whether they hold them in
/// this order is for `instr` to say.
fn all_trigrams(search: &str) -> String {
    let characters: Vec<char> = search.chars().take(TRIGRAMS + TRIGRAM - 1).collect();
    let mut query = String::with_capacity(characters.len() * 10);
    for trigram in characters.windows(TRIGRAM) {
        if !query.is_empty() {
            query.push_str(" AND ");
        }
        query.push('"');
        for &character in trigram {
            if character == '"' {
                query.push('"');
            }
            query.push(character);
        }
        query.push('"');
    }
    query
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
            title: Text::from_stored(row.get(1)?),
            content: Text::from_stored(row.get(2)?),
            published: row.get(3)?,
            created_at: timestamp(row, 4)?,
            owner_id: UserId(row.get(5)?),
        },
        // A post that nobody voted on has no row.
        votes: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
    })
}

/// Microseconds since 1970 in column `index`.
pub(super) fn timestamp(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(index)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
    })
}
