//! The functions that run with the rights of their owner: only the triggers of their tables can use
//! them.

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::SAMPLE;
use super::database::{Database, assert_same};

/// Each function, and a trigger of another table that would call it.
const TRIGGERS: [(&str, &str); 9] = [
    ("count_votes_added", "INSERT ON forged REFERENCING NEW TABLE AS added"),
    ("count_votes_removed", "DELETE ON forged REFERENCING OLD TABLE AS removed"),
    ("count_votes_changed", "UPDATE ON forged REFERENCING NEW TABLE AS added OLD TABLE AS removed"),
    ("count_votes_truncated", "TRUNCATE ON forged"),
    ("log_posts_created", "INSERT ON forged REFERENCING NEW TABLE AS added"),
    ("log_posts_updated", "UPDATE ON forged REFERENCING NEW TABLE AS added OLD TABLE AS removed"),
    ("log_posts_deleted", "DELETE ON forged REFERENCING OLD TABLE AS removed"),
    ("log_users_updated", "UPDATE ON forged REFERENCING NEW TABLE AS added OLD TABLE AS removed"),
    ("log_users_deleted", "DELETE ON forged REFERENCING OLD TABLE AS removed"),
];

const COUNTS: &str = "SELECT string_agg(post_id || ':' || votes, ' ' ORDER BY post_id)
                        FROM vote_counts";

async fn prepare() -> (Database, String, Client) {
    let database = Database::newest();
    database.run(SAMPLE).await;
    let role = database.new_role().await;
    let client = database.for_role(&role).sql().await;
    client
        .batch_execute(
            "CREATE TEMPORARY TABLE forged (post_id bigint, dir bigint);
             INSERT INTO forged VALUES (1, 1000), (2, -1000)",
        )
        .await
        .unwrap();
    (database, role, client)
}

async fn counts(database: &Database) -> String {
    database.sql().await.query_one(COUNTS, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn role_without_rights_cannot_create_a_trigger_of_the_service() {
    let (_database, _, client) = prepare().await;
    for (function, trigger) in TRIGGERS {
        let create = format!(
            "CREATE TRIGGER forging AFTER {trigger} FOR EACH STATEMENT
             EXECUTE FUNCTION {function}()"
        );
        let refused = client.batch_execute(&create).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{function}");
    }
}

/// The owner of the functions can grant the right to execute them.
#[tokio::test]
async fn trigger_of_another_table_counts_and_logs_nothing() {
    let (database, role, client) = prepare().await;
    let before = counts(&database).await;
    database
        .run("SELECT setval('change_until_seq', date_part('epoch', now())::bigint + 3600)")
        .await;
    for (function, trigger) in TRIGGERS {
        database.run(&format!("GRANT EXECUTE ON FUNCTION {function}() TO {role}")).await;
        let create = format!(
            "CREATE TRIGGER forging AFTER {trigger} FOR EACH STATEMENT
             EXECUTE FUNCTION {function}()"
        );
        client.batch_execute(&create).await.unwrap();
        let event = match trigger.split(' ').next() {
            Some("INSERT") => "INSERT INTO forged VALUES (1, 1000000)",
            Some("DELETE") => "DELETE FROM forged",
            Some("UPDATE") => "UPDATE forged SET dir = 1000000",
            _ => "TRUNCATE forged",
        };
        let table = function.split('_').nth(1).unwrap();
        // A temporary table with the name of ours has no effect either.
        for name in ["forged", table] {
            client.batch_execute(&format!("ALTER TABLE forged RENAME TO {name}")).await.ok();
            let event = event.replace("forged", &format!("pg_temp.{name}"));
            let refused = client.batch_execute(&event).await.unwrap_err();
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{event}");
        }
        let reset =
            format!("ALTER TABLE pg_temp.{table} RENAME TO forged; DROP TRIGGER forging ON forged");
        client.batch_execute(&reset).await.unwrap();
        assert_eq!(counts(&database).await, before, "{function}");
        assert_eq!(database.number("SELECT count(*) FROM post_changes").await, 0, "{function}");
    }
}

/// The reference service can have such a role.
#[tokio::test]
async fn votes_of_a_role_without_the_right_are_counted() {
    let (database, role, client) = prepare().await;
    database
        .run(&format!("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON votes TO {role}"))
        .await;
    for (statement, expected) in [
        ("DELETE FROM votes WHERE user_id = 1", "1:1 2:1"),
        ("INSERT INTO votes (post_id, user_id) VALUES (1, 1)", "1:2 2:1"),
        ("UPDATE votes SET dir = -1 WHERE user_id = 1", "1:0 2:1"),
        (
            "INSERT INTO votes VALUES (1, 1, 1), (2, 1, 1)
             ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir",
            "1:2 2:2",
        ),
    ] {
        client.batch_execute(statement).await.unwrap();
        assert_eq!(counts(&database).await, expected, "{statement}");
    }
    client.batch_execute("TRUNCATE votes").await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM vote_counts").await, 0);
}

#[tokio::test]
async fn functions_with_rights_of_their_owner_are_closed() {
    let database = Database::newest();
    let open = database
        .sql()
        .await
        .query(
            "SELECT proname::text FROM pg_proc
              WHERE prosecdef AND pronamespace = 'public'::regnamespace
                AND (has_function_privilege('public', oid, 'EXECUTE')
                         -- The default of a column runs with the rights of the role that inserts.
                         AND proname <> 'first_tokens_valid_from'
                     OR proconfig IS NULL
                     OR proconfig <> ARRAY['search_path=public, pg_temp'])",
            &[],
        )
        .await
        .unwrap();
    let names: Vec<String> = open.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, [""; 0]);
    let ours = "SELECT count(*) FROM pg_proc
                 WHERE prosecdef AND pronamespace = 'public'::regnamespace";
    assert!(database.number(ours).await >= 4);
}

/// The role needs no right on the log.
#[tokio::test]
async fn changes_of_a_role_without_the_right_are_logged() {
    let (database, role, client) = prepare().await;
    database
        .run(&format!(
            "SELECT setval('change_until_seq', date_part('epoch', now())::bigint + 3600);
             GRANT SELECT, INSERT, UPDATE, DELETE ON users, posts, votes TO {role};
             GRANT USAGE ON posts_id_seq TO {role}"
        ))
        .await;
    for (statement, logged) in [
        ("INSERT INTO posts (title, content, owner_id) SELECT 'a', 'b', min(id) FROM users", 1),
        ("UPDATE posts SET title = 'c' WHERE id = 1", 2),
        ("DELETE FROM votes WHERE post_id = 1", 3),
        ("DELETE FROM posts WHERE id = 1", 4),
        ("UPDATE users SET tokens_valid_from = now() WHERE id = 1", 5),
    ] {
        client.batch_execute(statement).await.unwrap();
        let count = "SELECT count(*) FROM post_changes";
        assert_eq!(database.number(count).await, logged, "{statement}");
        assert!(client.batch_execute("SELECT FROM post_changes").await.is_err());
    }
}

/// A granted right is a difference of the schema, and the downgrade restores the functions exactly.
#[tokio::test]
async fn rights_of_functions_are_compared_and_restored() {
    let database = Database::empty();
    let position = POSTGRES.iter().position(|known| known.revision == "0011_count_functions");
    let position = position.unwrap();
    database.migrate_to(position).await;
    let before = database.dump();
    database.migrate_to(position + 1).await;
    let differences = async || database.admin().await.schema_differences().await.unwrap();
    assert_eq!(differences().await, [""; 0]);
    database.run("GRANT EXECUTE ON FUNCTION count_votes_added() TO PUBLIC").await;
    let found = differences().await;
    assert!(found.len() == 1 && found[0].ends_with(" executable by public"), "{found:?}");
    database.migrate_to(position).await;
    assert_eq!(differences().await, [""; 0]);
    assert_same(&database.dump(), &before, "the downgrade restores the functions and their rights");
}
