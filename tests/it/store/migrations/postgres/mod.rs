//! Migrations on PostgreSQL: upgrade and downgrade over data, the history, the reports of the
//! operator's commands, and concurrent upgrades.

/// The database of a case.
pub mod database;

/// Databases of the reference service: recognised, adopted, reverted. Others are rejected.
mod adoption;

/// Writers that use the SQL of the reference service during a migration.
mod concurrent_writers;

/// The functions that run with the rights of their owner.
mod functions;
/// The row of the installation, and the first value of new accounts.
mod installation;

/// Lock timeouts and interrupted steps.
mod interruption;

/// Objects of others with names of ours, and objects that depend on ours.
mod ownership;

/// The search index, which needs an extension.
mod search;

/// Schemas of the search path.
mod search_path;

/// Sequences of IDs that are behind or nearly used up.
mod sequences;

/// Settings of the database that change the text of definitions.
mod session_settings;

/// The shape file of each revision.
mod shapes;

use post_api::store::migrate::{
    Applied, Direction, MigrateError, Migration, POSTGRES, SchemaAdmin as _, Step, migrate,
};

use tokio_postgres::error::SqlState;

pub use self::database::Database;
use self::database::assert_same;
use super::super::fresh_store::noon;

/// Two users, two posts and four votes, valid in every revision that has tables.
pub const SAMPLE: &str = "
    INSERT INTO users (email, password) VALUES ('a@example.com', 'h'), ('b@example.com', 'h');
    INSERT INTO posts (title, content, published, owner_id)
        VALUES ('a lantern', '', true, 1), ('a draft', '', false, 2);
    INSERT INTO votes (post_id, user_id) VALUES (1, 1), (1, 2), (2, 1), (2, 2);";

/// Returns the files that exist in addition to one pair per migration.
pub fn further_files() -> Vec<String> {
    let first = POSTGRES[0].revision;
    let pair = ["up", "down"].map(|way| format!("{first}.adopt.{way}.sql"));
    let shapes = POSTGRES.iter().map(|migration| format!("{}.shape.txt", migration.revision));
    pair.into_iter().chain(shapes).collect()
}

#[tokio::test]
async fn invalid_rows_are_rejected() {
    let database = Database::newest();
    database.run(SAMPLE).await;
    let sql = database.sql().await;
    for (statement, refusal) in [
        (
            "INSERT INTO users (email, password) VALUES ('a@example.com', 'h')",
            SqlState::UNIQUE_VIOLATION,
        ),
        ("INSERT INTO users (email) VALUES ('c@example.com')", SqlState::NOT_NULL_VIOLATION),
        ("UPDATE users SET created_at = 'noon'", SqlState::INVALID_DATETIME_FORMAT),
        ("UPDATE posts SET title = NULL", SqlState::NOT_NULL_VIOLATION),
        ("UPDATE posts SET title = E'a\\x00'", SqlState::CHARACTER_NOT_IN_REPERTOIRE),
        ("UPDATE posts SET published = 'maybe'", SqlState::INVALID_TEXT_REPRESENTATION),
        ("UPDATE posts SET owner_id = 99", SqlState::FOREIGN_KEY_VIOLATION),
        ("UPDATE votes SET dir = 0", SqlState::CHECK_VIOLATION),
        ("UPDATE votes SET dir = 2", SqlState::CHECK_VIOLATION),
        ("UPDATE votes SET user_id = 'text'", SqlState::INVALID_TEXT_REPRESENTATION),
        ("INSERT INTO votes (post_id, user_id) VALUES (1, 1)", SqlState::UNIQUE_VIOLATION),
        ("INSERT INTO votes (post_id, user_id) VALUES (99, 1)", SqlState::FOREIGN_KEY_VIOLATION),
        ("INSERT INTO votes (post_id, user_id) VALUES (1, 99)", SqlState::FOREIGN_KEY_VIOLATION),
        (
            "INSERT INTO vote_counts (post_id, votes) VALUES (99, 0)",
            SqlState::FOREIGN_KEY_VIOLATION,
        ),
    ] {
        let refused = sql.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code(), Some(&refusal), "{statement}: {refused:?}");
    }
    assert_eq!(database.number("SELECT count(*) FROM votes WHERE dir = 1").await, 4);
}

#[tokio::test]
async fn stepwise_upgrade_and_downgrade_keep_data() {
    let database = Database::empty();
    let empty = database.dump();
    database.migrate_to(1).await;
    database.run(SAMPLE).await;
    for target in (2..=POSTGRES.len()).chain((1..POSTGRES.len()).rev()) {
        database.migrate_to(target).await;
        assert_kept(&database, target).await;
    }
    database.migrate_to(POSTGRES.len()).await;
    assert_kept(&database, POSTGRES.len()).await;
    database.assert_sound().await;
    assert_eq!(database.number("SELECT votes FROM vote_counts WHERE post_id = 2").await, 2);
    database.migrate_to(0).await;
    assert_eq!(database.revisions().await, [""; 0]);
    assert_same(&database.dump(), &empty, "the downgrade leaves nothing behind");
    database.migrate_to(POSTGRES.len()).await;
    assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
}

/// Checks that all data is kept and the schema matches its migrations.
async fn assert_kept(database: &Database, target: usize) {
    let expected: Vec<&str> = POSTGRES.iter().take(target).map(|known| known.revision).collect();
    assert_eq!(database.revisions().await, expected);
    let differences = database.admin().await.schema_differences().await.unwrap();
    assert_eq!(differences, [""; 0], "at {target}");
    for (table, rows) in [("users", 2), ("posts", 2), ("votes", 4)] {
        let found = database.number(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(found, rows, "{table} at {target}");
    }
}

#[tokio::test]
async fn downgrade_below_downvotes_keeps_only_upvotes() {
    let database = Database::newest();
    database.run(SAMPLE).await;
    database.run("UPDATE votes SET dir = -1 WHERE user_id = 2").await;
    assert_eq!(database.number("SELECT sum(votes)::bigint FROM vote_counts").await, 0);
    database.migrate_to(1).await;
    assert_eq!(database.number("SELECT count(*) FROM votes WHERE user_id = 1").await, 2);
    assert_eq!(database.number("SELECT count(*) FROM votes").await, 2);
}

#[tokio::test]
async fn history_records_revision_and_time() {
    let database = Database::empty();
    database.migrate_to(2).await;
    let applied = |migration: &Migration| Applied {
        revision: migration.revision.to_owned(),
        checksum: migration.checksum(),
        applied_at: noon(),
        compatible_from: migration.compatible_from.map(str::to_owned),
    };
    let mut admin = database.admin().await;
    assert_eq!(admin.applied().await.unwrap(), [&POSTGRES[0], &POSTGRES[1]].map(applied));
    admin.stamp(1, noon()).await.unwrap();
    assert_eq!(admin.applied().await.unwrap(), [applied(&POSTGRES[0])]);
    admin.stamp(2, noon()).await.unwrap();
    assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
    admin.stamp(0, noon()).await.unwrap();
    assert_eq!(database.revisions().await, [""; 0]);
}

#[tokio::test]
async fn changed_or_unknown_migration_is_rejected() {
    let change = "UPDATE schema_migrations SET checksum = 'other' WHERE revision LIKE '0002%'";
    let newer = "INSERT INTO schema_migrations VALUES ('9999_newer', 'checksum', now())";
    let started = "INSERT INTO schema_migrations VALUES ('9999_newer', 'checksum', NULL)";
    let database = Database::empty();
    for (edit, name) in
        [(change, POSTGRES[1].revision), (newer, "9999_newer"), (started, "9999_newer")]
    {
        database.admin().await.stamp(0, noon()).await.unwrap();
        database.admin().await.stamp(POSTGRES.len(), noon()).await.unwrap();
        database.run(edit).await;
        for target in [0, 2, POSTGRES.len()] {
            match database.try_migrate_to(target).await {
                Err(MigrateError::Changed(found) | MigrateError::Unknown(found)) => {
                    assert_eq!(found, name);
                }
                other => panic!("{name} to {target}: {other:?}"),
            }
        }
        assert!(database.admin().await.schema_differences().await.is_err(), "{name}");
    }
}

/// Each migration runs once, on an empty database and on one of the reference service.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn concurrent_upgrades_apply_each_migration_once() {
    for database in [Database::empty(), Database::of_reference().await] {
        let mut upgrades = Vec::new();
        for _ in 0..16 {
            let mut admin = database.admin().await;
            upgrades.push(tokio::spawn(async move {
                let mut steps = Vec::new();
                migrate(&mut admin, POSTGRES.len(), noon(), |step| {
                    steps.push(step.migration.revision);
                })
                .await
                .map(|()| steps)
            }));
        }
        let mut steps = Vec::new();
        for upgrade in upgrades {
            steps.extend(upgrade.await.unwrap().unwrap());
        }
        steps.sort_unstable();
        let all: Vec<&str> = POSTGRES.iter().map(|migration| migration.revision).collect();
        assert_eq!(steps, all);
        database.assert_sound().await;
    }
}

#[tokio::test]
async fn manual_schema_changes_are_reported() {
    let database = Database::newest();
    database
        .run(
            "DROP INDEX votes_user_post;
             DROP TRIGGER votes_counted_after_delete ON votes;
             ALTER TABLE votes DISABLE TRIGGER votes_counted_after_insert;
             ALTER TABLE users ADD COLUMN nickname text;
             ALTER TABLE posts ALTER COLUMN content TYPE varchar(80);
             ALTER TABLE votes DROP CONSTRAINT votes_dir_check;
             CREATE TABLE notes (text text);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'posts_owner'::regclass;",
        )
        .await;
    let inserted = "AFTER INSERT ON votes REFERENCING NEW TABLE AS added FOR EACH STATEMENT \
                    EXECUTE FUNCTION count_votes_added()";
    let owner = "btree (owner_id, published, id)";
    let deleted = "AFTER DELETE ON votes REFERENCING OLD TABLE AS removed FOR EACH STATEMENT \
                   EXECUTE FUNCTION count_votes_removed()";
    let expected = [
        "constraint votes_dir_check on votes: expected CHECK (dir = ANY (ARRAY['-1'::integer, 1])), found nothing"
            .to_owned(),
        format!("index posts_owner on posts: expected {owner}, found {owner} (not valid)"),
        "index votes_user_post on votes: expected btree (user_id, post_id), found nothing".to_owned(),
        "posts.content: expected text not null, found character varying(80) not null".to_owned(),
        format!("trigger votes_counted_after_delete on votes: expected {deleted}, found nothing"),
        format!(
            "trigger votes_counted_after_insert on votes: expected {inserted}, found {inserted} (not enabled)"
        ),
        "users.nickname: expected nothing, found text".to_owned(),
    ];
    let mut differences = database.admin().await.schema_differences().await.unwrap();
    differences.sort();
    assert_eq!(differences, expected);
}

#[tokio::test]
async fn wrong_counts_are_reported() {
    let database = Database::newest();
    database.run(SAMPLE).await;
    database.assert_sound().await;
    database
        .run(
            "UPDATE vote_counts SET votes = 5 WHERE post_id = 1;
             DELETE FROM vote_counts WHERE post_id = 2;
             SET session_replication_role = replica;
             INSERT INTO vote_counts VALUES (7, 1);
             INSERT INTO votes VALUES (8, 1), (8, 2);",
        )
        .await;
    assert_eq!(
        database.admin().await.wrong_counts().await.unwrap(),
        [
            "1 of vote_counts name a row of posts that is not there",
            "2 of votes name a row of posts that is not there",
            "post 1: the count says 5, its votes add up to 2",
            "post 2: the count says 0, its votes add up to 2",
        ]
    );
}

/// No older version hides the rows of a closed account.
#[tokio::test]
async fn downgrade_deletes_closed_accounts_with_their_rows() {
    let database = Database::newest();
    database.run(SAMPLE).await;
    database
        .run(
            "INSERT INTO posts (title, content, owner_id)
             SELECT 'post', '', 1 + n % 2 FROM generate_series(1, 900) AS n;
             INSERT INTO votes (post_id, user_id)
             SELECT id, 1 FROM posts WHERE id > 2;
             INSERT INTO users (email, password)
             SELECT 'voter' || n, 'h' FROM generate_series(1, 1500) AS n;
             INSERT INTO votes (post_id, user_id)
             SELECT 1, id FROM users WHERE id > 2;
             INSERT INTO account_deletions VALUES (1)",
        )
        .await;
    let notes = database.admin().await.notes().await.unwrap();
    assert!(notes.iter().any(|note| note.starts_with("1 closed accounts")), "{notes:?}");
    let is_deletions = |migration: &Migration| migration.revision == "0012_account_deletions";
    database.migrate_to(POSTGRES.iter().position(is_deletions).unwrap()).await;
    let rows = [
        ("users WHERE id = 1", 0),
        ("posts WHERE owner_id = 1", 0),
        ("posts", 451),
        ("votes", 1),
        (
            "vote_counts WHERE votes <> (SELECT count(*) FROM votes WHERE post_id = vote_counts.post_id)",
            0,
        ),
    ];
    let client = database.sql().await;
    for (table, expected) in rows {
        let count = format!("SELECT count(*) FROM {table}");
        let found: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        assert_eq!(found, expected, "{table}");
    }
    database.migrate_to(POSTGRES.len()).await;
    assert_eq!(database.admin().await.notes().await.unwrap(), [""; 0]);
}

/// The printed script produces the same database as the step, for every upgrade and downgrade.
#[tokio::test]
async fn script_has_the_same_effect_as_its_step() {
    for (scripted, stepped) in [
        (Database::empty(), Database::empty()),
        (Database::of_reference().await, Database::of_reference().await),
    ] {
        for direction in [Direction::Up, Direction::Down] {
            for _ in POSTGRES {
                let mut admin = scripted.admin().await;
                let at = admin.applied().await.unwrap().len();
                let target = if direction == Direction::Up { at + 1 } else { at - 1 };
                let step = Step::next(admin.migrations(), at, target).unwrap();
                scripted.psql(&admin.script(step, noon()));
                stepped.migrate_to(target).await;
                let context = format!("{direction:?} to {target}");
                assert_same(&scripted.dump(), &stepped.dump(), &context);
            }
        }
    }
}
