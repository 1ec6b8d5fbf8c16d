//! Query plans of SQLite, without statistics and with those of `ANALYZE` on several distributions of
//! rows. Each statement of a request uses an index, so that its cost does not grow with the table,
//! and none sorts.
//!
//! The statements are the constants of the store. A test finds statements that are not declared.

use std::path::Path;

use post_api::store::sqlite::request_statements;
use rusqlite::Connection;

use super::fresh_store::{search, sqlite};
use crate::support::create_sqlite_file;

/// Scans that are allowed. They read a table or an index in the order of the result and stop early,
/// at the `limit` or at the bound of a search. `FIND_CREDENTIALS` reads only its own row. A slice of
/// a deletion reads the rows that its own index search returned.
const BOUNDED: &[(&str, &str)] = &[
    ("LIST_PUBLISHED", "SCAN posts USING INDEX posts_published"),
    ("LIST_ALL", "SCAN posts"),
    ("SEARCH_INDEX", NEWEST_MATCHES_IN_RANGE),
    // A ranking reads all counts, and sorts them: an index by votes would make every vote dearer.
    ("RANK_MOST_VOTED", "CO-ROUTINE counts"),
    ("RANK_MOST_VOTED", "SCAN vote_counts"),
    ("RANK_MOST_VOTED", "USE TEMP B-TREE FOR ORDER BY"),
    ("RANK_MOST_VOTED", "SCAN counts"),
    ("RANK_UNVOTED", "SCAN posts USING INDEX posts_published"),
    ("RANK_ALL_UNVOTED", "SCAN posts"),
    ("RANK_ALL_NEWEST", "SCAN posts"),
    // The IDs of the request.
    ("FIND_VOTES", "SCAN asked VIRTUAL TABLE INDEX 1:"),
    ("FIND_NAMES", "SCAN asked VIRTUAL TABLE INDEX 1:"),
    ("FIND_CHANGED_POSTS", "SCAN asked VIRTUAL TABLE INDEX 1:"),
    // The first ones, up to the limit, and one row.
    ("FORGET_CHANGES", "SCAN post_changes"),
    ("READ_CHANGES", "MATERIALIZE c"),
    ("READ_CHANGES", "SCAN c LEFT-JOIN"),
    ("READ_CHANGES", "SCAN log"),
    // The numbers of rows, which all administrators share. They read pages of an index, not rows.
    ("COUNT_USERS", "SCAN users USING COVERING INDEX sqlite_autoindex_users_1"),
    ("COUNT_POSTS", "SCAN posts USING COVERING INDEX posts_created"),
    ("COUNT_VOTES", "SCAN votes USING COVERING INDEX votes_user"),
    ("COUNT_CLOSED", "SCAN account_deletions"),
    ("COUNT_POSTS_OF_DAY", "CO-ROUTINE (subquery-1)"),
    ("COUNT_POSTS_OF_DAY", "SCAN (subquery-1)"),
    // At most 100,000 rows.
    ("READ_NEWEST_ACCOUNTS", "SCAN users"),
    // One row.
    ("FIND_HIDDEN_RANGE", "CO-ROUTINE newest"),
    ("FIND_HIDDEN_RANGE", "SCAN CONSTANT ROW"),
    ("FIND_HIDDEN_RANGE", "SCAN newest"),
    ("FIND_CLOSED_ACCOUNTS", "SCAN account_deletions"),
    ("DELETE_VOTES_RECEIVED", "CO-ROUTINE next_posts"),
    ("DELETE_VOTES_RECEIVED", "SCAN next_posts"),
    ("DELETE_VOTES_CAST", "CREATE BLOOM FILTER"),
    ("DELETE_VOTES_RECEIVED", "CREATE BLOOM FILTER"),
    ("DELETE_POSTS", "CO-ROUTINE next"),
    ("DELETE_POSTS", "CO-ROUTINE (subquery-4)"),
    ("DELETE_POSTS", "CO-ROUTINE next_posts"),
    ("DELETE_POSTS", "SCAN next_posts"),
    ("DELETE_POSTS", "SCAN (subquery-4)"),
    ("DELETE_POSTS", "SCAN next"),
    ("FIND_CREDENTIALS", "CO-ROUTINE asked"),
    ("FIND_CREDENTIALS", "SCAN CONSTANT ROW"),
    ("FIND_CREDENTIALS", "SCAN asked"),
    // Two rows at most are sorted.
    ("FIND_CREDENTIALS", "USE TEMP B-TREE FOR ORDER BY"),
    ("FIND_ACCOUNT", "USE TEMP B-TREE FOR ORDER BY"),
];

/// Whether an account is closed. The scan stops at the first row, and without a row the search never
/// runs.
const CLOSED_ACCOUNTS: [&str; 2] =
    ["SCAN account_deletions", "USING ROWID SEARCH ON TABLE account_deletions FOR IN-OPERATOR"];

/// Matches the trigrams of a text (`M`) in a range of IDs (`><`), in descending order (128 of the
/// 192).
const NEWEST_MATCHES_IN_RANGE: &str = "SCAN post_search VIRTUAL TABLE INDEX 192:M1><";

#[tokio::test]
async fn every_request_statement_uses_an_index() {
    let (_folder, database) = migrated().await;
    assert_plans(&database, "without statistics");
}

/// The statistics make a full scan look cheap for most statements with a condition.
#[tokio::test]
async fn every_request_statement_uses_an_index_after_analyze() {
    for (distribution, published, owner) in [
        ("no post", "1", "NULL"),
        ("mostly drafts", "n % 200 = 0", "1 + n % 40"),
        ("only drafts of one user", "0", "1"),
        ("only published posts of one user", "1", "1"),
        ("half drafts of two users", "n % 2", "1 + n % 2"),
    ] {
        let (_folder, database) = migrated().await;
        database.execute_batch(&fill(published, owner)).unwrap();
        for statistics in ["ANALYZE", "PRAGMA optimize = 0x10002"] {
            database.execute_batch(statistics).unwrap();
            let has_statistics = database
                .query_row("SELECT count(*) > 4 FROM sqlite_stat1", [], |row| row.get(0))
                .unwrap();
            assert!(has_statistics || distribution == "no post", "{distribution}");
            assert_plans(&database, distribution);
        }
    }
}

/// Returns the SQL that fills every table. `published` and `owner` are expressions of the post `n`.
fn fill(published: &str, owner: &str) -> String {
    const NUMBERS: &str = "WITH RECURSIVE numbers (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4000)";
    format!(
        "INSERT INTO users (email, password, created_at)
             {NUMBERS} SELECT 'user' || n, 'hash', n FROM numbers WHERE n <= 40;
         INSERT OR IGNORE INTO posts (title, content, created_at, owner_id, published)
             {NUMBERS} SELECT 'title ' || n, 'text', n, {owner}, {published} FROM numbers;
         INSERT INTO votes (post_id, user_id, dir)
             SELECT id, 1 + id % 40, 1 FROM posts WHERE id % 3 > 0;
         INSERT INTO sessions (user_id, tokens_valid_from, family_hash, link_hash, user_agent,
                               created_at, used_at, expires_at, ends_at)
             {NUMBERS} SELECT 1 + n % 2, 0, x'00', x'00', '', n, n, n, n FROM numbers;
         INSERT INTO events (user_id, kind, is_refusal, at)
             {NUMBERS} SELECT 1 + n % 2, 'logged_in', n % 2, n FROM numbers;
         INSERT INTO login_failures {NUMBERS} SELECT n, 1, n % 2 FROM numbers;
         INSERT INTO idempotency_keys (user_id, key, fingerprint, outcome, at, expires_at)
             {NUMBERS} SELECT 1 + n % 2, CAST(n AS BLOB), x'00', 1, n, n FROM numbers;
         INSERT INTO post_changes (post_id, kind) {NUMBERS} SELECT n, 4 FROM numbers;"
    )
}

fn assert_plans(database: &Connection, distribution: &str) {
    let mut violations = Vec::new();
    for (name, statement) in request_statements() {
        for line in plan(database, statement) {
            let by_index = line.starts_with("SEARCH ") && !line.contains("AUTOMATIC");
            let heading = line.contains("SCALAR SUBQUERY ")
                || line.starts_with("LIST SUBQUERY ")
                || ["MERGE (UNION ALL)", "LEFT", "RIGHT"].contains(&line.as_str());
            let bounded = BOUNDED.contains(&(name, line.as_str()))
                || CLOSED_ACCOUNTS.contains(&line.as_str());
            if !(by_index || heading || bounded) {
                violations.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(violations.is_empty(), "{distribution}: {violations:#?}");
}

/// A deletion looks up the rows that it cascades to.
#[tokio::test]
async fn cascading_deletion_uses_an_index() {
    let (_folder, database) = migrated().await;
    let mut references = database
        .prepare(
            "SELECT tables.name, keys.\"from\"
               FROM pragma_table_list AS tables, pragma_foreign_key_list(tables.name) AS keys",
        )
        .unwrap();
    let references: Vec<(String, String)> = references
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(references.len() >= 4, "{references:?}");
    for (table, column) in references {
        let lines = plan(&database, &format!("DELETE FROM {table} WHERE {column} = ?"));
        assert!(
            lines.iter().all(|line| line.starts_with("SEARCH ")),
            "{table}.{column}: {lines:?}"
        );
    }
}

#[test]
fn every_request_statement_is_declared() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite");
    for name in [
        "callers.rs",
        "users.rs",
        "deletions.rs",
        "hidden_range.rs",
        "sessions.rs",
        "events.rs",
        "login_failures.rs",
        "idempotency_keys.rs",
        "posts.rs",
        "lists.rs",
        "rankings.rs",
        "search.rs",
        "installation.rs",
        "votes.rs",
        "own_votes.rs",
        "change_log.rs",
        "operator.rs",
        "administration.rs",
    ] {
        let mut source = std::fs::read_to_string(files.join(name)).unwrap();
        source.retain(|character| !character.is_whitespace());
        for call in ["prepare(", "query_row(\"", "execute(\"", "prepare_cached(\"", "format!(\"SEL"]
        {
            assert!(!source.contains(call), "{name} has an undeclared statement: {call}");
        }
        assert!(source.contains("statements!{"), "{name}");
    }
}

async fn migrated() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    create_sqlite_file(&path).await;
    let database = Connection::open(&path).unwrap();
    (folder, database)
}

/// Returns the lines of the statement's plan.
fn plan(database: &Connection, statement: &str) -> Vec<String> {
    let mut explained = database.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let mut rows = explained.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

/// Titles with all trigrams of a text, but not the text, are candidates. A search stops after 1,000
/// of them, even if the index has more.
#[tokio::test]
async fn search_without_hit_ends_after_thousand_candidates() {
    let store = sqlite().await;
    let ada = store.sign_up("ada").await;
    store.write(ada, "needle abcd").await;
    for _ in 0..999 {
        store.write(ada, "abc bcd").await;
    }
    assert_eq!(store.titles(ada, search("abcd")).await, ["needle abcd"]);
    store.write(ada, "abc bcd").await;
    assert_eq!(store.titles(ada, search("abcd")).await, [""; 0]);
    assert_eq!(store.titles(ada, search("needle")).await.len(), 1);
}
