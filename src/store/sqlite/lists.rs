//! Lists of posts in SQLite, in the order of an index. Not here: searches, see `search.rs`.

use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::callers::find_caller;
use super::hidden_range::{around_hidden, ids_around};
use super::row::{drafts_of, is_open, read_post, select_posts};
use super::search::search_posts;
use super::statement::statements;
use crate::domain::caller::Reader;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::post_list::{PageBuilder, ReservedPosts};
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

/// The posts of a SELECT in two ranges of IDs.
macro_rules! list_around {
    ($select:expr, $direction:literal) => {
        concat!(
            around_hidden!($select, "posts.id", ["?3", "?4", "?5", "?6"], $direction),
            " LIMIT ?1 OFFSET ?2"
        )
    };
}

/// The posts of an owner in a range of IDs.
macro_rules! owned {
    ($published:literal) => {
        select_posts!(concat!(
            "FROM posts INDEXED BY posts_owner
              WHERE ",
            is_open!("posts.owner_id"),
            " AND posts.owner_id = ?3 AND posts.published = ",
            $published,
            " AND posts.id BETWEEN ?4 AND ?5"
        ))
    };
}

/// The posts in a range of times and IDs.
macro_rules! created {
    ($published:literal) => {
        select_posts!(concat!(
            "FROM posts INDEXED BY posts_created
              WHERE ",
            is_open!("posts.owner_id"),
            " AND posts.published = ",
            $published,
            " AND posts.created_at BETWEEN ?3 AND ?5
              AND (posts.created_at, posts.id) >= (?3, ?4)
              AND (posts.created_at, posts.id) <= (?5, ?6)"
        ))
    };
}

statements! {
    LIST_PUBLISHED = concat!(select_published!(), "
         ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_ALL = concat!(select_all!(), " ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_PUBLISHED_AROUND = list_around!(select_published!(), "DESC");
    LIST_PUBLISHED_AROUND_ASCENDING = list_around!(select_published!(), "ASC");
    LIST_ALL_AROUND = list_around!(select_all!(), "DESC");
    LIST_ALL_AROUND_ASCENDING = list_around!(select_all!(), "ASC");
    LIST_OWNED = concat!(owned!("?6"), " ORDER BY posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_OWNED_ASCENDING = concat!(owned!("?6"), " ORDER BY posts.id LIMIT ?1 OFFSET ?2");
    LIST_ALL_OWNED = concat!(
        owned!("0"), " UNION ALL ", owned!("1"), " ORDER BY 1 DESC LIMIT ?1 OFFSET ?2"
    );
    LIST_ALL_OWNED_ASCENDING = concat!(
        owned!("0"), " UNION ALL ", owned!("1"), " ORDER BY 1 LIMIT ?1 OFFSET ?2"
    );
    LIST_CREATED = concat!(created!("?7"), "
         ORDER BY posts.created_at DESC, posts.id DESC LIMIT ?1 OFFSET ?2");
    LIST_CREATED_ASCENDING = concat!(created!("?7"), "
         ORDER BY posts.created_at, posts.id LIMIT ?1 OFFSET ?2");
    READ_RANKED = select_posts!(concat!(
        "FROM posts WHERE posts.id = ?1 AND (posts.published OR ?2) AND ",
        is_open!("posts.owner_id")
    ));
    // The fifth column is the time.
    LIST_ALL_CREATED = concat!(
        created!("0"), " UNION ALL ", created!("1"), " ORDER BY 5 DESC, 1 DESC LIMIT ?1 OFFSET ?2"
    );
    LIST_ALL_CREATED_ASCENDING = concat!(
        created!("0"), " UNION ALL ", created!("1"), " ORDER BY 5, 1 LIMIT ?1 OFFSET ?2"
    );
}

/// Passes over the posts in the hidden range, if there is one.
pub(super) fn list_posts(
    database: &Connection,
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &Page,
) -> Result<PostList> {
    let mut posts = if page.entries().is_empty() {
        ReservedPosts::default()
    } else if let Some(ids) = &page.ids {
        read_ranked(database, reader, page, ids)?
    } else if page.is_scanned() {
        search_posts(database, hidden, reader, page)?
    } else {
        read_list(database, hidden, reader, page)?
    };
    if page.is_backward() {
        posts.reverse();
    }
    // Checked last: an account that exists now existed when the list was read.
    if let Some(caller) = reader.caller() {
        find_caller(database, caller)?;
    }
    Ok(posts.into())
}

fn read_list(
    database: &Connection,
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &Page,
) -> Result<ReservedPosts> {
    let limit = page.limit.map_or(-1, i64::from);
    let skip = i64::try_from(page.skip).unwrap_or(i64::MAX);
    let (text, further) = list_statement(hidden, reader, page);
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

/// Reads the posts one by one.
fn read_ranked(
    database: &Connection,
    reader: Reader,
    page: &Page,
    ids: &[PostId],
) -> Result<ReservedPosts> {
    let sees_drafts = reader.draft_visibility() == DraftVisibility::Visible;
    let mut statement = database.prepare_cached(READ_RANKED)?;
    let mut page_builder = PageBuilder::new(page);
    for id in ids {
        if !page_builder.accepts_more() {
            break;
        }
        if let Some(found) = statement.query_row((id.0, sees_drafts), read_post).optional()? {
            page_builder.push(found);
        }
    }
    Ok(page_builder.into_posts())
}

/// Returns a statement with an index that gives its posts in the order of reading, and its
/// parameters after limit and skip.
fn list_statement(
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &Page,
) -> (&'static str, Vec<i64>) {
    let is_ascending = page.is_read_ascending();
    let in_order = |descending, ascending| if is_ascending { ascending } else { descending };
    let (from, to) = page.entries().into_inner();
    let sees_drafts = reader.draft_visibility() == DraftVisibility::Visible;
    if page.scope == PostScope::OwnDrafts {
        let statement = in_order(LIST_OWNED, LIST_OWNED_ASCENDING);
        return (statement, vec![drafts_of(reader).0, from.1, to.1, 0]);
    }
    match (page.owner, page.ordered_times()) {
        (Some(owner), _) if sees_drafts => {
            let statement = in_order(LIST_ALL_OWNED, LIST_ALL_OWNED_ASCENDING);
            (statement, vec![owner.0, from.1, to.1])
        }
        (Some(owner), _) => {
            (in_order(LIST_OWNED, LIST_OWNED_ASCENDING), vec![owner.0, from.1, to.1, 1])
        }
        (None, Some(_)) if sees_drafts => {
            let statement = in_order(LIST_ALL_CREATED, LIST_ALL_CREATED_ASCENDING);
            (statement, vec![from.0, from.1, to.0, to.1])
        }
        (None, Some(_)) => {
            let statement = in_order(LIST_CREATED, LIST_CREATED_ASCENDING);
            (statement, vec![from.0, from.1, to.0, to.1, 1])
        }
        (None, None) if hidden.is_none() && page.position.is_none() && !is_ascending => {
            (if sees_drafts { LIST_ALL } else { LIST_PUBLISHED }, Vec::new())
        }
        (None, None) => {
            let statement = if sees_drafts {
                in_order(LIST_ALL_AROUND, LIST_ALL_AROUND_ASCENDING)
            } else {
                in_order(LIST_PUBLISHED_AROUND, LIST_PUBLISHED_AROUND_ASCENDING)
            };
            (statement, ids_around(hidden, from.1, to.1).to_vec())
        }
    }
}
