//! Lists of posts in SQLite, newest first. Not here: searches, see `search.rs`.

use rusqlite::{Connection, params};

use super::callers::find_caller;
use super::row::{is_open, read_post, select_posts};
use super::search::search_posts;
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostWithVotes;
use crate::store::post_list::PageBuilder;
use crate::store::{PostList, Result};

// The statements name their index: with the statistics of `ANALYZE`, SQLite would rather read the
// posts themselves, past any number of drafts.
statements! {
    LIST_PUBLISHED = select_posts!(concat!("FROM posts INDEXED BY posts_published
              WHERE ", is_open!("posts.owner_id"), " AND posts.published = 1
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2"));
    LIST_ALL = select_posts!(concat!("FROM posts NOT INDEXED
              WHERE ", is_open!("posts.owner_id"), "
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2"));
    LIST_OWN_DRAFTS = select_posts!("FROM posts INDEXED BY posts_owner
              WHERE posts.owner_id = ?3 AND posts.published = 0
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
}

pub(super) fn list_posts(database: &Connection, caller: Caller, page: &Page) -> Result<PostList> {
    let posts = match page.search.as_deref() {
        None | Some("") => read_list(database, caller, page)?,
        Some(text) => search_posts(database, caller, page, text)?,
    };
    // Checked last: an account that exists now existed when the list was read.
    find_caller(database, caller)?;
    Ok(posts.into())
}

fn read_list(database: &Connection, caller: Caller, page: &Page) -> Result<Vec<PostWithVotes>> {
    let mut statement = database.prepare_cached(list_statement(caller, page))?;
    let limit = page.limit.map_or(-1, i64::from);
    let skip = i64::try_from(page.skip).unwrap_or(i64::MAX);
    let mut rows = match page.scope {
        PostScope::Public => statement.query_map(params![limit, skip], read_post)?,
        PostScope::OwnDrafts => {
            statement.query_map(params![limit, skip, caller.user_id.0], read_post)?
        }
    };
    let mut page_builder = PageBuilder::new(page);
    while page_builder.accepts_more()
        && let Some(post) = rows.next()
    {
        page_builder.push(post?);
    }
    Ok(page_builder.into_posts())
}

/// Returns a statement with an index that gives its posts newest first.
fn list_statement(caller: Caller, page: &Page) -> &'static str {
    match (page.scope, caller.draft_visibility) {
        (PostScope::OwnDrafts, _) => LIST_OWN_DRAFTS,
        (PostScope::Public, DraftVisibility::Private) => LIST_PUBLISHED,
        (PostScope::Public, DraftVisibility::Visible) => LIST_ALL,
    }
}
