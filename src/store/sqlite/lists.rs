//! Lists of posts in SQLite, newest first. Not here: searches, see `search.rs`.

use rusqlite::{Connection, params_from_iter};

use super::callers::find_caller;
use super::hidden_range::around_hidden;
use super::row::{is_open, read_post, select_posts};
use super::search::search_posts;
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostWithVotes;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::post_list::PageBuilder;
use crate::store::{PostList, Result};

// The statements name their index: with the statistics of `ANALYZE`, SQLite would rather read the
// posts themselves, past any number of drafts.
macro_rules! select_published {
    () => {
        select_posts!(concat!(
            "FROM posts INDEXED BY posts_published
              WHERE ",
            is_open!("posts.owner_id"),
            " AND posts.published = 1"
        ))
    };
}

macro_rules! select_all {
    () => {
        select_posts!(concat!("FROM posts NOT INDEXED WHERE ", is_open!("posts.owner_id")))
    };
}

statements! {
    LIST_PUBLISHED = concat!(select_published!(), "
         ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_ALL = concat!(select_all!(), " ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_PUBLISHED_AROUND = concat!(
        around_hidden!(select_published!(), "posts.id", "?3", "?4"),
        " LIMIT ?1 OFFSET ?2"
    );
    LIST_ALL_AROUND = concat!(
        around_hidden!(select_all!(), "posts.id", "?3", "?4"),
        " LIMIT ?1 OFFSET ?2"
    );
    LIST_OWN_DRAFTS = select_posts!("FROM posts INDEXED BY posts_owner
              WHERE posts.owner_id = ?3 AND posts.published = 0
              ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
}

/// Passes over the posts in the hidden range, if there is one.
pub(super) fn list_posts(
    database: &Connection,
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &Page,
) -> Result<PostList> {
    let posts = match page.search.as_deref() {
        None | Some("") => read_list(database, hidden, caller, page)?,
        Some(text) => search_posts(database, hidden, caller, page, text)?,
    };
    // Checked last: an account that exists now existed when the list was read.
    find_caller(database, caller)?;
    Ok(posts.into())
}

fn read_list(
    database: &Connection,
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &Page,
) -> Result<Vec<PostWithVotes>> {
    let limit = page.limit.map_or(-1, i64::from);
    let skip = i64::try_from(page.skip).unwrap_or(i64::MAX);
    let (text, further) = list_statement(hidden, caller, page);
    let parameters = [limit, skip].into_iter().chain(further);
    let mut statement = database.prepare_cached(text)?;
    let mut rows = statement.query_map(params_from_iter(parameters), read_post)?;
    let mut page_builder = PageBuilder::new(page);
    while page_builder.accepts_more()
        && let Some(post) = rows.next()
    {
        page_builder.push(post?);
    }
    Ok(page_builder.into_posts())
}

/// Returns a statement with an index that gives its posts newest first, and its parameters after
/// limit and skip.
fn list_statement(
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &Page,
) -> (&'static str, Vec<i64>) {
    let bounds = hidden.map_or_else(Vec::new, |hidden| vec![hidden.above, hidden.up_to]);
    match (page.scope, caller.draft_visibility, hidden) {
        (PostScope::OwnDrafts, ..) => (LIST_OWN_DRAFTS, vec![caller.user_id.0]),
        (PostScope::Public, DraftVisibility::Private, None) => (LIST_PUBLISHED, bounds),
        (PostScope::Public, DraftVisibility::Private, _) => (LIST_PUBLISHED_AROUND, bounds),
        (PostScope::Public, DraftVisibility::Visible, None) => (LIST_ALL, bounds),
        (PostScope::Public, DraftVisibility::Visible, _) => (LIST_ALL_AROUND, bounds),
    }
}
