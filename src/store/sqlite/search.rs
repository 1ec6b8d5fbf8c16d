//! Searches of the titles in SQLite. Candidates come newest first, and each title is compared with
//! the text. For texts of three or more characters, a trigram index finds the candidates. For
//! shorter texts, the candidates are all posts in the scope. [`MAX_SEARCH_MISSES`] ends a search
//! without matches.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::hidden_range::around_hidden;
use super::row::{is_open, read_post, select_posts, text};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{PostId, PostWithVotes};
use crate::store::Result;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::post_list::PageBuilder;

macro_rules! select_published_titles {
    () => {
        concat!(
            "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts INDEXED BY posts_published
          WHERE ",
            is_open!("owner_id"),
            " AND published = 1
          "
        )
    };
}

macro_rules! select_all_titles {
    () => {
        concat!(
            "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts NOT INDEXED
          WHERE ",
            is_open!("owner_id")
        )
    };
}

/// CROSS JOIN fixes the order of the loops: the index first, newest first. A draft is returned and
/// skipped in the code, so that it counts as a miss.
macro_rules! select_index_hits {
    () => {
        concat!(
            "SELECT post_search.rowid, substr(posts.title, 1, 1000), posts.published OR ?2,
                    octet_length(posts.title)
               FROM post_search CROSS JOIN posts
              WHERE post_search MATCH ?1
                AND posts.id = post_search.rowid
                AND ",
            is_open!("posts.owner_id")
        )
    };
}

statements! {
    READ_HIT = select_posts!("FROM posts WHERE posts.id = ?1");
    SCAN_PUBLISHED_TITLES = concat!(select_published_titles!(), " ORDER BY id DESC");
    SCAN_ALL_TITLES = concat!(select_all_titles!(), " ORDER BY id DESC");
    SCAN_DRAFT_TITLES = "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts INDEXED BY posts_owner
          WHERE owner_id = ?1 AND published = 0
          ORDER BY id DESC";
    SEARCH_INDEX = concat!(select_index_hits!(), " ORDER BY post_search.rowid DESC");
    SCAN_PUBLISHED_TITLES_AROUND = around_hidden!(select_published_titles!(), "id", "?1", "?2");
    SCAN_ALL_TITLES_AROUND = around_hidden!(select_all_titles!(), "id", "?1", "?2");
    SEARCH_INDEX_AROUND =
        around_hidden!(select_index_hits!(), "post_search.rowid", "?3", "?4");
}

/// Bytes of a title without a match that count as one more miss.
const BYTES_PER_MISS: u32 = 1000;

/// A statement that selects the posts whose titles may contain the text, newest first. Its columns
/// are the ID, the start of the title, whether the post is in the scope, and the bytes of the whole
/// title.
struct Candidates {
    statement: &'static str,
    parameters: Vec<Value>,
    max_misses: u32,
}

pub(super) fn search_posts(
    database: &Connection,
    hidden: Option<HiddenRange>,
    caller: Caller,
    page: &Page,
    searched: &str,
) -> Result<Vec<PostWithVotes>> {
    let candidates = candidates(hidden, caller, page.scope, searched);
    let mut statement = database.prepare_cached(candidates.statement)?;
    let mut rows = statement.query(params_from_iter(candidates.parameters))?;
    let mut misses: u32 = 0;
    let mut skipped = 0;
    let mut page_builder = PageBuilder::new(page);
    while page_builder.accepts_more()
        && misses < candidates.max_misses
        && let Some(row) = rows.next()?
    {
        let is_hit = row.get(2)? && text(row, 1)?.contains(searched);
        if is_hit && skipped >= page.skip {
            // Read while the first statement is open, so both see the same snapshot.
            page_builder.push(read_hit(database, PostId(row.get(0)?))?);
        } else if is_hit && skipped < MAX_SEARCH_SKIP {
            skipped += 1;
        } else {
            // SQLite reads a whole title to compare its start, so a long title costs more.
            misses = misses.saturating_add(1 + row.get::<_, u32>(3)? / BYTES_PER_MISS);
        }
    }
    Ok(page_builder.into_posts())
}

fn read_hit(database: &Connection, id: PostId) -> rusqlite::Result<PostWithVotes> {
    database.prepare_cached(READ_HIT)?.query_row([id.0], read_post)
}

fn candidates(
    hidden: Option<HiddenRange>,
    caller: Caller,
    scope: PostScope,
    text: &str,
) -> Candidates {
    let is_indexed = text.chars().count() >= TRIGRAM_LENGTH;
    let sees_drafts = caller.draft_visibility == DraftVisibility::Visible;
    let is_around = hidden.is_some();
    let (statement, mut parameters) = match scope {
        // The index contains the posts of all users, so a scan of the caller's drafts is faster.
        PostScope::OwnDrafts => (SCAN_DRAFT_TITLES, vec![Value::Integer(caller.user_id.0)]),
        PostScope::Public if is_indexed => (
            if is_around { SEARCH_INDEX_AROUND } else { SEARCH_INDEX },
            vec![Value::Text(trigrams(text)), Value::Integer(i64::from(sees_drafts))],
        ),
        PostScope::Public if sees_drafts && is_around => (SCAN_ALL_TITLES_AROUND, Vec::new()),
        PostScope::Public if sees_drafts => (SCAN_ALL_TITLES, Vec::new()),
        PostScope::Public if is_around => (SCAN_PUBLISHED_TITLES_AROUND, Vec::new()),
        PostScope::Public => (SCAN_PUBLISHED_TITLES, Vec::new()),
    };
    if let Some(HiddenRange { above, up_to }) = hidden.filter(|_| scope == PostScope::Public) {
        parameters.extend([Value::Integer(above), Value::Integer(up_to)]);
    }
    // The number of drafts bounds a search of own drafts.
    let is_unbounded = is_indexed && scope == PostScope::OwnDrafts;
    let max_misses = if is_unbounded { u32::MAX } else { MAX_SEARCH_MISSES };
    Candidates { statement, parameters, max_misses }
}

/// Maximum number of trigrams in an index query. The first and last trigrams of a long text are as
/// selective as all of them, and each trigram costs a lookup in every segment of the index.
const MAX_TRIGRAMS: usize = 16;

/// Returns the FTS5 query for titles that contain the trigrams of the text: adjacent trigrams from
/// its start, and the last three characters. The index does not check their order.
fn trigrams(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let end = characters.len().saturating_sub(TRIGRAM_LENGTH);
    let mut starts: Vec<usize> = (0..end).step_by(TRIGRAM_LENGTH).chain([end]).collect();
    if starts.len() > MAX_TRIGRAMS {
        starts.drain(MAX_TRIGRAMS / 2..starts.len() - MAX_TRIGRAMS / 2);
    }
    let terms: Vec<String> = starts
        .into_iter()
        .filter_map(|start| characters.get(start..start + TRIGRAM_LENGTH))
        .map(|trigram| {
            let trigram: String = trigram.iter().collect();
            format!("\"{}\"", trigram.replace('"', "\"\""))
        })
        .collect();
    terms.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::trigrams;

    #[test]
    fn trigrams_cover_the_whole_text() {
        assert_eq!(trigrams("abc"), r#""abc""#);
        assert_eq!(trigrams("abcd"), r#""abc" AND "bcd""#);
        assert_eq!(trigrams("abcdef"), r#""abc" AND "def""#);
        assert_eq!(trigrams("abcdefg"), r#""abc" AND "def" AND "efg""#);
        assert_eq!(trigrams(r#"a"é"#), r#""a""é""#);
    }

    #[test]
    fn trigrams_of_a_long_text_are_those_of_its_start_and_end() {
        let text = format!("start{}end", "x".repeat(1000));
        let query = trigrams(&text);
        assert_eq!(query.matches(" AND ").count(), 15);
        assert!(query.starts_with(r#""sta" AND "rtx""#) && query.ends_with(r#""end""#), "{query}");
    }
}
