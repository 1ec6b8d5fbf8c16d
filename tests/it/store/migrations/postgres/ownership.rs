//! Objects of others that have a name of ours, or that depend on what is ours: refused by name before
//! the first change, and never dropped.

use std::collections::BTreeSet;

use post_api::store::migrate::{MigrateError, POSTGRES, POSTGRES_SHAPES, SchemaAdmin as _};

use super::database::{Database, assert_same};
use super::interruption::record_started_step;
use crate::store::fresh_store::noon;

/// A table of another program, for its indexes, and a function for its triggers.
const BLOG: &str = "
    CREATE TABLE blog (id integer, owner integer);
    INSERT INTO blog SELECT n, n FROM generate_series(1, 10) AS n;";

/// Returns the objects of the newest shape: kind and name.
fn names(kinds: &[&str]) -> BTreeSet<(String, String)> {
    let newest = POSTGRES_SHAPES.last().unwrap().lines();
    let lines = newest.chain(["index votes_post on votes: btree (post_id, user_id)"]);
    lines
        .filter_map(|line| {
            let mut words = line.split(": ").next()?.split(' ');
            let (kind, name) = (words.next()?, words.next()?);
            kinds.contains(&kind).then(|| (kind.to_owned(), name.to_owned()))
        })
        .collect()
}

/// Returns the lines of the refusal.
async fn refusal(database: &Database, target: usize) -> Vec<String> {
    match database.try_migrate_to(target).await {
        Err(MigrateError::Obstructed(lines) | MigrateError::NotAdoptable(lines)) => lines,
        other => panic!("to {target}: {other:?}"),
    }
}

#[track_caller]
fn assert_names(lines: &[String], name: &str, context: &str) {
    assert!(lines.iter().any(|line| line.contains(name)), "{context}: {lines:?}");
}

/// Tries every kind of relation under every name of a relation, and a function under every name of a
/// function.
async fn try_every_name(database: &Database, own: &[&str]) {
    database.run(BLOG).await;
    let before = database.dump();
    let (mut admin, other) = (database.admin().await, database.sql().await);
    let mut tried = 0;
    for (kind, name) in names(&["table", "index", "sequence", "function"]) {
        if own.contains(&name.as_str()) {
            continue;
        }
        let objects = if kind == "function" {
            vec![("FUNCTION", format!("{name} RETURNS integer LANGUAGE sql AS 'SELECT 1'"))]
        } else {
            vec![
                ("TABLE", format!("{name} (id integer, user_id integer, payload text)")),
                ("INDEX", format!("{name} ON blog (owner)")),
                ("SEQUENCE", name.clone()),
                ("VIEW", format!("{name} AS SELECT 1 AS one")),
            ]
        };
        for (object, definition) in objects {
            let drop = name.split('(').next().unwrap();
            other.batch_execute(&format!("CREATE {object} {definition}")).await.unwrap();
            let context = format!("{object} {name}");
            let foreign = admin.shape().await.unwrap();
            match admin.step_towards(POSTGRES.len(), noon()).await {
                Err(MigrateError::Obstructed(lines) | MigrateError::NotAdoptable(lines)) => {
                    assert_names(&lines, &name, &context);
                }
                other => panic!("{context}: {other:?}"),
            }
            assert!(admin.plan(POSTGRES.len()).await.is_err(), "{context}");
            assert_names(&admin.schema_differences().await.unwrap(), &name, &context);
            assert_same(&admin.shape().await.unwrap(), &foreign, &context);
            other.batch_execute(&format!("DROP {object} {drop}")).await.unwrap();
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
    assert_same(&database.dump(), &before, "after the refusals");
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "at base");
}

#[tokio::test]
async fn every_name_of_ours_in_an_empty_database_is_refused() {
    // Only an adopted database gets this index.
    try_every_name(&Database::empty(), &["votes_post"]).await;
}

#[tokio::test]
async fn every_name_of_ours_beside_the_reference_tables_is_refused() {
    let own = ["users", "posts", "votes", "users_id_seq", "posts_id_seq"];
    try_every_name(&Database::of_reference().await, &own).await;
}

/// PostgreSQL itself chooses another name for the index of a key, and for the type of an array.
#[tokio::test]
async fn name_that_a_step_can_avoid_is_left_alone() {
    let database = Database::of_reference().await;
    database
        .run(
            "CREATE TABLE sessions_pkey (id integer);
             CREATE TYPE _events AS ENUM ('one');
             CREATE TABLE vote_counts_pkey (id integer CONSTRAINT events_pkey PRIMARY KEY);
             INSERT INTO vote_counts_pkey VALUES (1);",
        )
        .await;
    let before = database.dump();
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "");
}

#[tokio::test]
async fn type_and_constraint_with_a_name_of_ours_are_refused() {
    for (object, name) in [
        ("CREATE TYPE events AS ENUM ('one')", "events"),
        ("ALTER INDEX posts_pkey RENAME TO posts_owner", "posts_owner"),
        ("ALTER TABLE votes RENAME CONSTRAINT votes_pkey TO sessions_user", "sessions_user"),
    ] {
        let database = Database::of_reference().await;
        database.run(object).await;
        let before = database.dump();
        assert_names(&refusal(&database, POSTGRES.len()).await, name, object);
        assert_same(&database.dump(), &before, object);
    }
}

/// Objects of others that were made after a release without the later tables migrated the database.
#[tokio::test]
async fn later_step_is_refused_before_the_steps_ahead_of_it() {
    let database = Database::empty();
    database.migrate_to(5).await;
    for object in [
        "TABLE login_failures (id integer)",
        "TABLE sessions (sid text, sess text, expire integer)",
        "INDEX events_user ON users (created_at)",
    ] {
        database.run(&format!("CREATE {object}")).await;
        let before = database.dump();
        let name = object.split(' ').nth(1).unwrap();
        assert_names(&refusal(&database, POSTGRES.len()).await, name, object);
        assert_same(&database.dump(), &before, object);
        let kind = object.split(' ').next().unwrap();
        database.run(&format!("DROP {kind} {name}")).await;
    }
    database.run("ALTER TABLE users ADD COLUMN tokens_valid_from integer").await;
    assert_names(&refusal(&database, 6).await, "users.tokens_valid_from", "column");
    database.run("ALTER TABLE users DROP COLUMN tokens_valid_from").await;
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
}

/// After a step began, its own objects are finished or dropped, and those of others stay.
#[tokio::test]
async fn foreign_object_stops_an_unfinished_step_both_ways() {
    let database = Database::empty();
    database.migrate_to(6).await;
    record_started_step(&database, &POSTGRES[6], false).await;
    database
        .run("CREATE TABLE sessions (sid text, sess text); INSERT INTO sessions VALUES ('a')")
        .await;
    let before = database.dump();
    for target in [6, 7, 0] {
        assert_names(&refusal(&database, target).await, "table sessions", "sessions");
        assert_same(&database.dump(), &before, "");
    }
    database.run("DROP TABLE sessions").await;
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
}

#[tokio::test]
async fn downgrade_drops_no_object_of_others() {
    for (change, name) in [
        (
            "DROP TABLE events; CREATE TABLE events (id integer, user_id integer, payload text);
             INSERT INTO events SELECT n, n, 'kept' FROM generate_series(1, 1000) AS n",
            "table events",
        ),
        ("DROP INDEX posts_owner; CREATE UNIQUE INDEX posts_owner ON blog (owner)", "posts_owner"),
        ("DROP INDEX post_search; CREATE INDEX post_search ON blog (owner)", "post_search"),
        (
            "DROP TABLE sessions; CREATE VIEW sessions AS SELECT 1 AS one",
            "table sessions",
        ),
        ("CREATE INDEX theirs ON events (at)", "index theirs"),
        ("ALTER TABLE sessions ADD COLUMN theirs text", "sessions.theirs"),
        (
            "CREATE FUNCTION their() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER theirs BEFORE INSERT ON vote_counts FOR EACH ROW EXECUTE FUNCTION their()",
            "trigger theirs",
        ),
    ] {
        let database = Database::newest();
        database.run(BLOG).await;
        database.run(change).await;
        let before = database.dump();
        assert_names(&refusal(&database, 0).await, name, change);
        assert!(database.admin().await.plan(0).await.is_err(), "{change}");
        assert_same(&database.dump(), &before, change);
    }
}

/// An index that the extension allows later must not replace one of others.
#[tokio::test]
async fn late_search_index_replaces_no_index_of_others() {
    let database = Database::newest();
    database.run(BLOG).await;
    database.run("DROP INDEX post_search; CREATE INDEX post_search ON blog (owner)").await;
    let before = database.dump();
    assert_names(&refusal(&database, POSTGRES.len()).await, "post_search", "");
    assert_same(&database.dump(), &before, "");
}

/// Changes under which the service cannot work although all its objects are there.
const UNSOUND: [(&str, &str); 6] = [
    ("CREATE RULE theirs AS ON INSERT TO votes DO ALSO NOTIFY voted", "rule theirs on votes"),
    ("CREATE RULE theirs AS ON DELETE TO posts DO INSTEAD NOTHING", "rule theirs on posts"),
    ("ALTER TABLE votes DISABLE TRIGGER ALL", "constraint votes: "),
    ("ALTER TABLE users DISABLE TRIGGER ALL", "constraint posts: "),
    ("CREATE TABLE theirs () INHERITS (posts)", "table posts"),
    ("ALTER TABLE votes ENABLE ROW LEVEL SECURITY", "table votes"),
];

#[tokio::test]
async fn unsound_reference_table_is_not_adopted() {
    for (change, name) in UNSOUND {
        let database = Database::of_reference().await;
        database.run(change).await;
        let before = database.dump();
        assert_names(&refusal(&database, POSTGRES.len()).await, name, change);
        assert_same(&database.dump(), &before, change);
    }
}

#[tokio::test]
async fn unsound_table_is_reported_and_not_upgraded() {
    for (change, name) in UNSOUND {
        let database = Database::newest();
        database.run(change).await;
        let reported = database.admin().await.schema_differences().await.unwrap();
        assert_names(&reported, name, change);
        database.migrate_to(6).await;
        assert_names(&refusal(&database, POSTGRES.len()).await, name, change);
        assert_eq!(database.revisions().await.len(), 6, "{change}");
    }
}

/// Objects of others that depend on what a downgrade drops, and where their names appear.
const DEPENDANTS: [(&str, &str); 9] = [
    ("CREATE VIEW theirs AS SELECT dir FROM votes", "view theirs"),
    ("CREATE MATERIALIZED VIEW theirs AS SELECT dir FROM votes", "materialized view theirs"),
    (
        "CREATE FUNCTION theirs() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(dir) FROM votes; END",
        "function theirs()",
    ),
    ("CREATE TABLE theirs (id bigint REFERENCES sessions (id))", "on table theirs"),
    ("CREATE POLICY theirs ON votes USING (dir = 1)", "policy theirs"),
    ("CREATE PUBLICATION theirs FOR TABLE votes (post_id, user_id, dir)", "publication"),
    ("CREATE STATISTICS theirs ON dir, user_id FROM votes", "statistics object theirs"),
    (
        "ALTER TABLE votes ADD COLUMN theirs integer GENERATED ALWAYS AS (dir * 2) STORED",
        "column theirs",
    ),
    (
        "CREATE TRIGGER theirs AFTER TRUNCATE ON blog EXECUTE FUNCTION count_votes_truncated()",
        "trigger theirs",
    ),
];

#[tokio::test]
async fn downgrade_with_dependant_deletes_nothing() {
    for (change, name) in DEPENDANTS {
        let database = Database::adopted();
        database.run(BLOG).await;
        database.run("INSERT INTO votes (post_id, user_id, dir) SELECT 40, id, -1 FROM users WHERE id > 2 ON CONFLICT (post_id, user_id) DO UPDATE SET dir = -1").await;
        database.run(change).await;
        let before = database.dump();
        assert_names(&refusal(&database, 0).await, name, change);
        assert_same(&database.dump(), &before, change);
    }
}

/// A view over what stays does not matter.
#[tokio::test]
async fn downgrade_with_unrelated_dependant_succeeds() {
    let database = Database::of_reference().await;
    database.run("CREATE VIEW titles AS SELECT title, email FROM posts JOIN users ON owner_id = users.id").await;
    let before = database.dump();
    database.migrate_to(POSTGRES.len()).await;
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "");
}

#[tokio::test]
async fn tables_of_another_owner_are_refused_before_the_first_change() {
    let database = Database::empty();
    database.migrate_to(6).await;
    let role = database.new_role().await;
    database.run(&format!("GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")).await;
    let before = database.dump();
    let other = database.for_role(&role);
    assert_names(&refusal(&other, POSTGRES.len()).await, "table votes: belongs to", "up");
    assert_names(&refusal(&other, 0).await, "table votes: belongs to", "down");
    assert_same(&database.dump(), &before, "");
}

/// The tables in which other programs keep their migrations.
#[tokio::test]
async fn history_of_another_program_is_named() {
    for (columns, program) in [
        ("version bigint PRIMARY KEY, dirty boolean NOT NULL", "golang-migrate"),
        ("version varchar PRIMARY KEY", "Rails"),
        ("version bigint, inserted_at timestamp", "Ecto"),
        ("name text, revision text", "another program"),
    ] {
        let database = Database::empty();
        database.run(&format!("CREATE TABLE schema_migrations ({columns})")).await;
        let before = database.dump();
        let mut admin = database.admin().await;
        let outcomes = [
            admin.applied().await.map(|_| ()),
            admin.plan(POSTGRES.len()).await.map(|_| ()),
            admin.schema_differences().await.map(|_| ()),
            admin.stamp(1, noon()).await,
            admin.step_towards(1, noon()).await.map(|_| ()),
        ];
        for outcome in outcomes {
            match outcome {
                Err(MigrateError::ForeignHistory(text)) => {
                    assert!(text.contains(program) && text.contains("CREATE SCHEMA"), "{text}");
                }
                other => panic!("{columns}: {other:?}"),
            }
        }
        assert_same(&database.dump(), &before, columns);
        // The cure works.
        database.run("CREATE SCHEMA post_api").await;
        let own = database.with_option("search_path%3Dpost_api");
        own.migrate_to(POSTGRES.len()).await;
        own.assert_sound().await;
        own.migrate_to(0).await;
    }
}
