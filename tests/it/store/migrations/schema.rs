//! Constraints and triggers of the SQLite schema. They also hold for the SQL of an operator.

use post_api::store::migrate::{SQLITE, SchemaAdmin as _};
use rusqlite::ErrorCode;

use super::{DatabaseFile, SAMPLE, count};

#[tokio::test]
async fn invalid_rows_are_rejected() {
    let database = DatabaseFile::at(SQLITE.len()).await;
    let sql = database.sql();
    sql.execute_batch(SAMPLE).unwrap();
    for statement in [
        "INSERT INTO users (email, password, created_at) VALUES ('a@example.com', 'h', 3)",
        "INSERT INTO users (email, password, created_at) VALUES ('c@example.com', 'h', 'now')",
        "UPDATE posts SET published = 2",
        "UPDATE posts SET published = 'yes'",
        "UPDATE posts SET owner_id = 99",
        "UPDATE votes SET dir = 0",
        "UPDATE votes SET dir = 2",
        "UPDATE votes SET dir = 'up'",
        "UPDATE votes SET user_id = 'text' WHERE user_id = 1",
        "INSERT INTO votes (post_id, user_id) VALUES (1, 1)",
        "INSERT INTO votes (post_id, user_id) VALUES (99, 1)",
        "INSERT INTO votes (post_id, user_id) VALUES (1, 99)",
        "INSERT INTO vote_counts (post_id, votes) VALUES (99, 0)",
    ] {
        let refused = sql.execute_batch(statement).unwrap_err();
        assert_eq!(
            refused.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation),
            "{statement}"
        );
    }
    assert_eq!(count(&database, "SELECT count(*) FROM votes WHERE dir = 1"), 4);
}

/// A vote that changes, moves to another post, is deleted, or is deleted by a cascade.
#[tokio::test]
async fn counts_follow_every_change() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    for (statement, first, second) in [
        ("UPDATE votes SET dir = -1 WHERE user_id = 2", 0, 0),
        ("INSERT INTO users (email, password, created_at) VALUES ('c@example.com', 'h', 5)", 0, 0),
        ("INSERT INTO votes (post_id, user_id, dir) VALUES (1, 3, -1)", -1, 0),
        ("UPDATE votes SET post_id = 2 WHERE post_id = 1 AND user_id = 3", 0, -1),
        ("DELETE FROM votes WHERE user_id = 3", 0, 0),
        ("DELETE FROM votes WHERE user_id = 2 AND post_id = 2", 0, 1),
    ] {
        database.sql().execute_batch(statement).unwrap();
        for (post, votes) in [(1, first), (2, second)] {
            let found = format!("SELECT votes FROM vote_counts WHERE post_id = {post}");
            assert_eq!(count(&database, &found), votes, "post {post} after {statement}");
        }
        assert_eq!(database.admin.wrong_counts().await.unwrap(), [""; 0], "{statement}");
    }
    database.sql().execute_batch("DELETE FROM posts WHERE id = 1").unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM votes WHERE post_id = 1"), 0);
    assert_eq!(count(&database, "SELECT count(*) FROM vote_counts WHERE post_id = 1"), 0);
}

/// Downvotes from before the migration that adds counts.
#[tokio::test]
async fn existing_votes_are_counted_with_their_direction() {
    let mut database = DatabaseFile::at(2).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    database.sql().execute("UPDATE votes SET dir = -1 WHERE post_id = 2", []).unwrap();
    database.migrate_to(SQLITE.len()).await;
    assert_eq!(count(&database, "SELECT votes FROM vote_counts WHERE post_id = 1"), 2);
    assert_eq!(count(&database, "SELECT votes FROM vote_counts WHERE post_id = 2"), -2);
    assert_eq!(database.admin.wrong_counts().await.unwrap(), [""; 0]);
}

/// A program that writes with `foreign_keys` off leaves such rows.
#[tokio::test]
async fn orphaned_rows_are_reported() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    let unchecked = database.sql();
    unchecked.pragma_update(None, "foreign_keys", false).unwrap();
    unchecked.execute_batch("DELETE FROM users WHERE id = 2").unwrap();
    assert_eq!(
        database.admin.wrong_counts().await.unwrap(),
        [
            "1 of posts name a row of users that is not there",
            "2 of votes name a row of users that is not there",
        ]
    );
}

/// An entry without a title harms no search, but the index would grow forever.
#[tokio::test]
async fn search_index_holds_exactly_the_titles() {
    let database = DatabaseFile::at(SQLITE.len()).await;
    let sql = database.sql();
    sql.execute_batch(SAMPLE).unwrap();
    for statement in [
        "UPDATE posts SET title = 'another lantern' WHERE id = 1",
        "UPDATE posts SET title = title || '!', content = 'x'",
        "INSERT INTO posts (title, content, created_at, owner_id) VALUES ('a third', '', 5, 1)",
        "DELETE FROM posts WHERE id = 1",
        "DELETE FROM users",
    ] {
        sql.execute_batch(statement).unwrap();
        let check = "INSERT INTO post_search (post_search, rank) VALUES ('integrity-check', 1)";
        sql.execute_batch(check).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}
