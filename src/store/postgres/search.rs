//! Searches of the titles in PostgreSQL: literal, case-sensitive, in their first 1,000 characters.
//!
//! A search first scans the newest titles, up to [`MAX_SEARCH_MISSES`], where it finds a frequent
//! text. If the matches do not fill the page, the trigram index is searched instead. The index
//! needs trigrams in the text, and `pg_trgm` makes them only of letters and digits. It returns the
//! posts in any order, so a text with frequent trigrams costs as much as all these posts. After a
//! timeout, the search returns what the scan has found.

use tokio_postgres::types::ToSql;

use super::callers::{FIND_TOKENS_VALID_FROM, ValidFromTimes};
use super::connection::{Connection, Value};
use super::distributed::{page, page_statements, select_distributed_page};
use super::hidden_range::posts_around;
use super::list_key::owned;
use super::pool::{MAX_CONNECTIONS, Pool};
use super::row::{drafts_of, is_open, is_public, read_list, read_rows, select_page};
use super::schema::SearchIndex;
use super::statement::Statement;
use crate::domain::caller::Reader;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::user::UserId;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::stored_time::nearest_time;
use crate::store::{PostList, Result};

/// Returns the matches among the first `$4` posts in the order, until `$5` misses. A long title
/// counts as several misses. A match has the text and was created from `$6` to `$7`, unless these are
/// null. The eighth column is the ID of the post with the last miss.
macro_rules! scan_titles {
    ($select:ident, $from:expr, $order:literal, $last:literal) => {
        concat!(
            "WITH looked_at AS MATERIALIZED (
                 SELECT id, is_hit,
                        sum(CASE WHEN is_hit THEN 0 ELSE weight END) OVER (ORDER BY ",
            $order,
            ") AS misses
                   FROM (SELECT id, strpos(left(title, 1000), $3) > 0
                                    AND ($6 IS NULL OR created_at BETWEEN $6 AND $7) AS is_hit,
                                1 + octet_length(title) / 1000 AS weight
                           FROM (",
            $from,
            " LIMIT $4) AS posts) AS candidates)
             SELECT page.*, last.id::bigint
               FROM (SELECT ",
            $last,
            "(id) AS id FROM looked_at WHERE misses >= $5) AS last
               LEFT JOIN (",
            $select!(
                concat!(
                    "SELECT posts.id, title, content, published, created_at, owner_id
                       FROM (SELECT id FROM looked_at
                              WHERE is_hit AND misses < $5
                              ORDER BY ",
                    $order,
                    " LIMIT $1 OFFSET $2) AS hits
                       JOIN posts USING (id)"
                ),
                $order
            ),
            ") AS page ON TRUE
              ORDER BY page.",
            $order
        )
    };
}

/// The titles of posts around a hidden range, newest first.
macro_rules! newest_titles {
    ($condition:expr) => {
        concat!(
            "SELECT id, title, created_at FROM ",
            posts_around!(
                concat!($condition, " AND id BETWEEN $8 AND $9"),
                "$10",
                "$11",
                "id DESC",
                "$4"
            ),
            " ORDER BY id DESC"
        )
    };
}

/// The titles of the posts of an owner, published or drafts.
macro_rules! owned_titles {
    ($published:literal, $direction:literal) => {
        owned!("id, title, created_at", "$10", $published, "$8", "$9", $direction)
    };
}

/// The titles of all posts of an owner.
macro_rules! all_owned_titles {
    ($order:literal, $direction:literal) => {
        concat!(
            "SELECT * FROM ((",
            owned_titles!("TRUE", $direction),
            " LIMIT $4) UNION ALL (",
            owned_titles!("FALSE", $direction),
            " LIMIT $4)) AS both_parts ORDER BY ",
            $order
        )
    };
}

page_statements! {
    SCAN_PUBLISHED_TITLES(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8, INT8
    ) = scan_titles!(
        newest_titles!(is_public!()), "id DESC", "max"
    );
    SCAN_ALL_TITLES(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8, INT8
    ) = scan_titles!(newest_titles!(is_open!("owner_id")), "id DESC", "max");
    SCAN_OWNED_TITLES(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8, BOOL
    ) = scan_titles!(owned_titles!("$11", " DESC"), "id DESC", "max");
    SCAN_OWNED_TITLES_ASCENDING(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8, BOOL
    ) = scan_titles!(owned_titles!("$11", ""), "id", "min");
    SCAN_ALL_OWNED_TITLES(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8
    ) = scan_titles!(all_owned_titles!("id DESC", " DESC"), "id DESC", "max");
    SCAN_ALL_OWNED_TITLES_ASCENDING(
        INT8, INT8, TEXT, INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8, INT8
    ) = scan_titles!(all_owned_titles!("id", ""), "id", "min");
    // Without MATERIALIZED the planner may scan all posts, newest first, and expect to reach the
    // limit early.
    SEARCH_INDEX(INT8, INT8, TEXT, BOOL, INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8) =
        page!(concat!(
            "WITH hits AS MATERIALIZED (
                 SELECT id, owner_id, created_at FROM posts
                  WHERE left(title, 1000) LIKE $3
                    AND (published OR $4) AND ", is_open!("owner_id"), "
             )
             SELECT posts.id, title, content, published, posts.created_at, posts.owner_id
               FROM (SELECT id FROM hits
                      WHERE ($5 IS NULL OR owner_id = $5)
                        AND ($6 IS NULL OR created_at BETWEEN $6 AND $7)
                        AND id BETWEEN $8 AND $9
                      ORDER BY id DESC LIMIT $1 OFFSET $2) AS newest
               JOIN posts USING (id)"
        ), "id DESC");
}

/// Returns the posts of a scanned page.
pub(super) async fn search_posts(
    pool: &Pool,
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &Page,
) -> Result<PostList> {
    let text = page.searched().unwrap_or_default();
    let search = Search { pool, hidden, reader, page, text };
    let mut connections = 1;
    loop {
        let connection = pool.acquire().await?;
        match search.run(&connection).await {
            Err(_) if connections < MAX_CONNECTIONS && connection.is_outdated() => connections += 1,
            outcome => return outcome,
        }
    }
}

struct Search<'a> {
    pool: &'a Pool,
    /// A range that the scan passes over.
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &'a Page,
    /// Empty if every title matches.
    text: &'a str,
}

/// A statement with its parameters.
struct Query {
    statement: &'static Statement,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Query {
    fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(|value| -> Value<'_> { value.as_ref() }).collect()
    }
}

impl Search<'_> {
    async fn run(&self, connection: &Connection) -> Result<PostList> {
        let posts = if self.page.skip > MAX_SEARCH_SKIP || self.text.chars().count() > 1000 {
            Vec::new().into()
        } else {
            self.find(connection).await?
        };
        // Checked last: an account that exists now existed when the titles were read.
        let callers: [i64; 1] = [drafts_of(self.reader).0];
        let users = connection.query(&FIND_TOKENS_VALID_FROM, &[&&callers[..]]).await?;
        ValidFromTimes::read(&users)?.check_reader(self.reader)?;
        Ok(posts)
    }

    async fn find(&self, connection: &Connection) -> Result<PostList> {
        let (first, complete) = (self.scan(Some(MAX_SEARCH_MISSES)), self.complete());
        let Some(limit) = self.page.limit else {
            // The client asks for all matches, so no timeout may hide some.
            let (query, memory) = (complete.unwrap_or(first), self.pool.list_memory().permit());
            let values = query.values();
            return Ok(read_list(connection, Some(memory), query.statement, &values).await?.into());
        };
        let mut found = read_list(connection, None, first.statement, &first.values()).await?;
        let is_full = u32::try_from(found.len()) == Ok(limit);
        if let Some(complete) = complete.filter(|_| !is_full) {
            let (timeout, values) = (self.pool.limits().search_timeout, complete.values());
            let rows = connection.query_at_most(timeout, complete.statement, &values).await?;
            if let Some(rows) = rows {
                found = read_rows(&rows)?;
            }
        }
        if self.page.is_backward() {
            found.reverse();
        }
        Ok(found.into())
    }

    /// Returns the search of all titles. `None` if neither an index nor the number of posts keeps
    /// it short.
    fn complete(&self) -> Option<Query> {
        let is_indexed = self.page.scope == PostScope::Public
            && has_trigrams(self.pool.search_index(), self.text);
        if is_indexed {
            let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![
                Box::new(self.limit()),
                Box::new(self.skip()),
                Box::new(pattern(self.text)),
                Box::new(self.reader.draft_visibility() == DraftVisibility::Visible),
                Box::new(self.page.owner.map(|owner| owner.0)),
            ];
            values.extend(self.times_and_ids());
            return Some(Query { statement: &SEARCH_INDEX, values });
        }
        let is_short = match self.page.scope {
            PostScope::OwnDrafts => self.text.chars().count() >= TRIGRAM_LENGTH,
            PostScope::Public => false,
        };
        let is_all_of_owner = self.page.limit.is_none() && self.page.searched().is_none();
        (is_short || is_all_of_owner).then(|| self.scan(None))
    }

    /// Returns the scan of titles in the order of the list, which ends after some misses.
    fn scan(&self, misses: Option<u32>) -> Query {
        let misses = misses.map(i64::from);
        // The page and the skipped posts, plus all misses: no later title can be on the page.
        let first = self.limit().zip(misses).map(|(limit, misses)| limit + self.skip() + misses);
        let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![
            Box::new(self.limit()),
            Box::new(self.skip()),
            Box::new(self.text.to_owned()),
            Box::new(first),
            Box::new(misses.unwrap_or(i64::MAX)),
        ];
        values.extend(self.times_and_ids());
        let is_ascending = self.page.is_read_ascending();
        let published = match (self.page.scope, self.reader.draft_visibility()) {
            (PostScope::OwnDrafts, _) => Some(false),
            (PostScope::Public, DraftVisibility::Private) => Some(true),
            (PostScope::Public, DraftVisibility::Visible) => None,
        };
        if let Some(owner) = self.owner() {
            values.push(Box::new(owner.0));
            let statement = match (published, is_ascending) {
                (Some(_), false) => &SCAN_OWNED_TITLES,
                (Some(_), true) => &SCAN_OWNED_TITLES_ASCENDING,
                (None, false) => &SCAN_ALL_OWNED_TITLES,
                (None, true) => &SCAN_ALL_OWNED_TITLES_ASCENDING,
            };
            if let Some(published) = published {
                values.push(Box::new(published));
            }
            return Query { statement, values };
        }
        let HiddenRange { above, up_to } = self.hidden.unwrap_or(HiddenRange::EMPTY);
        values.push(Box::new(above));
        values.push(Box::new(up_to));
        let statement = match published {
            Some(_) => &SCAN_PUBLISHED_TITLES,
            None => &SCAN_ALL_TITLES,
        };
        Query { statement, values }
    }

    /// Returns the bounds of the time of creation and of the ID.
    fn times_and_ids(&self) -> [Box<dyn ToSql + Send + Sync>; 4] {
        let created = self.page.created;
        let (from, to) = self.page.entries().into_inner();
        [
            Box::new(created.map(|created| nearest_time(created.from))),
            Box::new(created.map(|created| nearest_time(created.to))),
            Box::new(from.1),
            Box::new(to.1),
        ]
    }

    /// Returns the owner of all posts of the list.
    fn owner(&self) -> Option<UserId> {
        match self.page.scope {
            PostScope::OwnDrafts => Some(drafts_of(self.reader)),
            PostScope::Public => self.page.owner,
        }
    }

    fn limit(&self) -> Option<i64> {
        self.page.limit.map(i64::from)
    }

    fn skip(&self) -> i64 {
        i64::try_from(self.page.skip).unwrap_or(i64::MAX)
    }
}

/// Whether the text contains three consecutive letters or digits that the index knows.
fn has_trigrams(index: SearchIndex, text: &str) -> bool {
    let is_known: fn(char) -> bool = match index {
        SearchIndex::Missing => return false,
        SearchIndex::Ascii => |character| character.is_ascii_alphanumeric(),
        SearchIndex::Unicode => char::is_alphanumeric,
    };
    text.split(|character| !is_known(character)).any(|word| word.chars().count() >= TRIGRAM_LENGTH)
}

/// Returns the LIKE pattern of the titles that contain the text.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::{SearchIndex, has_trigrams, pattern};

    #[test]
    fn pattern_escapes_wildcards() {
        assert_eq!(pattern(r"100% _a\b"), r"%100\% \_a\\b%");
        assert_eq!(pattern("plain"), "%plain%");
    }

    #[test]
    fn text_with_three_letters_or_digits_has_trigrams() {
        for (text, ascii, unicode) in [
            ("abc", true, true),
            ("ab c1d2", true, true),
            ("ab cd", false, false),
            ("+++", false, false),
            ("жжж", false, true),
            ("aжb", false, true),
        ] {
            assert_eq!(has_trigrams(SearchIndex::Ascii, text), ascii, "{text}");
            assert_eq!(has_trigrams(SearchIndex::Unicode, text), unicode, "{text}");
            assert!(!has_trigrams(SearchIndex::Missing, text), "{text}");
        }
    }
}
