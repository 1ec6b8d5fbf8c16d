//! Reads the rows that several files share. Another program may have written any value that the
//! column accepts. Each value is readable, so no row makes a list fail.

use std::borrow::Cow;

use jiff::Timestamp;
use rusqlite::Row;

use crate::domain::caller::Reader;
use crate::domain::post::{Post, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;
use crate::store::stored_text::readable_text;
use crate::store::stored_time::nearest_time;

/// Selects posts in the columns that [`read_post`] reads.
macro_rules! select_posts {
    ($rest:expr) => {
        concat!(
            "SELECT posts.id, posts.title, posts.content, posts.published, posts.created_at,
                    posts.owner_id,
                    (SELECT votes FROM vote_counts WHERE post_id = posts.id)
               ",
            $rest
        )
    };
}

/// A condition that leaves out the rows of closed accounts. The text is the column with the ID of
/// the account. Usually no account is closed, and then SQLite evaluates only the first part, once
/// per statement, and need not read the column.
macro_rules! is_open {
    ($account:literal) => {
        concat!(
            "(NOT EXISTS (SELECT 1 FROM account_deletions)
              OR ",
            $account,
            " NOT IN (SELECT user_id FROM account_deletions))"
        )
    };
}

pub(super) use {is_open, select_posts};

/// Reads microseconds since 1970 from column `index`, as the nearest time of the years 1 to 9999.
pub(super) fn timestamp(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(nearest_time)
}

/// Reads a text from column `index`. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn text<'row>(row: &'row Row<'_>, index: usize) -> rusqlite::Result<Cow<'row, str>> {
    Ok(readable_text(row.get_ref(index)?.as_bytes()?))
}

/// Reads a text that can be null.
pub(super) fn optional_text<'row>(
    row: &'row Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<Cow<'row, str>>> {
    Ok(row.get_ref(index)?.as_bytes_or_null()?.map(readable_text))
}

/// Returns the numbers as a parameter of `json_each`.
pub(super) fn json_array(numbers: impl Iterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// Reads a row of [`select_posts!`].
pub(super) fn read_post(row: &Row<'_>) -> rusqlite::Result<PostWithVotes> {
    Ok(PostWithVotes {
        post: Post {
            id: PostId(row.get(0)?),
            title: Text::from_stored(text(row, 1)?),
            content: Text::from_stored(text(row, 2)?),
            published: row.get(3)?,
            created_at: timestamp(row, 4)?,
            owner_id: UserId(row.get(5)?),
        },
        // A post without votes has no row in vote_counts.
        votes: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
    })
}

/// Returns the account whose drafts the reader's own are. A reader without an account has none, and
/// 0 is never an ID.
pub(super) fn drafts_of(reader: Reader) -> UserId {
    reader.user_id().unwrap_or(UserId(0))
}
