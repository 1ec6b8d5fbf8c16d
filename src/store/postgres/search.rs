//! Searches of the titles in PostgreSQL: literal, case-sensitive, in their first 1,000 characters.
//!
//! A search first scans the newest titles, up to [`MAX_SEARCH_MISSES`], where it finds a frequent
//! text. If the matches do not fill the page, the trigram index is searched instead. The index
//! needs trigrams in the text, and `pg_trgm` makes them only of letters and digits.

use super::callers::find_caller;
use super::connection::Value;
use super::pool::Pool;
use super::row::{read_post, select_page};
use super::schema::SearchIndex;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostWithVotes;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::{PostList, Result};

/// Returns the matches among the newest `$4` posts, until `$5` misses. A long title counts as
/// several misses.
macro_rules! scan_titles {
    ($which:literal, $order:literal) => {
        select_page!(concat!(
            "SELECT posts.id, title, content, published, created_at, owner_id
               FROM (SELECT id
                       FROM (SELECT id, is_hit,
                                    sum(CASE WHEN is_hit THEN 0 ELSE weight END)
                                        OVER (ORDER BY id DESC) AS misses
                               FROM (SELECT id, strpos(left(title, 1000), $3) > 0 AS is_hit,
                                            1 + octet_length(title) / 1000 AS weight
                                       FROM posts
                                      WHERE ",
            $which,
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

statements! {
    SCAN_PUBLISHED_TITLES(INT8, INT8, TEXT, INT8, INT8) = scan_titles!("published", "id DESC");
    SCAN_ALL_TITLES(INT8, INT8, TEXT, INT8, INT8) = scan_titles!("TRUE", "id DESC");
    // The range and the order name the index, as in `LIST_OWN_DRAFTS`.
    SCAN_DRAFT_TITLES(INT8, INT8, TEXT, INT8, INT8, INT8) = scan_titles!(
        "(owner_id, published, id) >= ($6, FALSE, -9223372036854775807)
     AND (owner_id, published, id) <= ($6, FALSE, 9223372036854775807)",
        "owner_id DESC, published DESC, id DESC"
    );
    // Without MATERIALIZED the planner may scan all posts, newest first, and expect to reach the
    // limit early.
    SEARCH_INDEX(INT8, INT8, TEXT, BOOL) = select_page!(
        "WITH hits AS MATERIALIZED (
             SELECT id FROM posts WHERE left(title, 1000) LIKE $3 AND (published OR $4)
         )
         SELECT posts.id, title, content, published, created_at, owner_id
           FROM (SELECT id FROM hits ORDER BY id DESC LIMIT $1 OFFSET $2) AS newest
           JOIN posts USING (id)"
    );
}

pub(super) async fn search_posts(pool: &Pool, caller: Caller, page: &Page) -> Result<PostList> {
    let text = page.search.as_deref().unwrap_or_default();
    let posts = if page.skip > MAX_SEARCH_SKIP || text.chars().count() > 1000 {
        Vec::new()
    } else {
        find_hits(pool, caller, page, text).await?
    };
    // Checked last: an account that exists now existed when the titles were read.
    find_caller(pool, caller).await?;
    Ok(posts.into())
}

async fn find_hits(
    pool: &Pool,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<Vec<PostWithVotes>> {
    let index = pool.search_index().await?;
    let is_indexed = page.scope == PostScope::Public && has_trigrams(index, text);
    if is_indexed && page.limit.is_none() {
        return search_index(pool, caller, page, text).await;
    }
    let posts = scan_titles(pool, caller, page, text).await?;
    let is_full = page.limit.is_some_and(|limit| u32::try_from(posts.len()) == Ok(limit));
    if is_indexed && !is_full {
        return search_index(pool, caller, page, text).await;
    }
    Ok(posts)
}

async fn scan_titles(
    pool: &Pool,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<Vec<PostWithVotes>> {
    let (limit, skip) = (page.limit.map(i64::from), i64::try_from(page.skip).unwrap_or(i64::MAX));
    // The number of drafts bounds a search of own drafts.
    let is_bounded = page.scope == PostScope::Public || text.chars().count() < TRIGRAM_LENGTH;
    let misses = if is_bounded { i64::from(MAX_SEARCH_MISSES) } else { i64::MAX };
    // The page and the skipped posts, plus all misses: no later title can be on the page.
    let newest = limit.filter(|_| is_bounded).map(|limit| limit + skip + misses);
    let mut values: Vec<Value<'_>> = vec![&limit, &skip, &text, &newest, &misses];
    let statement = match (page.scope, caller.draft_visibility) {
        (PostScope::OwnDrafts, _) => {
            values.push(&caller.user_id.0);
            &SCAN_DRAFT_TITLES
        }
        (PostScope::Public, DraftVisibility::Private) => &SCAN_PUBLISHED_TITLES,
        (PostScope::Public, DraftVisibility::Visible) => &SCAN_ALL_TITLES,
    };
    read(pool, statement, &values).await
}

async fn search_index(
    pool: &Pool,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<Vec<PostWithVotes>> {
    let (limit, skip) = (page.limit.map(i64::from), i64::try_from(page.skip).unwrap_or(i64::MAX));
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    read(pool, &SEARCH_INDEX, &[&limit, &skip, &pattern(text), &sees_drafts]).await
}

async fn read(
    pool: &Pool,
    statement: &Statement,
    values: &[Value<'_>],
) -> Result<Vec<PostWithVotes>> {
    let rows = pool.query(statement, values).await?;
    rows.iter().map(read_post).collect()
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
