//! Sequences of IDs that are behind their table, or have used most of their range.

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};

use super::database::Database;

const BEHIND: &str = "SELECT setval('users_id_seq', 2); SELECT setval('posts_id_seq', 40, false)";

/// As after a restore of the rows only. `setval` with `false` gives its value once more.
#[tokio::test]
async fn sequence_behind_its_table_is_reported_and_moved() {
    for is_adopted in [true, false] {
        let database = Database::of_reference().await;
        if !is_adopted {
            database.run("DROP TABLE users, posts, votes, alembic_version CASCADE").await;
            database.migrate_to(POSTGRES.len()).await;
            database
                .run(
                    "INSERT INTO users (id, email, password) VALUES (5, 'a', 'h');
                     INSERT INTO posts (id, title, content, owner_id) VALUES (40, '', '', 5)",
                )
                .await;
        }
        database.run(BEHIND).await;
        let mut admin = database.admin().await;
        if is_adopted {
            let plan = admin.plan(POSTGRES.len()).await.unwrap();
            assert!(plan.iter().any(|line| line.contains("its next value is 3")), "{plan:?}");
            database.migrate_to(POSTGRES.len()).await;
        }
        let reported = admin.schema_differences().await.unwrap();
        assert_eq!(reported.len(), 2, "{reported:?}");
        assert!(reported[0].contains("public.posts_id_seq: its next value is 40"), "{reported:?}");
        assert!(reported[1].contains("public.users_id_seq: its next value is 3"), "{reported:?}");
        let done = admin.repair().await.unwrap();
        assert_eq!(done.len(), 2, "{done:?}");
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
        assert_eq!(database.number("SELECT nextval('users_id_seq')").await, 6);
        assert_eq!(database.number("SELECT nextval('posts_id_seq')").await, 41);
        assert_eq!(admin.repair().await.unwrap(), [""; 0]);
    }
}

/// The IDs of the reference service have 32 bits.
#[tokio::test]
async fn nearly_used_up_sequence_is_noted() {
    let database = Database::adopted();
    let mut admin = database.admin().await;
    database.run("SELECT setval('posts_id_seq', 1717986916)").await;
    assert_eq!(admin.notes().await.unwrap(), [""; 0]);
    database.run("SELECT setval('posts_id_seq', 1717986917)").await;
    let notes = admin.notes().await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("sequence public.posts_id_seq: 80 % of its values"), "{notes:?}");
    assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
    database.run("SELECT setval('posts_id_seq', 2147483647)").await;
    let reported = admin.schema_differences().await.unwrap();
    assert!(reported[0].contains("is used up"), "{reported:?}");
    // The cure that the message names.
    let cure = "ALTER SEQUENCE public.posts_id_seq AS bigint; ALTER TABLE posts ALTER COLUMN id TYPE bigint";
    assert!(cure.split("; ").all(|statement| reported[0].contains(statement)), "{reported:?}");
    database.run(cure).await;
    assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
    assert_eq!(admin.notes().await.unwrap(), [""; 0]);
}

/// A cycling sequence would give the IDs of deleted accounts again.
#[tokio::test]
async fn cycling_sequence_is_reported() {
    let database = Database::adopted();
    database.run("ALTER SEQUENCE users_id_seq CYCLE").await;
    let reported = database.admin().await.schema_differences().await.unwrap();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].contains("NO CYCLE"), "{reported:?}");
}
