//! Searching the titles in SQLite: candidates newest first, and each title is looked at before
//! it is believed. From three characters on an index of trigrams names the candidates; below
//! that they are all posts of the shelf. [`MAX_SEARCH_MISSES`] ends a search in vain.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{read_post, select_posts};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{PostId, PostWithVotes};
use crate::store::Result;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::post_list::PageBuilder;

statements! {
    READ_HIT = select_posts!("FROM posts WHERE posts.id = ?1");
    SCAN_PUBLISHED_TITLES = "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts
          WHERE published = 1
          ORDER BY id DESC";
    SCAN_ALL_TITLES = "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts
          ORDER BY id DESC";
    SCAN_DRAFT_TITLES = "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title)
           FROM posts
          WHERE owner_id = ?1 AND published = 0
          ORDER BY id DESC";
    // CROSS JOIN keeps the order of the loops: the index first, newest first. A draft comes back
    // and is passed over here, so that its work is counted too.
    SEARCH_INDEX = "SELECT posts.id, substr(posts.title, 1, 1000), posts.published OR ?2,
                octet_length(posts.title)
           FROM post_search CROSS JOIN posts
          WHERE post_search MATCH ?1
            AND posts.id = post_search.rowid
          ORDER BY post_search.rowid DESC";
}

/// Posts that may hold the text, newest first: number, the start of the title, whether it
/// stands on the shelf, and the bytes of the whole title.
struct Candidates {
    statement: &'static str,
    parameters: Vec<Value>,
    /// Work that may be done in vain.
    bound: u32,
}

pub(super) fn search_posts(
    database: &Connection,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<Vec<PostWithVotes>> {
    let candidates = candidates(caller, page.scope, text);
    let mut statement = database.prepare_cached(candidates.statement)?;
    let mut rows = statement.query(params_from_iter(candidates.parameters))?;
    let mut misses: u32 = 0;
    let mut skipped = 0;
    let mut page_builder = PageBuilder::new(page);
    while page_builder.accepts_more()
        && misses < candidates.bound
        && let Some(row) = rows.next()?
    {
        let title = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let is_hit = row.get(2)? && title.contains(text);
        if is_hit && skipped >= page.skip {
            // Read while the first statement is under way: both see the same state.
            page_builder.push(read_hit(database, PostId(row.get(0)?))?);
        } else if is_hit && skipped < MAX_SEARCH_SKIP {
            skipped += 1;
        } else {
            // A long title is read as a whole before its start is looked at.
            misses = misses.saturating_add(1 + row.get::<_, u32>(3)? / MAX_SEARCH_MISSES);
        }
    }
    Ok(page_builder.into_posts())
}

fn read_hit(database: &Connection, id: PostId) -> rusqlite::Result<PostWithVotes> {
    database.prepare_cached(READ_HIT)?.query_row([id.0], read_post)
}

fn candidates(caller: Caller, scope: PostScope, text: &str) -> Candidates {
    let is_indexed = text.chars().count() >= TRIGRAM_LENGTH;
    let sees_drafts = caller.drafts == DraftVisibility::Visible;
    let (statement, parameters) = match scope {
        // The index is of everybody's posts: one's own drafts are sooner looked through.
        PostScope::OwnDrafts => (SCAN_DRAFT_TITLES, vec![Value::Integer(caller.user_id.0)]),
        PostScope::Public if is_indexed => (
            SEARCH_INDEX,
            vec![Value::Text(trigrams(text)), Value::Integer(i64::from(sees_drafts))],
        ),
        PostScope::Public if sees_drafts => (SCAN_ALL_TITLES, Vec::new()),
        PostScope::Public => (SCAN_PUBLISHED_TITLES, Vec::new()),
    };
    // The number of one's own drafts bounds the work as well.
    let is_unbounded = is_indexed && scope == PostScope::OwnDrafts;
    let bound = if is_unbounded { u32::MAX } else { MAX_SEARCH_MISSES };
    Candidates { statement, parameters, bound }
}

/// Trigrams of a search that are looked up: those of its start and of its end narrow a long one as
/// well as all of them would, and each costs a look into every segment of the index.
const TRIGRAMS: usize = 16;

/// An FTS5 query for the titles that hold trigrams of the text, side by side, the last one flush
/// with its end; of a long text only the first and the last. Whether a title holds them in this
/// order is not for the index to say.
fn trigrams(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let end = characters.len().saturating_sub(TRIGRAM_LENGTH);
    let mut starts: Vec<usize> = (0..end).step_by(TRIGRAM_LENGTH).chain([end]).collect();
    if starts.len() > TRIGRAMS {
        starts.drain(TRIGRAMS / 2..starts.len() - TRIGRAMS / 2);
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
    fn trigrams_cover_the_text() {
        assert_eq!(trigrams("abc"), r#""abc""#);
        assert_eq!(trigrams("abcd"), r#""abc" AND "bcd""#);
        assert_eq!(trigrams("abcdef"), r#""abc" AND "def""#);
        assert_eq!(trigrams("abcdefg"), r#""abc" AND "def" AND "efg""#);
        assert_eq!(trigrams(r#"a"é"#), r#""a""é""#);
    }

    #[test]
    fn of_a_long_text_the_start_and_the_end_are_looked_up() {
        let text = format!("start{}end", "x".repeat(1000));
        let query = trigrams(&text);
        assert_eq!(query.matches(" AND ").count(), 15);
        assert!(query.starts_with(r#""sta" AND "rtx""#) && query.ends_with(r#""end""#), "{query}");
    }
}
