//! The statement that reads a list, in the order of an index. Equal keys are equal lists.

use super::connection::{Connection, Value};
use super::distributed::{page, page_statements, select_distributed_page};
use super::hidden_range::posts_around;
use super::row::{drafts_of, is_open, is_public, read_list, select_page};
use super::statement::Statement;
use crate::domain::caller::Reader;
use crate::domain::page::{EntryKey, Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::user::UserId;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::list_memory::ListMemory;
use crate::store::stored_time::nearest_time;
use crate::store::{PostList, Result};

/// The posts in a range of IDs for which the condition is true, around a hidden range.
macro_rules! list_around {
    ($select:ident, $condition:expr, $order:literal) => {
        $select!(
            concat!(
                "SELECT id, title, content, published, created_at, owner_id
                   FROM ",
                posts_around!(
                    concat!($condition, " AND id BETWEEN $5 AND $6"),
                    "$3",
                    "$4",
                    $order,
                    "$1 + $2"
                ),
                " ORDER BY ",
                $order,
                " LIMIT $1 OFFSET $2"
            ),
            $order
        )
    };
}

/// The posts of an owner, published or drafts, in a range of IDs.
///
/// With `owner_id = $3`, the planner may read the posts of all users in their order, and expect to
/// reach the limit early. Only the index on these three columns serves this range and order.
macro_rules! owned {
    (
        $columns:literal, $owner:literal, $published:literal, $from:literal, $to:literal,
        $direction:literal
    ) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM posts
              WHERE ",
            is_open!("owner_id"),
            " AND (owner_id, published, id) >= (",
            $owner,
            ", ",
            $published,
            ", ",
            $from,
            ") AND (owner_id, published, id) <= (",
            $owner,
            ", ",
            $published,
            ", ",
            $to,
            ") ORDER BY owner_id",
            $direction,
            ", published",
            $direction,
            ", id",
            $direction
        )
    };
}

/// The posts, published or drafts, in a range of times and IDs.
macro_rules! created {
    ($columns:literal, $published:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM posts
              WHERE ",
            is_open!("owner_id"),
            " AND (published, created_at, id) >= (",
            $published,
            ", $4, $5) AND (published, created_at, id) <= (",
            $published,
            ", $6, $7) ORDER BY published",
            $direction,
            ", created_at",
            $direction,
            ", id",
            $direction
        )
    };
}

/// The first posts of two statements in the same order.
macro_rules! merged {
    ($select:ident, $first:expr, $second:expr, $order:literal) => {
        $select!(
            concat!(
                "SELECT posts.id, title, content, published, posts.created_at, owner_id
                   FROM (SELECT *
                           FROM ((",
                $first,
                " LIMIT $1 + $2)
                                 UNION ALL
                                 (",
                $second,
                " LIMIT $1 + $2)) AS both_parts
                          ORDER BY ",
                $order,
                " LIMIT $1 OFFSET $2) AS merged
                   JOIN posts USING (id)"
            ),
            $order
        )
    };
}

page_statements! {
    LIST_PUBLISHED(INT8, INT8) = page!(concat!(
        "SELECT id, title, content, published, created_at, owner_id
           FROM posts
          WHERE ", is_open!("owner_id"), " AND published
          ORDER BY id DESC LIMIT $1 OFFSET $2"
    ), "id DESC");
    LIST_ALL(INT8, INT8) = page!(concat!(
        "SELECT id, title, content, published, created_at, owner_id
           FROM posts
          WHERE ", is_open!("owner_id"), "
          ORDER BY id DESC LIMIT $1 OFFSET $2"
    ), "id DESC");
    LIST_PUBLISHED_AROUND(INT8, INT8, INT8, INT8, INT8, INT8) =
        list_around!(is_public!(), "id DESC");
    LIST_PUBLISHED_AROUND_ASCENDING(INT8, INT8, INT8, INT8, INT8, INT8) =
        list_around!(is_public!(), "id");
    LIST_ALL_AROUND(INT8, INT8, INT8, INT8, INT8, INT8) =
        list_around!(is_open!("owner_id"), "id DESC");
    LIST_ALL_AROUND_ASCENDING(INT8, INT8, INT8, INT8, INT8, INT8) =
        list_around!(is_open!("owner_id"), "id");
    LIST_OWNED(INT8, INT8, INT8, BOOL, INT8, INT8) = page!(concat!(
        owned!(
            "id, title, content, published, created_at, owner_id", "$3", "$4", "$5", "$6", " DESC"
        ),
        " LIMIT $1 OFFSET $2"
    ), "id DESC");
    LIST_OWNED_ASCENDING(INT8, INT8, INT8, BOOL, INT8, INT8) = page!(concat!(
        owned!("id, title, content, published, created_at, owner_id", "$3", "$4", "$5", "$6", ""),
        " LIMIT $1 OFFSET $2"
    ), "id");
    LIST_ALL_OWNED(INT8, INT8, INT8, INT8, INT8) = merged!(
        owned!("id", "$3", "TRUE", "$4", "$5", " DESC"),
        owned!("id", "$3", "FALSE", "$4", "$5", " DESC"),
        "id DESC"
    );
    LIST_ALL_OWNED_ASCENDING(INT8, INT8, INT8, INT8, INT8) = merged!(
        owned!("id", "$3", "TRUE", "$4", "$5", ""),
        owned!("id", "$3", "FALSE", "$4", "$5", ""),
        "id"
    );
    LIST_CREATED(INT8, INT8, BOOL, TIMESTAMPTZ, INT8, TIMESTAMPTZ, INT8) = page!(concat!(
        created!("id, title, content, published, created_at, owner_id", "$3", " DESC"),
        " LIMIT $1 OFFSET $2"
    ), "created_at DESC, id DESC");
    LIST_CREATED_ASCENDING(INT8, INT8, BOOL, TIMESTAMPTZ, INT8, TIMESTAMPTZ, INT8) = page!(
        concat!(
            created!("id, title, content, published, created_at, owner_id", "$3", ""),
            " LIMIT $1 OFFSET $2"
        ),
        "created_at, id"
    );
    LIST_RANKED(INT8, INT8, INT8_ARRAY, BOOL) = page!(concat!(
        "SELECT posts.id, title, content, published, created_at, owner_id, place
           FROM unnest($3) WITH ORDINALITY AS asked (id, place)
           JOIN posts USING (id)
          WHERE ", is_open!("owner_id"), " AND (posts.published OR $4)
          ORDER BY place LIMIT $1 OFFSET $2"
    ), "place");
    // `$3` is not used.
    LIST_ALL_CREATED(INT8, INT8, BOOL, TIMESTAMPTZ, INT8, TIMESTAMPTZ, INT8) = merged!(
        created!("id, created_at", "TRUE", " DESC"),
        created!("id, created_at", "FALSE", " DESC"),
        "created_at DESC, id DESC"
    );
    LIST_ALL_CREATED_ASCENDING(INT8, INT8, BOOL, TIMESTAMPTZ, INT8, TIMESTAMPTZ, INT8) = merged!(
        created!("id, created_at", "TRUE", ""),
        created!("id, created_at", "FALSE", ""),
        "created_at, id"
    );
}

pub(super) use owned;

/// No table has more posts. The sum of skip and limit fits into 64 bits.
const MAX_SKIP: i64 = i64::MAX / 2;

/// All parameters that determine the content of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListKey {
    source: Source,
    limit: Option<i64>,
    skip: i64,
    is_ascending: bool,
    is_backward: bool,
    from: EntryKey,
    to: EntryKey,
}

/// The posts that a list reads. Without `published`, drafts too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The newest posts, without a position.
    Newest {
        published: Option<bool>,
    },
    /// A range of IDs. The list passes over the hidden range.
    Ids {
        published: Option<bool>,
        hidden: HiddenRange,
    },
    Owned {
        published: Option<bool>,
        owner: UserId,
    },
    Created {
        published: Option<bool>,
    },
    Ranked {
        sees_drafts: bool,
        ids: Vec<i64>,
    },
}

impl ListKey {
    pub(super) fn of(reader: Reader, page: &Page, hidden: Option<HiddenRange>) -> Self {
        let is_ascending = page.is_read_ascending();
        let published = match (page.scope, reader.draft_visibility()) {
            (PostScope::OwnDrafts, _) => Some(false),
            (PostScope::Public, DraftVisibility::Private) => Some(true),
            (PostScope::Public, DraftVisibility::Visible) => None,
        };
        let author = (page.scope == PostScope::OwnDrafts).then(|| drafts_of(reader));
        let source = match author.or(page.owner) {
            _ if page.ids.is_some() => Source::Ranked {
                sees_drafts: published.is_none(),
                ids: page.ids.iter().flatten().map(|id| id.0).collect(),
            },
            Some(owner) => Source::Owned { published, owner },
            None if page.ordered_times().is_some() => Source::Created { published },
            None if hidden.is_none() && page.position.is_none() && !is_ascending => {
                Source::Newest { published }
            }
            None => Source::Ids { published, hidden: hidden.unwrap_or(HiddenRange::EMPTY) },
        };
        let (from, to) = page.entries().into_inner();
        let skip = i64::try_from(page.skip).unwrap_or(MAX_SKIP).min(MAX_SKIP);
        let limit = page.limit.map(i64::from);
        let is_backward = page.is_backward();
        Self { source, limit, skip, is_ascending, is_backward, from, to }
    }

    pub(super) fn statement(&self) -> &'static Statement {
        match (&self.source, self.is_ascending) {
            (Source::Ranked { .. }, _) => &LIST_RANKED,
            (Source::Newest { published: Some(_) }, _) => &LIST_PUBLISHED,
            (Source::Newest { published: None }, _) => &LIST_ALL,
            (Source::Ids { published: Some(_), .. }, false) => &LIST_PUBLISHED_AROUND,
            (Source::Ids { published: Some(_), .. }, true) => &LIST_PUBLISHED_AROUND_ASCENDING,
            (Source::Ids { published: None, .. }, false) => &LIST_ALL_AROUND,
            (Source::Ids { published: None, .. }, true) => &LIST_ALL_AROUND_ASCENDING,
            (Source::Owned { published: Some(_), .. }, false) => &LIST_OWNED,
            (Source::Owned { published: Some(_), .. }, true) => &LIST_OWNED_ASCENDING,
            (Source::Owned { published: None, .. }, false) => &LIST_ALL_OWNED,
            (Source::Owned { published: None, .. }, true) => &LIST_ALL_OWNED_ASCENDING,
            (Source::Created { published: Some(_) }, false) => &LIST_CREATED,
            (Source::Created { published: Some(_) }, true) => &LIST_CREATED_ASCENDING,
            (Source::Created { published: None }, false) => &LIST_ALL_CREATED,
            (Source::Created { published: None }, true) => &LIST_ALL_CREATED_ASCENDING,
        }
    }

    pub(super) async fn read(
        &self,
        connection: &Connection,
        memory: &ListMemory,
    ) -> Result<PostList> {
        let (from, to) = (nearest_time(self.from.0), nearest_time(self.to.0));
        let mut values: Vec<Value<'_>> = vec![&self.limit, &self.skip];
        let further: &[Value<'_>] = match &self.source {
            Source::Newest { .. } => &[],
            Source::Ranked { sees_drafts, ids } => &[ids, sees_drafts],
            Source::Ids { hidden, .. } => &[&hidden.above, &hidden.up_to, &self.from.1, &self.to.1],
            Source::Owned { published: Some(published), owner } => {
                &[&owner.0, published, &self.from.1, &self.to.1]
            }
            Source::Owned { published: None, owner } => &[&owner.0, &self.from.1, &self.to.1],
            Source::Created { published } => &[published, &from, &self.from.1, &to, &self.to.1],
        };
        values.extend(further);
        let memory = self.limit.is_none().then(|| memory.permit());
        let mut posts = read_list(connection, memory, self.statement(), &values).await?;
        if self.is_backward {
            posts.reverse();
        }
        Ok(posts.into())
    }
}
