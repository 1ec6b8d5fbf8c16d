//! Taking over a database that the reference's Alembic migrations made, and giving it back.

use std::sync::atomic::{AtomicBool, Ordering};

use post_api::domain::post::PostId;
use post_api::domain::user::UserId;
use post_api::store::Store as _;
use post_api::store::migrate::{Admin as _, MigrateError, migrate};
use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore};

use super::stores::{caller, email, noon};
use crate::support::{Cluster, TestDatabase};

/// Its tables as the reference's migrations make them.
const TABLES: &str = "
    CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);
    CREATE TABLE users (
        id serial PRIMARY KEY,
        email varchar NOT NULL UNIQUE,
        password varchar NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE posts (
        id serial PRIMARY KEY,
        title varchar NOT NULL,
        content varchar NOT NULL,
        owner_id integer NOT NULL CONSTRAINT post_user_fk REFERENCES users (id) ON DELETE CASCADE,
        published boolean NOT NULL DEFAULT TRUE,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE votes (
        user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        post_id integer NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
        PRIMARY KEY (user_id, post_id)
    );";

/// 50 users, 3,000 posts with 20 votes each.
const ROWS: &str = "
    INSERT INTO users (email, password)
    SELECT format('user%s@example.com', n), format('$argon2id$%s', n) FROM generate_series(1, 50) n;
    INSERT INTO posts (title, content, owner_id, published)
    SELECT 'Post ' || n, 'text', 1 + n % 50, n % 7 <> 0 FROM generate_series(1, 3000) n;
    INSERT INTO votes (user_id, post_id)
    SELECT 1 + (n + m) % 50, n FROM generate_series(1, 3000) n, generate_series(1, 20) m;";

/// What the course has in addition, which the reference was made in.
const COURSE: &str = "ALTER TABLE users ADD COLUMN phone_number varchar";

fn reference(revision: &str) -> TestDatabase<'static> {
    let database = Cluster::shared().empty_database();
    database.execute(TABLES);
    database.execute(ROWS);
    database.execute(&format!("INSERT INTO alembic_version VALUES ('{revision}')"));
    database
}

async fn admin(database: &TestDatabase<'_>) -> PostgresAdmin {
    PostgresAdmin::connect(&database.address()).await.unwrap()
}

async fn go_to(admin: &mut PostgresAdmin, position: usize) -> Result<(), MigrateError> {
    migrate(admin, position, noon(), |_| {}).await
}

/// What clients see: each post's number, votes and owner.
const READINGS: &str = "SELECT concat_ws(' ', id, owner_id, created_at,
                               (SELECT count(*) FROM votes WHERE post_id = posts.id))
                          FROM posts ORDER BY id";

#[tokio::test]
async fn a_database_of_the_reference_is_adopted_and_given_back() {
    for (revision, change) in [("0cf86d064551", ""), ("1b3c5d7e9f02", COURSE)] {
        let database = reference(revision);
        database.execute(change);
        let (before, readings) = (database.dump(), database.query(READINGS));

        let mut admin = admin(&database).await;
        let remarks = admin.remarks().await.unwrap().join("\n");
        assert!(remarks.contains(revision), "{remarks}");
        assert!(remarks.contains("50 users, 3000 posts and 60000 votes"), "{remarks}");
        assert_eq!(database.dump(), before, "looking changes nothing");

        let head = admin.migrations().len();
        go_to(&mut admin, head).await.unwrap();
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
        assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0]);
        assert_eq!(database.query(READINGS), readings);
        assert_eq!(database.query("SELECT version_num FROM alembic_version"), [revision]);
        assert_eq!(database.query("SELECT DISTINCT votes FROM vote_counts"), ["20"]);

        go_to(&mut admin, 0).await.unwrap();
        assert_eq!(database.dump(), before);
    }
}

#[tokio::test]
async fn an_adopted_database_is_served_from() {
    let database = reference("0cf86d064551");
    let mut admin = admin(&database).await;
    let head = admin.migrations().len();
    go_to(&mut admin, head).await.unwrap();
    let store = PostgresStore::open(&database.address()).unwrap();
    let first = caller(UserId(1));
    let found = store.find_post(first, PostId(3)).await.unwrap().unwrap();
    assert_eq!((found.votes, found.post.owner_id), (20, UserId(4)));
    let credentials = store.find_credentials(email("user7")).await.unwrap().unwrap();
    assert_eq!(credentials.user_id, UserId(7));
    store.delete_user(first, UserId(1)).await.unwrap();
    assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0]);
}

/// Each step down and up again, with everything in it.
#[tokio::test]
async fn an_adopted_database_goes_up_and_down_step_by_step() {
    let database = reference("0cf86d064551");
    let mut admin = admin(&database).await;
    for position in [1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 2, 5, 0] {
        go_to(&mut admin, position).await.unwrap();
        assert_eq!(admin.applied().await.unwrap().len(), position);
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0], "{position}");
    }
}

#[tokio::test]
async fn what_is_not_the_reference_s_is_refused_with_the_difference() {
    for (change, expected) in [
        ("ALTER TABLE users DROP COLUMN password", vec!["missing: users.password text not null"]),
        (
            "ALTER TABLE posts ADD COLUMN slug text NOT NULL DEFAULT ''",
            vec!["unexpected: posts.slug text not null default ''::text"],
        ),
        (
            "ALTER TABLE votes DROP CONSTRAINT votes_post_id_fkey",
            vec!["missing: votes: FOREIGN KEY (post_id) REFERENCES posts(id) ON DELETE CASCADE"],
        ),
        (
            "ALTER TABLE users ALTER COLUMN email TYPE varchar(50)",
            vec![
                "missing: users.email text not null",
                "unexpected: users.email character varying(50) not null",
            ],
        ),
        (
            "DROP TABLE alembic_version",
            vec!["there are tables of the service's names and no alembic_version"],
        ),
        (
            "INSERT INTO alembic_version VALUES ('another')",
            vec!["alembic_version has [\"0cf86d064551\", \"another\"], and not one revision"],
        ),
        (
            "DROP TABLE votes, posts, users",
            vec!["alembic_version is there, and the tables are not"],
        ),
    ] {
        let database = reference("0cf86d064551");
        database.execute(change);
        let before = database.dump();
        let mut admin = admin(&database).await;
        match go_to(&mut admin, 5).await {
            Err(MigrateError::UnknownShape(differences)) => {
                assert_eq!(differences, expected, "{change}");
            }
            other => panic!("{change}: {other:?}"),
        }
        assert_eq!(database.dump(), before, "{change}");
    }
}

/// The reference goes on beside the upgrade: it casts and withdraws votes, deletes posts and users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_right_whoever_writes_during_the_upgrade() {
    let database = reference("0cf86d064551");
    let mut admin = admin(&database).await;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (database, is_done) = (&database, &is_done);
            scope.spawn(move || {
                let rounds = (0..).take_while(|_| !is_done.load(Ordering::Relaxed));
                database
                    .execute_each(rounds.flat_map(|round| writes_of_the_reference(writer, round)));
            });
        }
        let runtime = tokio::runtime::Handle::current();
        let outcome = tokio::task::block_in_place(|| {
            runtime.block_on(async {
                for position in [5, 0, 5, 2, 5] {
                    go_to(&mut admin, position).await?;
                }
                Ok::<(), MigrateError>(())
            })
        });
        is_done.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
    assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0]);
    assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
}

/// As the reference's statements: each by itself, without our columns.
fn writes_of_the_reference(writer: u32, round: u32) -> Vec<String> {
    let user = 1 + (round * 3 + writer) % 40;
    let post = 1 + (round * 17 + writer) % 2000;
    let other = 1 + post % 2000;
    let doomed = 2001 + (round * 3 + writer) % 900;
    let mut statements = vec![
        format!(
            "INSERT INTO votes (user_id, post_id)
             SELECT {user}, id FROM posts WHERE id = {post} ON CONFLICT DO NOTHING"
        ),
        format!("DELETE FROM votes WHERE user_id = {user} AND post_id = {other}"),
        format!("DELETE FROM posts WHERE id = {doomed}"),
        format!("INSERT INTO posts (title, content, owner_id) VALUES ('new', 'text', {user})"),
    ];
    if round.is_multiple_of(5) {
        statements.push(format!("DELETE FROM users WHERE id = {}", 41 + writer * 3 + round % 3));
    }
    statements
}

#[tokio::test]
async fn a_role_that_may_not_create_extensions_gets_all_but_the_index() {
    let database = Cluster::shared().empty_database();
    database.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN");
    database.execute("GRANT ALL ON SCHEMA public TO plain");
    let url = database.url().replace("//tester@", "//plain@");
    let mut admin = PostgresAdmin::connect(&Address::parse(&url).unwrap()).await.unwrap();
    go_to(&mut admin, 5).await.unwrap();
    let remarks = admin.remarks().await.unwrap().join("\n");
    assert!(remarks.contains("CREATE EXTENSION pg_trgm"), "{remarks}");
    let store = PostgresStore::open(&Address::parse(&url).unwrap()).unwrap();
    store.check_ready().await.unwrap();

    database.execute("CREATE EXTENSION pg_trgm");
    for position in [4, 5] {
        go_to(&mut admin, position).await.unwrap();
    }
    assert_eq!(admin.remarks().await.unwrap(), [""; 0]);
    go_to(&mut admin, 4).await.unwrap();
    let extensions = database.query("SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'");
    assert_eq!(extensions, ["pg_trgm"], "it is not ours to drop");
    database.execute("DROP OWNED BY plain; DROP ROLE plain");
}
