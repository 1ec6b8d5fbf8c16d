//! Reads the rows that several files share.

use std::borrow::Cow;

use tokio_postgres::Row;

use super::column::column;
use super::connection::{Connection, QueryError, Value};
use super::statement::Statement;
use crate::domain::caller::Reader;
use crate::domain::post::{Post, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::list_memory::ListPermit;
use crate::store::post_list::ReservedPosts;

/// Selects the posts of an inner statement in the columns that [`read_post`] reads, in the given
/// order. `$1` is the limit of the list, also in the inner statement. If it is not null, the list
/// ends after [`crate::store::page_limits::PAGE_BYTES`], and the server does not send the rest.
macro_rules! select_page {
    ($inner:expr, $order:literal) => {
        concat!(
            "SELECT id::bigint, title, content, published, created_at, owner_id::bigint,
                    (SELECT votes FROM vote_counts WHERE post_id = page.id)
               FROM (SELECT *,
                            sum(octet_length(title) + octet_length(content)) OVER (
                                ORDER BY ",
            $order,
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                            ) AS bytes_before
                       FROM (",
            $inner,
            ") AS posts) AS page
              WHERE $1 IS NULL OR bytes_before IS NULL OR bytes_before < 8388608
              ORDER BY ",
            $order
        )
    };
}

/// A condition that leaves out the rows of closed accounts. The text is the column with the ID of
/// the account. PostgreSQL reads the closed accounts once per statement; usually there are none.
/// COALESCE keeps the planner from estimating that no row is left.
macro_rules! is_open {
    ($account:literal) => {
        concat!(
            "COALESCE(",
            $account,
            " <> ALL (ARRAY(SELECT user_id FROM account_deletions)), TRUE)"
        )
    };
}

/// The condition of the posts that every user can see.
macro_rules! is_public {
    () => {
        concat!(is_open!("owner_id"), " AND published")
    };
}

pub(super) use {is_open, is_public, select_page};

/// The column after those of [`read_post`].
const STOPPED_AT: usize = 7;

/// Reads a row of ID, title, content, published, `created_at`, owner ID and votes.
pub(super) fn read_post(row: &Row) -> Result<PostWithVotes> {
    Ok(PostWithVotes {
        post: Post {
            id: PostId(column(row, 0)?),
            title: Text::from_stored(column::<Cow<'_, str>>(row, 1)?),
            content: Text::from_stored(column::<Cow<'_, str>>(row, 2)?),
            published: column(row, 3)?,
            created_at: column(row, 4)?,
            owner_id: UserId(column(row, 5)?),
        },
        // A post without votes has no row in vote_counts.
        votes: column::<Option<i64>>(row, 6)?.unwrap_or(0),
    })
}

/// Reads the posts of a list, in the order of the statement. A list without a limit reserves memory
/// for each post before it reads the next one.
pub(super) async fn read_list(
    connection: &Connection,
    memory: Option<ListPermit>,
    statement: &Statement,
    values: &[Value<'_>],
) -> std::result::Result<ReservedPosts, QueryError> {
    let mut posts = ReservedPosts::new(memory);
    connection.query_each(statement, values, |row| add_row(&mut posts, row)).await?;
    Ok(posts)
}

/// Reads the posts of a list with a limit.
pub(super) fn read_rows(rows: &[Row]) -> Result<ReservedPosts> {
    let mut posts = ReservedPosts::new(None);
    rows.iter().try_for_each(|row| add_row(&mut posts, row))?;
    Ok(posts)
}

/// Adds a row of [`read_post`]. A statement that stops after some posts without a match has one more
/// column: the ID of the last post that it looked at. If it found no post, the rest of its only row
/// is null.
fn add_row(posts: &mut ReservedPosts, row: &Row) -> Result<()> {
    if row.len() > STOPPED_AT {
        posts.stopped_at = column(row, STOPPED_AT)?;
        if column::<Option<i64>>(row, 0)?.is_none() {
            return Ok(());
        }
    }
    posts.push(read_post(row)?)
}

/// Returns the account whose drafts the reader's own are. A reader without an account has none, and
/// 0 is never an ID.
pub(super) fn drafts_of(reader: Reader) -> UserId {
    reader.user_id().unwrap_or(UserId(0))
}
