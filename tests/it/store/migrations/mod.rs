//! Migrations: the list and its files, upgrade and downgrade over data, and the reports of the
//! operator's commands.

/// Objects of others in a SQLite file.
mod foreign_objects;

/// Migrations of a newer release.
mod newer_release;

/// Wrong counts and orphaned rows, mended while others write.
mod repair;

/// Migrations on PostgreSQL, and the adoption of a database of the reference service.
mod postgres;

/// Constraints and triggers of the SQLite schema.
mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use post_api::store::migrate::{
    Applied, Direction, MigrateError, Migration, POSTGRES, SQLITE, SchemaAdmin, Step,
    count_applied, find_target, migrate, revision_at,
};
use post_api::store::sqlite::SqliteAdmin;
use rusqlite::Connection;
use tempfile::TempDir;

use super::fresh_store::noon;

/// A database file that may not exist yet.
struct DatabaseFile {
    _folder: TempDir,
    path: PathBuf,
    admin: SqliteAdmin,
}

impl DatabaseFile {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        Self { _folder: folder, admin: SqliteAdmin::new(&path), path }
    }

    async fn at(position: usize) -> Self {
        let mut database = Self::new();
        database.migrate_to(position).await;
        database
    }

    async fn migrate_to(&mut self, position: usize) {
        migrate(&mut self.admin, position, noon(), |_| {}).await.unwrap();
    }

    async fn revisions(&mut self) -> Vec<String> {
        self.admin.applied().await.unwrap().into_iter().map(|found| found.revision).collect()
    }

    fn sql(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }
}

/// Two users, two posts and four votes, valid in every revision that has tables.
const SAMPLE: &str = "
    INSERT INTO users (email, password, created_at) VALUES ('a@example.com', 'h', 1),
        ('b@example.com', 'h', 2);
    INSERT INTO posts (title, content, published, created_at, owner_id)
        VALUES ('a lantern', '', 1, 3, 1), ('a draft', '', 0, 4, 2);
    INSERT INTO votes (post_id, user_id) VALUES (1, 1), (1, 2), (2, 1), (2, 2);";

#[test]
fn migrations_and_files_match() {
    for (store, migrations) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(store);
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut listed: BTreeSet<String> = migrations
            .iter()
            .flat_map(|migration| {
                ["up", "down"].map(|way| format!("{}.{way}.sql", migration.revision))
            })
            .collect();
        if store == "postgres" {
            listed.extend(postgres::further_files());
        }
        assert_eq!(files, listed, "{store}");
    }
}

#[test]
fn migration_numbers_have_no_gap() {
    for migrations in [SQLITE, POSTGRES] {
        for (number, migration) in migrations.iter().enumerate() {
            let expected = format!("{:04}_", number + 1);
            assert!(migration.revision.starts_with(&expected), "{}", migration.revision);
            assert!(!migration.up.trim().is_empty() && !migration.down.trim().is_empty());
        }
    }
}

/// `printf 'UP\0DOWN' | sha256sum`, in Base64. Databases record it, so it must never change.
#[test]
fn checksum_covers_both_directions() {
    let migration =
        Migration { revision: "0001_any", up: "UP", down: "DOWN", compatible_from: None };
    assert_eq!(migration.checksum(), "uUvBX418pNnzffEqbYpXfqtisMYdq2kvy22aeTclpzI");
}

#[tokio::test]
async fn stepwise_upgrade_and_downgrade_keep_data() {
    let mut database = DatabaseFile::at(1).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    for target in 2..=SQLITE.len() {
        database.migrate_to(target).await;
        assert_sound(&mut database, target).await;
    }
    assert_eq!(count(&database, "SELECT votes FROM vote_counts WHERE post_id = 2"), 2);
    for target in (1..SQLITE.len()).rev() {
        database.migrate_to(target).await;
        assert_sound(&mut database, target).await;
    }
    database.migrate_to(SQLITE.len()).await;
    assert_sound(&mut database, SQLITE.len()).await;
    assert!(database.admin.wrong_counts().await.unwrap().is_empty());
    database.migrate_to(0).await;
    assert_eq!(database.revisions().await, [""; 0]);
    assert_eq!(
        count(&database, "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'"),
        0
    );
    database.migrate_to(SQLITE.len()).await;
    assert_eq!(count(&database, "SELECT count(*) FROM users"), 0);
}

/// Checks that all data is kept and the schema matches its migrations.
async fn assert_sound(database: &mut DatabaseFile, target: usize) {
    let expected: Vec<&str> = SQLITE.iter().take(target).map(|known| known.revision).collect();
    assert_eq!(database.revisions().await, expected);
    assert_eq!(database.admin.schema_differences().await.unwrap(), [""; 0], "at {target}");
    for (table, rows) in [("users", 2), ("posts", 2), ("votes", 4)] {
        assert_eq!(count(database, &format!("SELECT count(*) FROM {table}")), rows, "at {target}");
    }
}

#[tokio::test]
async fn downgrade_below_downvotes_keeps_only_upvotes() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    database.sql().execute("UPDATE votes SET dir = -1 WHERE user_id = 2", []).unwrap();
    database.migrate_to(1).await;
    assert_eq!(count(&database, "SELECT count(*) FROM votes WHERE user_id = 1"), 2);
    assert_eq!(count(&database, "SELECT count(*) FROM votes"), 2);
}

#[tokio::test]
async fn inspection_does_not_create_a_database() {
    let mut database = DatabaseFile::new();
    assert!(database.admin.applied().await.unwrap().is_empty());
    assert!(database.admin.schema_differences().await.unwrap().is_empty());
    assert!(database.admin.wrong_counts().await.unwrap().is_empty());
    database.migrate_to(0).await;
    assert!(!database.path.exists());
}

#[tokio::test]
async fn history_records_revision_and_time() {
    let mut database = DatabaseFile::at(2).await;
    let applied = |migration: &Migration| Applied {
        revision: migration.revision.to_owned(),
        checksum: migration.checksum(),
        applied_at: noon(),
        compatible_from: migration.compatible_from.map(str::to_owned),
    };
    assert_eq!(database.admin.applied().await.unwrap(), [applied(&SQLITE[0]), applied(&SQLITE[1])]);
    database.admin.stamp(1, noon()).await.unwrap();
    assert_eq!(database.revisions().await, [SQLITE[0].revision]);
    database.admin.stamp(2, noon()).await.unwrap();
    assert!(database.admin.schema_differences().await.unwrap().is_empty());
}

#[tokio::test]
async fn changed_migration_is_rejected() {
    let mut database = DatabaseFile::at(3).await;
    let edit = "UPDATE schema_migrations SET checksum = 'other' WHERE revision LIKE '0002%'";
    database.sql().execute(edit, []).unwrap();
    for target in [0, 2, 3, SQLITE.len()] {
        let refused = migrate(&mut database.admin, target, noon(), |_| {}).await;
        assert!(matches!(refused, Err(MigrateError::Changed(name)) if name == SQLITE[1].revision));
    }
    let refused = database.admin.schema_differences().await;
    assert!(matches!(refused, Err(MigrateError::Changed(_))));
    assert_eq!(database.revisions().await.len(), 3);
}

#[tokio::test]
async fn newer_database_is_rejected() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    let newer = "INSERT INTO schema_migrations VALUES ('9999_newer', 'checksum', 0, NULL)";
    database.sql().execute(newer, []).unwrap();
    for target in [0, SQLITE.len()] {
        let refused = migrate(&mut database.admin, target, noon(), |_| {}).await;
        assert!(matches!(refused, Err(MigrateError::Unknown(name)) if name == "9999_newer"));
    }
    assert_eq!(database.revisions().await.len(), SQLITE.len() + 1);
}

#[test]
fn history_with_gap_is_rejected() {
    let applied = |migration: &Migration| Applied {
        revision: migration.revision.to_owned(),
        checksum: migration.checksum(),
        applied_at: noon(),
        compatible_from: migration.compatible_from.map(str::to_owned),
    };
    let gap = [applied(&SQLITE[0]), applied(&SQLITE[2])];
    assert!(matches!(count_applied(SQLITE, &gap), Err(MigrateError::Unknown(_))));
    assert_eq!(count_applied(SQLITE, &gap[..1]).unwrap(), 1);
}

/// Each migration runs once, as a second run would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn concurrent_upgrades_apply_each_migration_once() {
    for _ in 0..5 {
        let mut database = DatabaseFile::new();
        let upgrades: Vec<_> = (0..8)
            .map(|_| {
                let mut admin = SqliteAdmin::new(&database.path);
                tokio::spawn(async move {
                    let mut steps = 0;
                    migrate(&mut admin, SQLITE.len(), noon(), |_| steps += 1).await.map(|()| steps)
                })
            })
            .collect();
        let mut steps = 0;
        for upgrade in upgrades {
            steps += upgrade.await.unwrap().unwrap();
        }
        assert_eq!(steps, SQLITE.len());
        assert_eq!(database.revisions().await.len(), SQLITE.len());
        assert!(database.admin.schema_differences().await.unwrap().is_empty());
    }
}

#[test]
fn target_word_resolves_to_position() {
    let last = SQLITE.len();
    for (now_at, word, found) in [
        (0, "head", last),
        (last, "base", 0),
        (2, "+1", 3),
        (2, "-1", 1),
        (2, "+0", 2),
        (0, "+5", 5),
        (last, "-5", last - 5),
        (0, "3", 3),
        (0, "0003", 3),
        (4, "0003_vote_counts", 3),
    ] {
        assert_eq!(find_target(SQLITE, now_at, word).unwrap(), found, "{word} at {now_at}");
    }
}

#[test]
fn unknown_target_word_is_rejected() {
    for word in ["", " ", "0", "0000", "9999", "vote_counts", "3_", "+", "-", "+x", "1.0", "HEAD"] {
        let refused = find_target(SQLITE, 2, word);
        assert!(matches!(refused, Err(MigrateError::NoSuchRevision(_))), "{word:?}: {refused:?}");
    }
    for word in ["-3", "+99", "+999999"] {
        let refused = find_target(SQLITE, 2, word);
        assert!(matches!(refused, Err(MigrateError::OutOfRange(..))), "{word:?}: {refused:?}");
    }
}

#[test]
fn position_resolves_to_revision_name() {
    assert_eq!(revision_at(SQLITE, 0), "base");
    assert_eq!(revision_at(SQLITE, 1), "0001_users_posts_votes");
    assert_eq!(revision_at(SQLITE, SQLITE.len()), SQLITE.last().unwrap().revision);
}

#[tokio::test]
async fn manual_schema_changes_are_reported() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database
        .sql()
        .execute_batch(
            "DROP INDEX votes_user;
             DROP TRIGGER votes_counted_after_delete;
             CREATE TABLE notes (text TEXT);
             ALTER TABLE users ADD COLUMN nickname TEXT;",
        )
        .unwrap();
    let mut differences = database.admin.schema_differences().await.unwrap();
    differences.sort();
    assert_eq!(
        differences,
        [
            "index votes_user is missing",
            "table notes is not of any migration",
            "table users was changed",
            "trigger votes_counted_after_delete is missing",
        ]
    );
}

#[tokio::test]
async fn wrong_counts_are_reported() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    assert!(database.admin.wrong_counts().await.unwrap().is_empty());
    database.sql().execute("UPDATE vote_counts SET votes = 5 WHERE post_id = 1", []).unwrap();
    database.sql().execute("DELETE FROM vote_counts WHERE post_id = 2", []).unwrap();
    assert_eq!(
        database.admin.wrong_counts().await.unwrap(),
        [
            "post 1: the count says 5, its votes add up to 2",
            "post 2: the count says 0, its votes add up to 2",
        ]
    );
}

/// The printed script produces the same database as the step.
#[tokio::test]
async fn script_has_the_same_effect_as_its_step() {
    let mut scripted = DatabaseFile::new();
    for migration in SQLITE {
        let step = Step { direction: Direction::Up, migration };
        scripted.sql().execute_batch(&scripted.admin.script(step, noon())).unwrap();
    }
    let mut stepped = DatabaseFile::at(SQLITE.len()).await;
    assert_eq!(scripted.admin.applied().await.unwrap(), stepped.admin.applied().await.unwrap());
    assert!(scripted.admin.schema_differences().await.unwrap().is_empty());
    for (position, migration) in SQLITE.iter().enumerate().rev() {
        let step = Step { direction: Direction::Down, migration };
        scripted.sql().execute_batch(&scripted.admin.script(step, noon())).unwrap();
        stepped.migrate_to(position).await;
        assert_eq!(scripted.revisions().await, stepped.revisions().await);
        assert!(scripted.admin.schema_differences().await.unwrap().is_empty());
    }
    let left = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'";
    assert_eq!((count(&scripted, left), count(&stepped, left)), (0, 0));
}

fn count(database: &DatabaseFile, query: &str) -> i64 {
    database.sql().query_row(query, [], |row| row.get(0)).unwrap()
}
