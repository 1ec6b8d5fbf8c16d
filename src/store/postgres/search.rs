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
use super::hidden_range::posts_around;
use super::pool::Pool;
use super::row::{is_open, read_list, read_post, select_page};
use super::schema::SearchIndex;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::{PostList, Result};

/// Returns the matches among the newest `$4` posts, until `$5` misses. A long title counts as
/// several misses.
macro_rules! scan_titles {
    ($from:expr, $order:literal) => {
        select_page!(concat!(
            "SELECT posts.id, title, content, published, created_at, owner_id
               FROM (SELECT id
                       FROM (SELECT id, is_hit,
                                    sum(CASE WHEN is_hit THEN 0 ELSE weight END)
                                        OVER (ORDER BY id DESC) AS misses
                               FROM (SELECT id, strpos(left(title, 1000), $3) > 0 AS is_hit,
                                            1 + octet_length(title) / 1000 AS weight
                                       FROM ",
            $from,
            "
                                      ORDER BY ",
            $order,
            " LIMIT $4) AS newest) AS looked_at
                      WHERE is_hit AND misses < $5
                      ORDER BY id DESC LIMIT $1 OFFSET $2) AS hits
               JOIN posts USING (id)"
        ))
    };
}

/// The condition of the posts that every user can see.
macro_rules! is_public {
    () => {
        concat!(is_open!("owner_id"), " AND published")
    };
}

statements! {
    SCAN_PUBLISHED_TITLES(INT8, INT8, TEXT, INT8, INT8) =
        scan_titles!(concat!("posts WHERE ", is_public!()), "id DESC");
    SCAN_ALL_TITLES(INT8, INT8, TEXT, INT8, INT8) =
        scan_titles!(concat!("posts WHERE ", is_open!("owner_id")), "id DESC");
    SCAN_PUBLISHED_TITLES_AROUND(INT8, INT8, TEXT, INT8, INT8, INT8, INT8) =
        scan_titles!(posts_around!(is_public!(), "$6", "$7", "$4"), "id DESC");
    SCAN_ALL_TITLES_AROUND(INT8, INT8, TEXT, INT8, INT8, INT8, INT8) =
        scan_titles!(posts_around!(is_open!("owner_id"), "$6", "$7", "$4"), "id DESC");
    // The range and the order name the index, as in `LIST_OWN_DRAFTS`.
    SCAN_DRAFT_TITLES(INT8, INT8, TEXT, INT8, INT8, INT8) = scan_titles!(
        "posts
          WHERE (owner_id, published, id) >= ($6, FALSE, -9223372036854775807)
     AND (owner_id, published, id) <= ($6, FALSE, 9223372036854775807)",
        "owner_id DESC, published DESC, id DESC"
    );
    // Without MATERIALIZED the planner may scan all posts, newest first, and expect to reach the
    // limit early.
    SEARCH_INDEX(INT8, INT8, TEXT, BOOL) = select_page!(concat!(
        "WITH hits AS MATERIALIZED (
             SELECT id FROM posts
              WHERE left(title, 1000) LIKE $3 AND (published OR $4) AND ", is_open!("owner_id"), "
         )
         SELECT posts.id, title, content, published, created_at, owner_id
           FROM (SELECT id FROM hits ORDER BY id DESC LIMIT $1 OFFSET $2) AS newest
           JOIN posts USING (id)"
    ));
}

pub(super) async fn search_posts(
    pool: &Pool,
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<PostList> {
    let connection = pool.acquire().await?;
    let search = Search { pool, hidden, caller, page, text };
    match search.run(&connection).await {
        Err(_) if connection.is_outdated() => {
            drop(connection);
            search.run(&pool.acquire().await?).await
        }
        outcome => outcome,
    }
}

struct Search<'a> {
    pool: &'a Pool,
    /// A range that the scan passes over.
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &'a Page,
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
        let callers: [i64; 1] = [self.caller.user_id.0];
        let users = connection.query(&FIND_TOKENS_VALID_FROM, &[&&callers[..]]).await?;
        ValidFromTimes::read(&users)?.check(self.caller)?;
        Ok(posts)
    }

    async fn find(&self, connection: &Connection) -> Result<PostList> {
        let (newest, complete) = (self.scan(Some(MAX_SEARCH_MISSES)), self.complete());
        let Some(limit) = self.page.limit else {
            // The client asks for all matches, so no timeout may hide some.
            let (query, memory) = (complete.unwrap_or(newest), self.pool.list_memory().permit());
            let values = query.values();
            return Ok(read_list(connection, Some(memory), query.statement, &values).await?);
        };
        let found = read_list(connection, None, newest.statement, &newest.values()).await?;
        let is_full = u32::try_from(found.len()) == Ok(limit);
        if let Some(complete) = complete.filter(|_| !is_full) {
            let (timeout, values) = (self.pool.limits().search_timeout, complete.values());
            let rows = connection.query_at_most(timeout, complete.statement, &values).await?;
            if let Some(rows) = rows {
                return Ok(rows.iter().map(read_post).collect::<Result<Vec<_>>>()?.into());
            }
        }
        Ok(found)
    }

    /// Returns the search of all titles. `None` if neither an index nor the number of drafts keeps
    /// it short.
    fn complete(&self) -> Option<Query> {
        match self.page.scope {
            PostScope::Public => has_trigrams(self.pool.search_index(), self.text).then(|| Query {
                statement: &SEARCH_INDEX,
                values: vec![
                    Box::new(self.limit()),
                    Box::new(self.skip()),
                    Box::new(pattern(self.text)),
                    Box::new(self.caller.draft_visibility == DraftVisibility::Visible),
                ],
            }),
            PostScope::OwnDrafts => {
                (self.text.chars().count() >= TRIGRAM_LENGTH).then(|| self.scan(None))
            }
        }
    }

    /// Returns the scan of the newest titles, which ends after some misses.
    fn scan(&self, misses: Option<u32>) -> Query {
        let misses = misses.map(i64::from);
        // The page and the skipped posts, plus all misses: no later title can be on the page.
        let newest = self.limit().zip(misses).map(|(limit, misses)| limit + self.skip() + misses);
        let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![
            Box::new(self.limit()),
            Box::new(self.skip()),
            Box::new(self.text.to_owned()),
            Box::new(newest),
            Box::new(misses.unwrap_or(i64::MAX)),
        ];
        let statement = match (self.page.scope, self.caller.draft_visibility, self.hidden) {
            (PostScope::OwnDrafts, ..) => {
                values.push(Box::new(self.caller.user_id.0));
                return Query { statement: &SCAN_DRAFT_TITLES, values };
            }
            (PostScope::Public, DraftVisibility::Private, None) => &SCAN_PUBLISHED_TITLES,
            (PostScope::Public, DraftVisibility::Private, _) => &SCAN_PUBLISHED_TITLES_AROUND,
            (PostScope::Public, DraftVisibility::Visible, None) => &SCAN_ALL_TITLES,
            (PostScope::Public, DraftVisibility::Visible, _) => &SCAN_ALL_TITLES_AROUND,
        };
        if let Some(HiddenRange { above, up_to }) = self.hidden {
            values.push(Box::new(above));
            values.push(Box::new(up_to));
        }
        Query { statement, values }
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
