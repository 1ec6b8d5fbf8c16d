//! Ranges of IDs without a post of an open account, in SQLite. Writes follow each other, and
//! AUTOINCREMENT gives each post a larger ID than all earlier ones. A snapshot therefore has every
//! post that will ever have one of its IDs.

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::deletions::SqliteSlices;
use super::row::is_open;
use super::statement::statements;
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::deletions::hidden_range::{HiddenRange, HiddenRangeStore, LastId};

/// A SELECT of posts with the IDs of two ranges, in the order of their IDs, with `ASC` or `DESC`. Its
/// first column is the ID. The other parameters are that column, and the bounds of the ranges, see
/// [`ids_around`].
macro_rules! around_hidden {
    (
        $select:expr, $id:literal,
        [$from:literal, $to:literal, $older_from:literal, $older_to:literal], $direction:literal
    ) => {
        concat!(
            $select,
            " AND ",
            $id,
            " BETWEEN ",
            $from,
            " AND ",
            $to,
            " UNION ALL ",
            $select,
            " AND ",
            $id,
            " BETWEEN ",
            $older_from,
            " AND ",
            $older_to,
            " ORDER BY 1 ",
            $direction
        )
    };
}

pub(super) use around_hidden;

/// Returns the bounds of the IDs above the hidden range, and of those below it. SQLite uses one bound
/// on each side to search an index, so each part has its own.
pub(super) fn ids_around(hidden: Option<HiddenRange>, from: i64, to: i64) -> [i64; 4] {
    let HiddenRange { above, up_to } = hidden.unwrap_or(HiddenRange::EMPTY);
    match up_to.checked_add(1) {
        Some(newer) => [from.max(newer), to, from, to.min(above)],
        None => [i64::MAX, i64::MIN, from, to.min(above)],
    }
}

statements! {
    FIND_HIDDEN_RANGE = concat!(
        "SELECT newest.id,
                (SELECT posts.id FROM posts NOT INDEXED
                  WHERE posts.id < newest.id AND ", is_open!("owner_id"), "
                  ORDER BY posts.id DESC LIMIT 1),
                (SELECT min(id) FROM posts NOT INDEXED)
           FROM (SELECT max((SELECT coalesce(max(id), ?3) FROM posts INDEXED BY posts_owner
                              WHERE owner_id = ?1 AND published = FALSE AND id <= ?2),
                            (SELECT coalesce(max(id), ?3) FROM posts INDEXED BY posts_owner
                              WHERE owner_id = ?1 AND published = TRUE AND id <= ?2)) AS id) AS newest
          WHERE newest.id > ?3"
    );
}

#[async_trait]
impl HiddenRangeStore for SqliteSlices {
    async fn find_last_id(&self) -> Result<Option<LastId>> {
        Ok(Some(LastId { id: i64::MAX, transactions: Vec::new() }))
    }

    async fn find_running(&self, _transactions: Vec<String>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn find_hidden_range(
        &self,
        UserId(account): UserId,
        up_to: i64,
    ) -> Result<Option<HiddenRange>> {
        self.list_readers
            .run(move |database| {
                let mut statement = database.prepare_cached(FIND_HIDDEN_RANGE)?;
                let range = statement.query_row([account, up_to, i64::MIN], |row| {
                    Ok(HiddenRange::new(row.get(0)?, row.get(1)?, row.get(2)?))
                });
                Ok(range.optional()?)
            })
            .await
    }
}
