//! Searching the titles in SQLite: candidates newest first, and each title is looked at before
//! it is believed. From three characters on an index of trigrams names the candidates; below
//! that they are all posts of the shelf. [`SEARCH_BOUND`] ends a search in vain.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::posts::read_post;
use super::statements::statements;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, SEARCH_BOUND, Shelf, TRIGRAM};
use crate::domain::policy::Drafts;
use crate::domain::post::{PostId, PostWithVotes};
use crate::store::Result;

statements! {
    LOOK_THROUGH_PUBLISHED = "SELECT id, instr(title, ?1) > 0
           FROM posts
          WHERE published = 1
          ORDER BY id DESC";
    LOOK_THROUGH_ALL = "SELECT id, instr(title, ?1) > 0
           FROM posts
          ORDER BY id DESC";
    LOOK_THROUGH_DRAFTS = "SELECT id, instr(title, ?1) > 0
           FROM posts
          WHERE owner_id = ?2 AND published = 0
          ORDER BY id DESC";
    // CROSS JOIN keeps the order of the loops: the index first, newest first.
    LOOK_UP_PUBLISHED = "SELECT posts.id, instr(posts.title, ?1) > 0
           FROM post_search CROSS JOIN posts
          WHERE post_search MATCH ?2
            AND posts.id = post_search.rowid
            AND posts.published = 1
          ORDER BY post_search.rowid DESC";
    LOOK_UP_ALL = "SELECT posts.id, instr(posts.title, ?1) > 0
           FROM post_search CROSS JOIN posts
          WHERE post_search MATCH ?2
            AND posts.id = post_search.rowid
          ORDER BY post_search.rowid DESC";
}

/// Posts that may hold the text, newest first.
struct Candidates {
    statement: &'static str,
    parameters: Vec<Value>,
    /// How many may be looked at in vain.
    bound: u32,
}

pub(super) fn search_posts(
    database: &Connection,
    caller: Caller,
    page: &Page,
    text: &str,
) -> Result<Vec<PostWithVotes>> {
    let candidates = candidates(caller, page.shelf, text);
    let mut statement = database.prepare_cached(candidates.statement)?;
    let mut rows = statement.query(params_from_iter(candidates.parameters))?;
    let limit = page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut in_vain = 0;
    let mut skipped = 0;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let holds_text: bool = row.get(1)?;
        if !holds_text {
            in_vain += 1;
            if in_vain >= candidates.bound {
                break;
            }
        } else if skipped < page.skip {
            skipped += 1;
        } else {
            // Read while the first statement is under way: both see the same state.
            found.push(read_post(database, PostId(row.get(0)?))?);
        }
    }
    Ok(found)
}

fn candidates(caller: Caller, shelf: Shelf, text: &str) -> Candidates {
    let indexed = text.chars().count() >= TRIGRAM;
    let mut parameters = vec![Value::Text(text.to_owned())];
    let mut bound = SEARCH_BOUND;
    let statement = match (shelf, caller.drafts, indexed) {
        (Shelf::OwnDrafts, _, _) => {
            // The index is of everybody's posts: one's own drafts are sooner looked through, and
            // the work grows with nothing but their number.
            parameters.push(Value::Integer(caller.user_id.0));
            if indexed {
                bound = u32::MAX;
            }
            LOOK_THROUGH_DRAFTS
        }
        (Shelf::Public, Drafts::Private, false) => LOOK_THROUGH_PUBLISHED,
        (Shelf::Public, Drafts::Visible, false) => LOOK_THROUGH_ALL,
        (Shelf::Public, Drafts::Private, true) => LOOK_UP_PUBLISHED,
        (Shelf::Public, Drafts::Visible, true) => LOOK_UP_ALL,
    };
    if indexed && shelf == Shelf::Public {
        parameters.push(Value::Text(trigrams(text)));
    }
    Candidates { statement, parameters, bound }
}

/// The start of a long search narrows the index as well as the whole of it would.
const TRIGRAMS: usize = 16;

/// An FTS5 query for the titles that hold trigrams which cover the text: side by side, the last
/// one flush with its end. Those between would tell little more, and each costs a look into
/// every segment of the index.
fn trigrams(text: &str) -> String {
    let characters: Vec<char> = text.chars().take(TRIGRAMS * TRIGRAM).collect();
    let end = characters.len().saturating_sub(TRIGRAM);
    let starts = (0..end).step_by(TRIGRAM).chain([end]);
    let terms: Vec<String> = starts
        .filter_map(|start| characters.get(start..start + TRIGRAM))
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
}
