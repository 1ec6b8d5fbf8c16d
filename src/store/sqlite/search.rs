//! Searches of the titles in SQLite. Candidates come newest first, and each title is compared with
//! the text. For texts of three or more characters, a trigram index finds the candidates. For
//! shorter texts, the candidates are all posts in the scope. [`MAX_SEARCH_MISSES`] ends a search
//! without matches.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::hidden_range::{around_hidden, ids_around};
use super::row::{drafts_of, is_open, read_post, select_posts, text};
use super::statement::statements;
use crate::domain::caller::Reader;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::deletions::hidden_range::HiddenRange;
use crate::store::page_limits::{MAX_SEARCH_MISSES, MAX_SEARCH_SKIP, TRIGRAM_LENGTH};
use crate::store::post_list::{PageBuilder, ReservedPosts};

/// The columns that [`Candidates`] needs.
macro_rules! select_titles {
    ($from:literal) => {
        concat!(
            "SELECT id, substr(title, 1, 1000), TRUE, octet_length(title), created_at
               FROM posts ",
            $from,
            " AND ",
            is_open!("owner_id")
        )
    };
}

/// CROSS JOIN fixes the order of the loops: the index first, newest first. A draft is returned and
/// skipped in the code, so that it counts as a miss.
macro_rules! select_index_hits {
    () => {
        concat!(
            "SELECT post_search.rowid, substr(posts.title, 1, 1000), posts.published OR ?6,
                    octet_length(posts.title), posts.created_at
               FROM post_search CROSS JOIN posts
              WHERE post_search MATCH ?5
                AND posts.id = post_search.rowid
                AND ",
            is_open!("posts.owner_id")
        )
    };
}

statements! {
    READ_HIT = select_posts!("FROM posts WHERE posts.id = ?1");
    SCAN_PUBLISHED_TITLES = around_hidden!(
        select_titles!("INDEXED BY posts_published WHERE published = 1"), "id", ["?1", "?2", "?3", "?4"], "DESC"
    );
    SCAN_ALL_TITLES =
        around_hidden!(select_titles!("NOT INDEXED WHERE TRUE"), "id", ["?1", "?2", "?3", "?4"], "DESC");
    SCAN_OWNED_TITLES = concat!(
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = ?4"),
        " AND id BETWEEN ?1 AND ?2 ORDER BY id DESC"
    );
    SCAN_OWNED_TITLES_ASCENDING = concat!(
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = ?4"),
        " AND id BETWEEN ?1 AND ?2 ORDER BY id"
    );
    SCAN_ALL_OWNED_TITLES = concat!(
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = 0"),
        " AND id BETWEEN ?1 AND ?2",
        " UNION ALL ",
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = 1"),
        " AND id BETWEEN ?1 AND ?2",
        " ORDER BY 1 DESC"
    );
    SCAN_ALL_OWNED_TITLES_ASCENDING = concat!(
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = 0"),
        " AND id BETWEEN ?1 AND ?2",
        " UNION ALL ",
        select_titles!("INDEXED BY posts_owner WHERE owner_id = ?3 AND published = 1"),
        " AND id BETWEEN ?1 AND ?2",
        " ORDER BY 1"
    );
    SEARCH_INDEX =
        around_hidden!(select_index_hits!(), "post_search.rowid", ["?1", "?2", "?3", "?4"], "DESC");
}

/// Bytes of a title without a match that count as one more miss.
const BYTES_PER_MISS: u32 = 1000;

/// A statement that selects the posts whose titles may contain the text, in the order of reading.
/// Its columns are the ID, the start of the title, whether the post is in the scope, the bytes of the
/// whole title, and the time of creation.
struct Candidates {
    statement: &'static str,
    parameters: Vec<Value>,
    max_misses: u32,
}

/// Returns the posts of a scanned page.
pub(super) fn search_posts(
    database: &Connection,
    hidden: Option<HiddenRange>,
    reader: Reader,
    page: &Page,
) -> Result<ReservedPosts> {
    let searched = page.searched().unwrap_or_default();
    let candidates = candidates(hidden, reader, page, searched);
    let mut statement = database.prepare_cached(candidates.statement)?;
    let mut rows = statement.query(params_from_iter(candidates.parameters))?;
    let mut misses: u32 = 0;
    let mut skipped = 0;
    let mut page_builder = PageBuilder::new(page);
    while page_builder.accepts_more()
        && let Some(row) = rows.next()?
    {
        let is_created_then = match page.created {
            Some(times) => (times.from..=times.to).contains(&row.get(4)?),
            None => true,
        };
        let is_hit = row.get(2)? && is_created_then && text(row, 1)?.contains(searched);
        if is_hit && skipped >= page.skip {
            // Read while the first statement is open, so both see the same snapshot.
            page_builder.push(read_hit(database, PostId(row.get(0)?))?);
        } else if is_hit && skipped < MAX_SEARCH_SKIP {
            skipped += 1;
        } else {
            // SQLite reads a whole title to compare its start, so a long title costs more.
            misses = misses.saturating_add(1 + row.get::<_, u32>(3)? / BYTES_PER_MISS);
        }
        if misses >= candidates.max_misses {
            page_builder.stop_at(row.get(0)?);
            break;
        }
    }
    Ok(page_builder.into_posts())
}

fn read_hit(database: &Connection, id: PostId) -> rusqlite::Result<PostWithVotes> {
    database.prepare_cached(READ_HIT)?.query_row([id.0], read_post)
}

fn candidates(hidden: Option<HiddenRange>, reader: Reader, page: &Page, text: &str) -> Candidates {
    let is_indexed = text.chars().count() >= TRIGRAM_LENGTH;
    let sees_drafts = reader.draft_visibility() == DraftVisibility::Visible;
    let is_ascending = page.is_read_ascending();
    let in_order = |descending, ascending| if is_ascending { ascending } else { descending };
    let (from, to) = page.entries().into_inner();
    let around = || ids_around(hidden, from.1, to.1).map(Value::from).to_vec();
    let posts_of = |owner: UserId, further: Option<i64>| {
        let values = [from.1, to.1, owner.0].into_iter().chain(further);
        values.map(Value::from).collect()
    };
    let (statement, parameters) = match (page.scope, page.owner) {
        // The index contains the posts of all users, so a scan of the owner's posts is faster.
        (PostScope::OwnDrafts, _) => (
            in_order(SCAN_OWNED_TITLES, SCAN_OWNED_TITLES_ASCENDING),
            posts_of(drafts_of(reader), Some(0)),
        ),
        (PostScope::Public, Some(owner)) if sees_drafts => (
            in_order(SCAN_ALL_OWNED_TITLES, SCAN_ALL_OWNED_TITLES_ASCENDING),
            posts_of(owner, None),
        ),
        (PostScope::Public, Some(owner)) => {
            (in_order(SCAN_OWNED_TITLES, SCAN_OWNED_TITLES_ASCENDING), posts_of(owner, Some(1)))
        }
        (PostScope::Public, None) if is_indexed => {
            (SEARCH_INDEX, [around(), vec![trigrams(text).into(), sees_drafts.into()]].concat())
        }
        (PostScope::Public, None) if sees_drafts => (SCAN_ALL_TITLES, around()),
        (PostScope::Public, None) => (SCAN_PUBLISHED_TITLES, around()),
    };
    // The number of drafts bounds a search of own drafts.
    let is_unbounded = (is_indexed && page.scope == PostScope::OwnDrafts)
        || (page.limit.is_none() && page.searched().is_none());
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
