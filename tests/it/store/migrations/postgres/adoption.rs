//! Databases of the reference service: recognised, adopted, reverted. Others are rejected.

use post_api::store::migrate::{MigrateError, POSTGRES, POSTGRES_ADOPTED, SchemaAdmin as _};

use super::database::{Database, assert_same};
use crate::store::fresh_store::noon;

/// The schema of the tutorial from which the reference service descends: another revision, bcrypt
/// hashes, a phone number, other constraint names.
const COURSE_SCHEMA: &str = "
    UPDATE alembic_version SET version_num = '3f7b2c9d1a55';
    ALTER TABLE users ADD COLUMN phone_number character varying;
    ALTER TABLE posts RENAME CONSTRAINT post_user_fk TO post_users_fk;
    UPDATE users SET phone_number = '555-0100', password =
        '$2b$12$WCB1bmIvbBzHMKTHQlVbpO.AHBEqVlb1DZ0Ef7ka.Nt4CCBcbSyEe' WHERE id = 1;
    CREATE INDEX ix_posts_title ON posts (title);
    CREATE TABLE notes (text text);";

async fn course_database() -> Database {
    let database = Database::of_reference().await;
    database.run(COURSE_SCHEMA).await;
    database
}

#[tokio::test]
async fn adoption_can_be_reverted_exactly() {
    for database in [Database::of_reference().await, course_database().await] {
        let before = database.dump();
        database.migrate_to(POSTGRES.len()).await;
        database.assert_sound().await;
        for (table, rows) in [("users", 5), ("posts", 40), ("votes", 100), ("alembic_version", 1)] {
            let found = database.number(&format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(found, rows, "{table}");
        }
        assert_eq!(database.number("SELECT sum(votes)::bigint FROM vote_counts").await, 100);
        assert_ne!(database.dump(), before);
        database.migrate_to(0).await;
        assert_same(&database.dump(), &before, "");
    }
}

#[tokio::test]
async fn every_revision_of_adopted_database_is_sound() {
    let database = Database::of_reference().await;
    let differences = database.admin().await.schema_differences().await.unwrap();
    assert_eq!(differences, [""; 0], "before");
    let up_and_down = (1..=POSTGRES.len()).chain((1..POSTGRES.len()).rev());
    for target in up_and_down {
        database.migrate_to(target).await;
        assert_eq!(database.revisions().await.len(), target);
        let differences = database.admin().await.schema_differences().await.unwrap();
        assert_eq!(differences, [""; 0], "at {target}");
        let alembic = "SELECT count(*) FROM alembic_version WHERE version_num = '0cf86d064551'";
        assert_eq!(database.number(alembic).await, 1);
    }
}

/// The schema of the reference service has no downvotes.
#[tokio::test]
async fn downgrade_of_adopted_database_loses_only_downvotes() {
    let database = Database::adopted();
    database
        .run(
            "INSERT INTO users (email, password) VALUES ('new@example.com', 'h');
             INSERT INTO posts (title, content, owner_id) VALUES ('new', 'text', 6);
             INSERT INTO votes (post_id, user_id, dir) VALUES (41, 6, 1), (41, 1, -1), (41, 2, -1);",
        )
        .await;
    database.assert_sound().await;
    assert_eq!(database.number("SELECT votes FROM vote_counts WHERE post_id = 41").await, -1);
    database.migrate_to(0).await;
    for (table, rows) in [("users", 6), ("posts", 41), ("votes", 101)] {
        assert_eq!(
            database.number(&format!("SELECT count(*) FROM {table}")).await,
            rows,
            "{table}"
        );
    }
}

#[tokio::test]
async fn plan_counts_emails_that_sign_up_would_not_store() {
    let reference = Database::of_reference().await;
    reference
        .run(
            "INSERT INTO users (email, password)
             SELECT email, 'a hash' FROM unnest(ARRAY['admin', 'bob@EXAMPLE.com', 'x@example',
                 ' ada2@example.com', 'a..b@example.com', 'good@example.com']) AS email",
        )
        .await;
    let plan = reference.admin().await.plan(POSTGRES.len()).await.unwrap();
    assert_eq!(
        plan[1],
        "5 of 11 users have an e-mail that sign-up would refuse or write otherwise: they log in \
         with the e-mail as stored"
    );
}

#[tokio::test]
async fn plan_lists_what_an_upgrade_would_do() {
    let steps = [
        "up   0001_users_posts_votes: adds index votes_post on votes",
        "up   0002_downvotes: adds constraint votes_dir_check on votes CHECK (dir = ANY (ARRAY['-1'::integer, 1])), \
         column votes.dir",
        "up   0003_vote_counts: adds table vote_counts, \
         trigger votes_counted_after_delete on votes, trigger votes_counted_after_insert on votes, \
         trigger votes_counted_after_truncate on votes, trigger votes_counted_after_update on votes",
        "up   0004_indexes: adds index posts_owner on posts, index posts_published on posts, \
         index votes_user on votes",
        "up   0005_post_search: adds index post_search on posts",
        "up   0006_tokens_valid_from: adds column users.tokens_valid_from",
        "up   0007_sessions: adds table sessions",
        "up   0008_events: adds table events",
        "up   0009_login_failures: adds table login_failures",
        "up   0010_installation: adds table installation",
        "up   0011_count_functions: adds no object",
        "up   0012_account_deletions: adds table account_deletions",
        "up   0013_unconfirmed_rotations: adds column sessions.unconfirmed_hash",
        "up   0014_idempotency_keys: adds table idempotency_keys",
        "up   0015_feed_indexes: adds index posts_created on posts, index votes_user_post on votes",
        "up   0016_user_names: adds column users.name",
        "up   0017_disabled_users: adds column users.disabled_at",
        "up   0018_post_changes: adds table change_log, table post_changes, \
         trigger changes_logged_after_delete on posts, trigger changes_logged_after_delete on users, \
         trigger changes_logged_after_insert on posts, trigger changes_logged_after_update on posts, \
         trigger changes_logged_after_update on users",
        "up   0019_verified_emails: adds column users.email_verified_at",
        "up   0020_admins: adds column users.is_admin",
        "up   0021_verified_email_changes: adds trigger email_verification_removed on users",
        "up   0022_change_log_ends: adds no object",
    ];
    let reference = Database::of_reference().await;
    let before = reference.dump();
    let head = "adopts the database of the reference service (alembic revision 0cf86d064551): \
                5 users, 40 posts and 100 votes stay as they are";
    let plan = reference.admin().await.plan(POSTGRES.len()).await.unwrap();
    assert_eq!(plan, [&[head][..], &steps[..]].concat());
    assert_same(&reference.dump(), &before, "");
    reference.migrate_to(3).await;
    let plan = reference.admin().await.plan(POSTGRES.len()).await.unwrap();
    assert_eq!(plan, steps[3..]);

    let plan = course_database().await.admin().await.plan(1).await.unwrap();
    let heads = [
        "adopts tables like those of the reference service (alembic revision 3f7b2c9d1a55): \
         5 users, 40 posts and 100 votes stay as they are",
        "keeps index ix_posts_title on posts: btree (title)",
        "keeps users.phone_number: character varying",
        steps[0],
    ];
    assert_eq!(plan, heads);

    let fresh = Database::empty().admin().await.plan(1).await.unwrap();
    assert_eq!(fresh, ["up   0001_users_posts_votes: adds table posts, table users, table votes"]);
}

/// The plan only reports the revision that Alembic recorded.
#[tokio::test]
async fn adoption_depends_only_on_the_shape() {
    for (change, origin) in [
        ("DROP TABLE alembic_version", "no alembic_version"),
        ("DELETE FROM alembic_version", "an empty alembic_version"),
        ("INSERT INTO alembic_version VALUES ('other')", "alembic revisions 0cf86d064551, other"),
        ("ALTER TABLE posts ALTER COLUMN id TYPE bigint", "alembic revision 0cf86d064551"),
        ("ALTER TABLE users ALTER COLUMN email TYPE text", "alembic revision 0cf86d064551"),
        ("CREATE VIEW titles AS SELECT title FROM posts", "alembic revision 0cf86d064551"),
    ] {
        let database = Database::of_reference().await;
        database.run(change).await;
        let plan = database.admin().await.plan(1).await.unwrap();
        assert!(plan[0].contains(&format!("({origin}): 5 users")), "{change}: {}", plan[0]);
        let before = database.dump();
        database.migrate_to(POSTGRES.len()).await;
        database.assert_sound().await;
        database.migrate_to(0).await;
        assert_same(&database.dump(), &before, change);
    }
}

/// Changes of the reference schema, and the reported differences.
const OTHER_SHAPES: [(&str, &[&str]); 11] = [
    (
        "ALTER TABLE users ALTER COLUMN email TYPE varchar(50)",
        &["users.email: expected text not null, found character varying(50) not null"],
    ),
    (
        "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT ''; \
         ALTER TABLE users ALTER COLUMN name DROP DEFAULT",
        &["users.name: expected nothing, found text not null"],
    ),
    (
        "ALTER TABLE posts DROP COLUMN published; ALTER TABLE users DROP CONSTRAINT users_email_key",
        &[
            "constraint users: expected UNIQUE (email), found nothing",
            "posts.published: expected boolean not null default true, found nothing",
        ],
    ),
    ("DROP TABLE votes", &["table votes: expected ordinary, found nothing"]),
    (
        "ALTER TABLE posts ENABLE ROW LEVEL SECURITY",
        &["table posts: expected ordinary, found ordinary, with row security"],
    ),
    (
        "ALTER TABLE posts ADD CONSTRAINT short CHECK (length(title) < 80)",
        &["constraint short on posts: expected nothing, found CHECK (length(title::text) < 80)"],
    ),
    (
        "CREATE UNIQUE INDEX \"one.title\" ON posts (title)",
        &["index one.title on posts: expected nothing, found unique btree (title)"],
    ),
    ("ALTER TABLE votes ADD COLUMN dir smallint", &["votes.dir: expected nothing, found smallint"]),
    (
        "CREATE INDEX posts_owner ON posts (owner_id)",
        &["index posts_owner on posts: expected nothing, found btree (owner_id)"],
    ),
    (
        "CREATE TABLE vote_counts (post_id integer)",
        &["table vote_counts: expected nothing, found ordinary"],
    ),
    (
        "CREATE FUNCTION count_votes_added() RETURNS integer LANGUAGE sql RETURN 1; \
         ALTER TABLE votes DROP CONSTRAINT votes_post_id_fkey",
        &[
            "constraint votes: expected FOREIGN KEY (post_id) REFERENCES posts(id) ON DELETE CASCADE, found nothing",
            "function count_votes_added(): expected nothing, found e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
    ),
];

#[tokio::test]
async fn other_shape_is_rejected_with_every_difference() {
    for (change, expected) in OTHER_SHAPES {
        let database = Database::of_reference().await;
        database.run(change).await;
        let before = database.dump();
        match database.try_migrate_to(POSTGRES.len()).await {
            Err(MigrateError::NotAdoptable(differences)) => {
                assert_eq!(differences, expected, "{change}");
            }
            other => panic!("{change}: {other:?}"),
        }
        let mut admin = database.admin().await;
        assert!(matches!(admin.plan(1).await, Err(MigrateError::NotAdoptable(_))), "{change}");
        assert_eq!(admin.schema_differences().await.unwrap(), expected, "{change}");
        assert_eq!(admin.applied().await.unwrap(), []);
        assert_same(&database.dump(), &before, change);
    }
}

/// Additions that do not affect the service are allowed: an optional column, a non-unique index.
#[tokio::test]
async fn manual_changes_of_adopted_schema_are_reported() {
    let database = Database::adopted();
    database
        .run(
            "ALTER TABLE users ADD COLUMN nickname text;
             CREATE INDEX ix_posts_title ON posts (title);
             DROP INDEX votes_user_post;
             ALTER TABLE posts ALTER COLUMN content TYPE varchar(8000);
             ALTER TABLE votes DROP CONSTRAINT votes_dir_check;",
        )
        .await;
    let expected = [
        "constraint votes_dir_check on votes: expected CHECK (dir = ANY (ARRAY['-1'::integer, 1])), found nothing",
        "index votes_user_post on votes: expected btree (user_id, post_id), found nothing",
        "posts.content: expected text not null, found character varying(8000) not null",
    ];
    assert_eq!(database.admin().await.schema_differences().await.unwrap(), expected);
}

/// For example after a restored backup. The stamp records that the database was adopted.
#[tokio::test]
async fn lost_history_can_be_stamped_again() {
    let database = Database::of_reference().await;
    let before = database.dump();
    database.migrate_to(POSTGRES.len()).await;
    database.run("DROP TABLE schema_migrations").await;
    assert!(matches!(database.try_migrate_to(1).await, Err(MigrateError::NotAdoptable(_))));
    database.admin().await.stamp(POSTGRES.len(), noon()).await.unwrap();
    database.assert_sound().await;
    let mut admin = database.admin().await;
    let applied = admin.applied().await.unwrap();
    assert_eq!(applied[0].checksum, POSTGRES_ADOPTED[0].checksum());
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "");
}

/// A table of a later migration does not identify the reference service.
#[tokio::test]
async fn database_without_reference_tables_is_not_adopted() {
    let database = Database::empty();
    database.run("CREATE TABLE vote_counts (id integer)").await;
    let plan = database.admin().await.plan(1).await.unwrap();
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert!(plan[0].starts_with("up   0001_users_posts_votes: adds "), "{plan:?}");
}

#[tokio::test]
async fn tables_can_be_adopted_only_by_their_owner() {
    let database = Database::of_reference().await;
    let role = database.new_role().await;
    database
        .run(&format!(
            "GRANT ALL ON SCHEMA public TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let before = database.dump();
    let owner: String =
        database.sql().await.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    match database.for_role(&role).try_migrate_to(POSTGRES.len()).await {
        Err(MigrateError::NotAdoptable(differences)) => assert_eq!(
            differences,
            ["posts", "users", "votes"].map(|table| format!(
                "table {table}: belongs to the role {owner}, which must run the command"
            ))
        ),
        other => panic!("{other:?}"),
    }
    assert_same(&database.dump(), &before, "");
}
