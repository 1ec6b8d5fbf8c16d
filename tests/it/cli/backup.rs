//! `post-api backup`: a verified copy of the embedded database.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Outcome, folder, open, run, run_with};
use crate::support::{Cluster, Service, create_sqlite_file};

/// Returns a folder with a database of one account and three posts.
pub(super) async fn folder_with_posts() -> TempDir {
    let folder = folder();
    create_sqlite_file(&folder.path().join("data/posts.db")).await;
    open(folder.path())
        .execute_batch(
            "INSERT INTO users (id, email, password, created_at) VALUES (7, 'ada@example.com', '$argon2id$x', 0);
             INSERT INTO posts (owner_id, created_at, title, content)
             VALUES (7, 0, 'one', 'text'), (7, 0, 'two', 'text'), (7, 0, 'three', 'text');
             INSERT INTO votes (post_id, user_id) VALUES (1, 7), (2, 7)",
        )
        .unwrap();
    folder
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn backups(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name != "data").collect()
}

fn count(database: &Path, table: &str) -> i64 {
    let database = Connection::open(database).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn backup_is_one_private_file_with_its_checksum() {
    let folder = folder_with_posts().await;
    let folder = folder.path();
    let outcome = run(folder, "backup copy.db").expect(0);
    let size = folder.join("copy.db").metadata().unwrap().len();
    let newest = run(folder, "db current").expect(0).output;
    assert_eq!(
        outcome.output,
        format!(
            "wrote copy.db: {size} bytes, 1 users, 3 posts, revision {newest}\
             the backup has no secret that signs tokens: back up ./data/keys.json or SECRET_KEY \
             separately\n"
        )
    );
    assert_eq!(backups(folder), ["copy.db", "copy.db.sha256"]);
    for name in backups(folder) {
        let mode = folder.join(&name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut sha256sum = Command::new("sha256sum");
    let checked = sha256sum.current_dir(folder).args(["--check", "copy.db.sha256"]).output();
    assert!(checked.unwrap().status.success());
    assert_eq!(count(&folder.join("copy.db"), "posts"), 3);
    // A file that is not in WAL mode takes up no log.
    assert_eq!(std::fs::read(folder.join("copy.db")).unwrap()[18..20], [1, 1]);
}

#[tokio::test]
async fn existing_file_is_replaced_only_with_force() {
    let folder = folder_with_posts().await;
    let folder = folder.path();
    run(folder, "backup copy.db").expect(0);
    let before = std::fs::read(folder.join("copy.db")).unwrap();
    open(folder).execute_batch("DELETE FROM posts").unwrap();
    let refused = run(folder, "backup copy.db").expect(2);
    assert_eq!(refused.error, "error: copy.db exists; name another file, or add --force\n");
    assert_eq!(std::fs::read(folder.join("copy.db")).unwrap(), before);
    run(folder, "backup --force copy.db").expect(0);
    assert_eq!(count(&folder.join("copy.db"), "posts"), 0);
    assert_eq!(backups(folder), ["copy.db", "copy.db.sha256"]);
}

#[tokio::test]
async fn files_that_cannot_be_backups_are_refused() {
    let folder = folder_with_posts().await;
    let folder = folder.path();
    std::os::unix::fs::symlink("data/posts.db", folder.join("link.db")).unwrap();
    std::fs::hard_link(folder.join("data/posts.db"), folder.join("name.db")).unwrap();
    let before = std::fs::read(folder.join("data/posts.db")).unwrap();
    for (file, problem) in [
        ("-", "a backup is a file, because it is verified: name one instead of -"),
        ("data", "data is a folder; name a file"),
        ("none/copy.db", "none/copy.db has no folder; create its folder, or name another file"),
        ("data/posts.db", "data/posts.db belongs to the database itself; name another file"),
        ("link.db", "link.db belongs to the database itself; name another file"),
        ("name.db", "name.db belongs to the database itself; name another file"),
        ("/dev/null", "/dev/null is not a regular file; name another file"),
    ] {
        let refused = run(folder, &format!("backup --force {file}")).expect(2);
        assert_eq!(refused.error, format!("error: {problem}\n"), "{file}");
    }
    assert_eq!(std::fs::read(folder.join("data/posts.db")).unwrap(), before);
    assert_eq!(backups(folder), ["link.db", "name.db"]);
}

#[test]
fn missing_database_is_not_created() {
    let folder = folder();
    let refused = run(folder.path(), "backup copy.db").expect(1);
    assert_eq!(
        refused.error,
        "error: there is no database ./data/posts.db; name its folder in DATA_DIR, or its file in \
         DATABASE_URL\n"
    );
    assert_eq!(names(&folder.path().join("data")), [""; 0]);
}

#[tokio::test]
async fn database_that_fails_the_verification_leaves_no_backup() {
    for (damage, found) in [
        ("PRAGMA foreign_keys = off; DELETE FROM users", "of posts name a row of users"),
        ("UPDATE vote_counts SET votes = 9 WHERE post_id = 1", "post 1: the count says 9"),
        ("DROP INDEX posts_owner", "index posts_owner is missing"),
        ("DROP TABLE schema_migrations", "it is not a database of this service"),
    ] {
        let folder = folder_with_posts().await;
        open(folder.path()).execute_batch(damage).unwrap();
        let refused = run(folder.path(), "backup copy.db").expect(1);
        assert!(refused.error.contains(found), "{damage}: {}", refused.error);
        assert_eq!(backups(folder.path()), [""; 0], "{damage}");
    }
}

#[tokio::test]
async fn database_at_an_older_revision_is_backed_up_without_its_counts() {
    let folder = folder_with_posts().await;
    run(folder.path(), "db downgrade -3").expect(0);
    let outcome = run(folder.path(), "backup copy.db").expect(0);
    assert!(outcome.output.contains("note: the counts of votes were not verified"));
}

/// A killed backup leaves its partial file.
#[tokio::test]
async fn leftover_of_a_killed_backup_is_replaced() {
    let folder = folder_with_posts().await;
    let partial = folder.path().join("copy.db.partial");
    std::fs::write(&partial, "x".repeat(1 << 20)).unwrap();
    std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o644)).unwrap();
    run(folder.path(), "backup copy.db").expect(0);
    assert_eq!(backups(folder.path()), ["copy.db", "copy.db.sha256"]);
    assert_eq!(folder.path().join("copy.db").metadata().unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn second_backup_with_the_name_is_refused_while_the_first_is_written() {
    let folder = folder_with_posts().await;
    let partial = std::fs::File::create(folder.path().join("copy.db.partial")).unwrap();
    partial.lock().unwrap();
    let refused = run(folder.path(), "backup copy.db").expect(2);
    assert!(refused.error.contains("copy.db.partial is being written"), "{}", refused.error);
    assert!(folder.path().join("copy.db.partial").exists());
}

/// The disk is full at different sizes. The command fails and leaves nothing.
#[tokio::test]
async fn full_disk_leaves_no_backup() {
    let folder = folder_with_posts().await;
    let size = folder.path().join("data/posts.db").metadata().unwrap().len();
    for blocks in [0, 1, 20, size / 512 - 1] {
        let outcome = run_on_full_disk(folder.path(), "backup copy.db", blocks).expect(1);
        assert!(outcome.error.contains("error: could not"), "{blocks}: {}", outcome.error);
        assert_eq!(backups(folder.path()), [""; 0], "{blocks}");
    }
}

/// Runs the binary with a limit on the size of its files, in blocks of 512 bytes. Writes fail as on a
/// full disk.
pub(super) fn run_on_full_disk(folder: &Path, arguments: &str, blocks: u64) -> Outcome {
    let service = Service::command(folder);
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" {arguments}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(service.get_program())
        .current_dir(folder)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        output: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn postgresql_is_left_to_its_own_tools() {
    let folder = TempDir::new().unwrap();
    let database = Cluster::shared().database();
    let environment = [("DATABASE_URL", database.url())];
    for (command, tools) in [
        ("backup copy.db", ["pg_dump ", "pg_basebackup "]),
        ("restore copy.db", ["pg_restore ", "user sign-out --all"]),
    ] {
        let refused = run_with(folder.path(), command, &environment).expect(2);
        for tool in tools {
            assert!(refused.error.contains(tool), "{}", refused.error);
        }
    }
    assert_eq!(names(folder.path()), [""; 0]);
}
