//! Reads the rows that several files share.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

use crate::domain::post::{Post, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;

/// Selects posts in the columns that [`read_post`] reads.
macro_rules! select_posts {
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

pub(super) use select_posts;

/// Reads microseconds since 1970 from column `index`.
pub(super) fn timestamp(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(index)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
    })
}

/// Reads a row of [`select_posts!`].
pub(super) fn read_post(row: &Row<'_>) -> rusqlite::Result<PostWithVotes> {
    Ok(PostWithVotes {
        post: Post {
            id: PostId(row.get(0)?),
            title: Text::from_stored(row.get_ref(1)?.as_str()?),
            content: Text::from_stored(row.get_ref(2)?.as_str()?),
            published: row.get(3)?,
            created_at: timestamp(row, 4)?,
            owner_id: UserId(row.get(5)?),
        },
        // A post without votes has no row in vote_counts.
        votes: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
    })
}
