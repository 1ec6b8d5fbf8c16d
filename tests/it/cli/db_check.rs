//! `db check` compares the schema with the migrations, `db verify` the data with its invariants.

use super::{folder, open, run};

#[test]
fn unchanged_database_passes() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    let output = run(folder.path(), "db check").expect(0).output;
    assert_eq!(output, "the schema matches the migrations\n");
    let output = run(folder.path(), "db verify").expect(0).output;
    assert_eq!(output, "every count matches its votes\n");
}

#[test]
fn outdated_database_is_reported_with_the_upgrade_command() {
    let folder = folder();
    for step in ["", "db upgrade 2"] {
        if !step.is_empty() {
            run(folder.path(), step).expect(0);
        }
        let output = run(folder.path(), "db check").expect(1).error;
        assert!(output.contains("behind: run `post-api db upgrade`"), "{output}");
        let output = run(folder.path(), "db verify").expect(1).error;
        assert!(output.contains("run `post-api db upgrade` first"), "{output}");
    }
}

/// `db upgrade` may be the first command of a new user. The flag for the database may come before
/// or after the command.
#[test]
fn upgrade_of_missing_database_creates_it() {
    let folder = tempfile::TempDir::new().unwrap();
    run(folder.path(), "db upgrade").expect(0);
    run(folder.path(), "db check").expect(0);
    run(folder.path(), "db --database-url sqlite:data/posts.db check").expect(0);
    run(folder.path(), "db check --database-url sqlite:data/posts.db").expect(0);
    run(folder.path(), "db check --database-url sqlite:data/other.db").expect(1);
}

#[test]
fn downgrade_and_upgrade_leave_no_difference() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    for revision in ["base", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        run(folder.path(), &format!("db downgrade {revision}")).expect(0);
        let output = run(folder.path(), "db check").expect(1).error;
        assert_eq!(output.lines().count(), 1, "at {revision}: {output}");
        run(folder.path(), "db upgrade").expect(0);
        run(folder.path(), "db check").expect(0);
    }
}

#[test]
fn manual_schema_changes_are_reported() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    open(folder.path())
        .execute_batch(
            "DROP INDEX posts_owner;
             DROP TRIGGER votes_counted_after_update;
             CREATE TABLE notes (text TEXT);
             ALTER TABLE users ADD COLUMN nickname TEXT;",
        )
        .unwrap();
    let output = run(folder.path(), "db check").expect(1).error;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "index posts_owner is missing",
            "table notes is not of any migration",
            "table users was changed",
            "trigger votes_counted_after_update is missing",
        ]
    );
}

#[test]
fn wrong_vote_count_is_reported() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    open(folder.path())
        .execute_batch(
            "INSERT INTO users (id, email, password, created_at) VALUES (1, 'ada@example.com', 'x', 0), (2, 'bob@example.com', 'x', 0);
             INSERT INTO posts VALUES (1, 1, 1, 0, 'a', 'b'), (2, 1, 1, 0, 'a', 'b'), (3, 1, 1, 0, 'a', 'b');
             INSERT INTO votes VALUES (1, 1, 1), (1, 2, 1), (2, 1, -1), (2, 2, 1);",
        )
        .unwrap();
    run(folder.path(), "db verify").expect(0);
    open(folder.path())
        .execute_batch(
            "UPDATE vote_counts SET votes = 7 WHERE post_id = 1;
             INSERT INTO vote_counts VALUES (3, 1);",
        )
        .unwrap();
    let outcome = run(folder.path(), "db verify").expect(1);
    assert_eq!(
        outcome.error,
        "post 1: the count says 7, its votes add up to 2\n\
         post 3: the count says 1, its votes add up to 0\n"
    );
    let output = run(folder.path(), "db verify --repair").expect(0).output;
    assert_eq!(
        output,
        "post 1: the count was 7, and is 2\n\
         post 3: the count was 1, and is 0\n\
         every count matches its votes\n"
    );
    run(folder.path(), "db verify").expect(0);
}

/// A program that cannot delete them, such as a stopped service, leaves closed accounts.
#[test]
fn closed_accounts_are_noted_and_deleted_by_a_downgrade() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    open(folder.path())
        .execute_batch(
            "INSERT INTO users (id, email, password, created_at)
             VALUES (1, 'closed:1', 'closed', 0), (2, 'bob@example.com', 'x', 0);
             INSERT INTO posts VALUES (1, 1, 1, 0, 'a', 'b'), (2, 2, 1, 0, 'a', 'b');
             INSERT INTO votes VALUES (1, 2, 1), (2, 1, 1), (2, 2, 1);
             INSERT INTO account_deletions VALUES (1);",
        )
        .unwrap();
    let note = "note: 1 closed accounts are being deleted; a running service deletes their rows\n";
    for command in ["db upgrade", "db check", "db verify"] {
        let output = run(folder.path(), command).expect(0).output;
        assert!(output.ends_with(note), "{command}: {output}");
    }
    run(folder.path(), "db downgrade 0011").expect(0);
    for (table, rows) in [("users", 1), ("posts", 1), ("votes", 1)] {
        let count = format!("SELECT count(*) FROM {table}");
        let found: i64 = open(folder.path()).query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows, "{table}");
    }
    run(folder.path(), "db upgrade").expect(0);
    assert!(!run(folder.path(), "db verify").expect(0).output.contains("note:"));
}

/// A program that writes without foreign keys leaves orphaned rows. The triggers follow a program
/// that moves votes.
#[test]
fn orphaned_rows_are_reported() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    open(folder.path())
        .execute_batch(
            "INSERT INTO users (id, email, password, created_at) VALUES (1, 'ada@example.com', 'x', 0);
             INSERT INTO posts VALUES (1, 1, 1, 0, 'a', 'b'), (2, 1, 1, 0, 'a', 'b');
             INSERT INTO votes VALUES (1, 1, -1);
             UPDATE votes SET post_id = 2, dir = 1;",
        )
        .unwrap();
    run(folder.path(), "db verify").expect(0);
    open(folder.path())
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM posts WHERE id = 2;")
        .unwrap();
    let outcome = run(folder.path(), "db verify").expect(1);
    assert_eq!(
        outcome.error,
        "1 of vote_counts name a row of posts that is not there\n\
         1 of votes name a row of posts that is not there\n"
    );
}
