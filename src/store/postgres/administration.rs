//! The reads of administrators in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::caller_params;
use super::column::column;
use super::connection::Value;
use super::events::read_event;
use super::operator::read_account;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::administration::{
    AccountEvent, AccountPage, DayCount, EventPage, ListPage, Listed, RowCount, RowCounts,
};
use crate::domain::caller::Caller;
use crate::domain::user::UserId;
use crate::store::administration::{
    AdministrationStore, MAX_COUNTED, MAX_PER_DAY, NEWEST_ACCOUNTS, SignUps,
};
use crate::store::{Result, StoreError};

/// Joins an inner statement to the row of the caller. The inner statement reads nothing unless the
/// caller is an administrator, as the last column says. A valid caller gets at least one row, a
/// rejected caller no row. If the inner statement finds nothing, its columns are null.
macro_rules! for_administrator {
    ($columns:literal, $inner:expr) => {
        concat!(
            "SELECT ",
            $columns,
            ", caller.is_admin
               FROM users AS caller
               LEFT JOIN LATERAL (",
            $inner,
            ") AS listed ON TRUE
              WHERE caller.id = $1 AND caller.tokens_valid_from BETWEEN $2 AND $3
                AND caller.disabled_at IS NULL
              ORDER BY listed.id DESC"
        )
    };
}

statements! {
    IS_ADMINISTRATOR(INT8, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT is_admin FROM users
          WHERE id = $1 AND tokens_valid_from BETWEEN $2 AND $3 AND disabled_at IS NULL";
    LIST_ALL_ACCOUNTS(INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8) = for_administrator!(
        "listed.id::bigint, listed.email, listed.created_at, listed.name, listed.disabled_at,
         listed.is_admin",
        concat!(
            "SELECT id, email, created_at, name, disabled_at, is_admin FROM users
              WHERE caller.is_admin AND id < $4 AND ", is_open!("id"), "
              ORDER BY id DESC LIMIT $5"
        )
    );
    LIST_ALL_EVENTS(INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8) = for_administrator!(
        "listed.kind, listed.at, listed.client, listed.user_id::bigint, listed.id::bigint",
        concat!(
            "SELECT id, user_id, kind, at, client FROM events
              WHERE caller.is_admin AND id < $4 AND ", is_open!("user_id"), "
              ORDER BY id DESC LIMIT $5"
        )
    );
    // The servers of a distributed table count all their rows, which costs less than sending some.
    COUNT_ROWS(INT8) = concat!(
        "SELECT (SELECT count(*) FROM (SELECT FROM users WHERE ", is_open!("id"), " LIMIT $1) AS u),
                (SELECT count(*) FROM (SELECT FROM posts WHERE published LIMIT $1) AS p),
                (SELECT count(*) FROM (SELECT FROM posts WHERE NOT published LIMIT $1) AS d),
                (SELECT count(*) FROM (SELECT FROM votes LIMIT $1) AS v)"
    ), concat!(
        "SELECT (SELECT count(*) FROM (SELECT id FROM users WHERE ", is_open!("id"), " LIMIT $1) AS u),
                (SELECT count(*) FROM posts WHERE published),
                (SELECT count(*) FROM posts WHERE NOT published),
                (SELECT count(*) FROM votes)"
    );
    // VACUUM and ANALYZE write these numbers. They are -1 before the first of them.
    ESTIMATE_ROWS() =
        "SELECT relname::text, reltuples::bigint FROM pg_class
          WHERE oid = ANY (ARRAY[to_regclass('users'), to_regclass('posts'),
                                 to_regclass('posts_published'), to_regclass('votes')]::oid[])";
    // The days follow each other without a gap.
    COUNT_POSTS_OF_DAYS(TIMESTAMPTZ_ARRAY, INT8) =
        "SELECT (SELECT count(*) FROM (SELECT FROM posts
                                        WHERE published AND created_at >= day.begins_at
                                          AND created_at < day.begins_at + interval '24 hours'
                                        LIMIT $2) AS counted)
           FROM unnest($1) WITH ORDINALITY AS day (begins_at, number)
          ORDER BY day.number",
        "WITH counted AS MATERIALIZED (
             SELECT width_bucket(created_at, $1) AS number, count(*) AS posts
               FROM posts
              WHERE published
                AND created_at >= (SELECT min(begins_at) FROM unnest($1) AS begins_at)
                AND created_at < (SELECT max(begins_at) + interval '24 hours'
                                    FROM unnest($1) AS begins_at)
              GROUP BY 1
         )
         SELECT least(coalesce(counted.posts, 0), $2)
           FROM unnest($1) WITH ORDINALITY AS day (begins_at, number)
           LEFT JOIN counted ON counted.number = day.number
          ORDER BY day.number";
    COUNT_NEWEST_ACCOUNTS(INT8) = concat!(
        "SELECT min(created_at), count(*), min(id)::bigint
           FROM (SELECT id, created_at FROM users WHERE ", is_open!("id"), "
                  ORDER BY id DESC LIMIT $1) AS newest
          GROUP BY floor(extract(epoch FROM created_at) / 86400)"
    );
}

#[async_trait]
impl AdministrationStore for PostgresStore {
    async fn is_administrator(&self, caller: Caller) -> Result<bool> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let rows = pool.query(&IS_ADMINISTRATOR, &[&id, &earliest, &latest]).await?;
            column(rows.first().ok_or(StoreError::CallerRejected)?, 0)
        })
        .await
    }

    async fn list_accounts(&self, caller: Caller, page: ListPage) -> Result<Option<AccountPage>> {
        let rows = self.list_for(caller, page, &LIST_ALL_ACCOUNTS).await?;
        read_page(&rows, page, 0, |row| {
            let account = read_account(row)?;
            Ok((account.user.id.0, Some(account)))
        })
    }

    async fn list_all_events(&self, caller: Caller, page: ListPage) -> Result<Option<EventPage>> {
        let rows = self.list_for(caller, page, &LIST_ALL_EVENTS).await?;
        read_page(&rows, page, 4, |row| {
            let (user_id, id) = (UserId(column(row, 3)?), column(row, 4)?);
            Ok((id, read_event(row)?.map(|event| AccountEvent { id, user_id, event })))
        })
    }

    async fn count_all_rows(&self) -> Result<RowCounts> {
        let read = async {
            let limit = i64::from(MAX_COUNTED) + 1;
            let rows = self.long_work.query(&COUNT_ROWS, &[&limit]).await?;
            let row = rows.first().ok_or_else(|| StoreError::internal("no row of counts"))?;
            let counts = [column(row, 0)?, column(row, 1)?, column(row, 2)?, column(row, 3)?];
            if counts.iter().all(|count| *count < limit) {
                return Ok(row_counts(counts.map(exact)));
            }
            let rows = self.long_work.query(&ESTIMATE_ROWS, &[]).await?;
            let estimates = rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?)));
            let estimates = estimates.collect::<Result<Vec<(String, i64)>>>()?;
            Ok(row_counts(with_estimates(counts, &estimates)))
        };
        Box::pin(self.read_long(read)).await
    }

    async fn count_days(&self, days: Vec<Timestamp>) -> Result<Vec<DayCount>> {
        let read = async {
            let values: [Value<'_>; 2] = [&days, &i64::from(MAX_PER_DAY)];
            let posts = self.long_work.query(&COUNT_POSTS_OF_DAYS, &values).await?;
            let limit = i64::from(NEWEST_ACCOUNTS);
            let mut sign_ups = SignUps::default();
            for row in &self.long_work.query(&COUNT_NEWEST_ACCOUNTS, &[&limit]).await? {
                sign_ups.add(column(row, 0)?, to_u64(column(row, 1)?), column(row, 2)?);
            }
            let count = |(begins_at, row): (&Timestamp, &Row)| {
                let (begins_at, posts) = (*begins_at, to_u64(column(row, 0)?));
                Ok(DayCount { begins_at, users: sign_ups.of(begins_at), posts })
            };
            days.iter().zip(&posts).map(count).collect()
        };
        Box::pin(self.read_long(read)).await
    }
}

impl PostgresStore {
    /// Returns the rows of the page, and of one entry more.
    async fn list_for(
        &self,
        caller: Caller,
        page: ListPage,
        statement: &'static Statement,
    ) -> Result<Vec<Row>> {
        let (before, limit) = (page.before.unwrap_or(i64::MAX), i64::from(page.limit) + 1);
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let values: [Value<'_>; 5] = [&id, &earliest, &latest, &before, &limit];
            Ok(pool.query(statement, &values).await?)
        })
        .await
    }
}

/// Reads the rows of [`for_administrator!`]. `id` is the column of the ID. An entry of a kind that
/// only a newer version knows is left out.
fn read_page<T>(
    rows: &[Row],
    page: ListPage,
    id: usize,
    read: impl Fn(&Row) -> Result<(i64, Option<T>)>,
) -> Result<Option<Listed<T>>> {
    let first = rows.first().ok_or(StoreError::CallerRejected)?;
    if !column::<bool>(first, first.len() - 1)? {
        return Ok(None);
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut listed = Listed { entries: Vec::new(), next: None };
    if column::<Option<i64>>(first, id)?.is_none() {
        return Ok(Some(listed));
    }
    for row in rows.iter().take(limit) {
        let (id, entry) = read(row)?;
        listed.entries.extend(entry);
        listed.next = Some(id);
    }
    listed.next = listed.next.filter(|_| rows.len() > limit);
    Ok(Some(listed))
}

/// Replaces the counts that have reached their limit by the estimates.
fn with_estimates(counts: [i64; 4], estimates: &[(String, i64)]) -> [RowCount; 4] {
    let estimate = |relation: &str| {
        estimates.iter().find(|(name, _)| name == relation).map_or(0, |(_, rows)| (*rows).max(0))
    };
    let published = estimate("posts_published");
    let drafts = estimate("posts") - published;
    let larger = [estimate("users"), published, drafts, estimate("votes")];
    let mut shown = counts.map(exact);
    for (count, larger) in shown.iter_mut().zip(larger) {
        if count.count > u64::from(MAX_COUNTED) {
            *count = RowCount { count: count.count.max(to_u64(larger)), is_exact: false };
        }
    }
    shown
}

fn row_counts([users, posts, drafts, votes]: [RowCount; 4]) -> RowCounts {
    RowCounts { users, posts, drafts, votes }
}

fn exact(count: i64) -> RowCount {
    RowCount { count: to_u64(count), is_exact: true }
}

fn to_u64(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_at_its_limit_is_replaced_by_the_estimate_if_that_is_larger() {
        let limit = i64::from(MAX_COUNTED) + 1;
        let estimates = [("posts", 5_000_000), ("posts_published", 3_000_000), ("votes", 7)]
            .map(|(name, rows)| (name.to_owned(), rows));
        let [users, posts, drafts, votes] = with_estimates([5, limit, limit, limit], &estimates);
        assert_eq!(users, RowCount { count: 5, is_exact: true });
        assert_eq!(posts, RowCount { count: 3_000_000, is_exact: false });
        assert_eq!(drafts, RowCount { count: 2_000_000, is_exact: false });
        assert_eq!(votes, RowCount { count: 1_000_001, is_exact: false });
    }
}
