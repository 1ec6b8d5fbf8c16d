//! Objects of others in a SQLite file: refused by name before the first change, and never dropped.

use post_api::store::migrate::{MigrateError, SQLITE, SchemaAdmin as _, migrate};

use super::{DatabaseFile, count};
use crate::store::fresh_store::noon;

/// Returns the schema with the number of rows of each foreign table.
fn dump(database: &DatabaseFile) -> Vec<String> {
    let sql = database.sql();
    let mut read = sql
        .prepare("SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")
        .unwrap();
    read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

async fn assert_refused(database: &mut DatabaseFile, target: usize, name: &str) {
    let before = dump(database);
    for outcome in [
        migrate(&mut database.admin, target, noon(), |_| {}).await,
        database.admin.plan(target).await.map(|_| ()),
    ] {
        match outcome {
            Err(MigrateError::Obstructed(lines)) => {
                assert!(lines.iter().any(|line| line.contains(name)), "{name}: {lines:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(dump(database), before, "{name}");
}

#[tokio::test]
async fn every_name_of_ours_in_a_file_is_refused() {
    let pristine = DatabaseFile::at(SQLITE.len()).await;
    let names: Vec<(String, String)> = {
        let sql = pristine.sql();
        let mut read = sql
            .prepare("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND name <> 'schema_migrations'")
            .unwrap();
        read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert!(names.len() > 20, "{names:?}");
    let mut database = DatabaseFile::new();
    std::fs::write(&database.path, "").unwrap();
    database
        .sql()
        .execute_batch("CREATE TABLE blog (id, owner); INSERT INTO blog VALUES (1, 2)")
        .unwrap();
    for (kind, name) in names {
        let objects = if kind == "trigger" {
            vec![("TRIGGER", format!("{name} AFTER INSERT ON blog BEGIN SELECT 1; END"))]
        } else {
            vec![
                ("TABLE", format!("{name} (id, user_id, payload)")),
                ("INDEX", format!("{name} ON blog (owner)")),
                ("VIEW", format!("{} AS SELECT 1", name.to_uppercase())),
            ]
        };
        for (object, definition) in objects {
            database.sql().execute_batch(&format!("CREATE {object} {definition}")).unwrap();
            let shown = definition.split(' ').next().unwrap().to_owned();
            assert_refused(&mut database, SQLITE.len(), &shown).await;
            database.sql().execute_batch(&format!("DROP {object} {name}")).unwrap();
        }
    }
    database.migrate_to(SQLITE.len()).await;
    database.migrate_to(0).await;
    assert_eq!(count(&database, "SELECT owner FROM blog"), 2);
}

#[tokio::test]
async fn downgrade_drops_no_object_of_others() {
    for (change, name) in [
        ("DROP TABLE events; CREATE TABLE events (id, user_id, payload)", "table events"),
        ("DROP INDEX votes_user; CREATE INDEX votes_user ON posts (title)", "index votes_user"),
        ("CREATE INDEX theirs ON events (at)", "index theirs"),
        ("CREATE TRIGGER theirs AFTER INSERT ON events BEGIN SELECT 1; END", "trigger theirs"),
        ("CREATE VIEW theirs AS SELECT dir FROM votes", "0002_downvotes"),
        ("ALTER TABLE sessions ADD COLUMN theirs TEXT", "table sessions"),
    ] {
        let mut database = DatabaseFile::at(SQLITE.len()).await;
        database.sql().execute_batch(change).unwrap();
        assert_refused(&mut database, 0, name).await;
    }
}

#[tokio::test]
async fn column_of_others_stops_the_upgrade_before_the_first_step() {
    let mut database = DatabaseFile::at(4).await;
    database.sql().execute_batch("ALTER TABLE users ADD COLUMN tokens_valid_from TEXT").unwrap();
    assert_refused(&mut database, SQLITE.len(), "0006_tokens_valid_from").await;
}

#[tokio::test]
async fn unrelated_objects_stay() {
    let mut database = DatabaseFile::new();
    std::fs::write(&database.path, "").unwrap();
    database
        .sql()
        .execute_batch(
            "CREATE TABLE notes (text); CREATE INDEX notes_text ON notes (text);
             CREATE VIEW titles AS SELECT text FROM notes; INSERT INTO notes VALUES ('kept');
             CREATE VIRTUAL TABLE found USING fts5 (text); INSERT INTO found VALUES ('kept');",
        )
        .unwrap();
    let before = dump(&database);
    database.migrate_to(SQLITE.len()).await;
    database.migrate_to(0).await;
    let left: Vec<String> =
        dump(&database).into_iter().filter(|line| !line.starts_with("tablesqlite_")).collect();
    assert_eq!(left, before);
    assert_eq!(
        count(&database, "SELECT (SELECT count(*) FROM notes) + (SELECT count(*) FROM found)"),
        2
    );
}

#[tokio::test]
async fn history_of_another_program_is_refused() {
    let mut database = DatabaseFile::new();
    std::fs::write(&database.path, "").unwrap();
    database.sql().execute_batch("CREATE TABLE schema_migrations (version TEXT)").unwrap();
    let refused = database.admin.step_towards(1, noon()).await;
    assert!(matches!(refused, Err(MigrateError::ForeignHistory(_))), "{refused:?}");
    let refused = database.admin.stamp(1, noon()).await;
    assert!(matches!(refused, Err(MigrateError::ForeignHistory(_))), "{refused:?}");
    assert!(matches!(database.admin.applied().await, Err(MigrateError::ForeignHistory(_))));
}
