//! The search index, which needs an extension that not every role can create.

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};

use super::database::Database;

const HAS_INDEX: &str = "SELECT count(*) FROM pg_indexes WHERE indexname = 'post_search'";
const HAS_EXTENSION: &str = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'";

/// Returns the same database for a role that can create tables but no extensions.
async fn with_restricted_role(database: &Database) -> Database {
    let role = database.new_role().await;
    database.run(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {role}")).await;
    database.for_role(&role)
}

#[tokio::test]
async fn upgrade_without_extension_reports_it_and_catches_up_later() {
    let database = Database::empty();
    let restricted = with_restricted_role(&database).await;
    restricted.migrate_to(POSTGRES.len()).await;
    let notes = restricted.admin().await.notes().await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("have a superuser run CREATE EXTENSION pg_trgm"), "{notes:?}");
    assert_eq!(database.number(HAS_INDEX).await, 0);
    restricted.assert_sound().await;

    // The role has no rights on the schema of the extension.
    database.run("CREATE SCHEMA elsewhere; CREATE EXTENSION pg_trgm SCHEMA elsewhere").await;
    restricted.migrate_to(POSTGRES.len()).await;
    assert_eq!(restricted.admin().await.notes().await.unwrap(), notes);
    restricted.assert_sound().await;

    database.run("GRANT USAGE ON SCHEMA elsewhere TO PUBLIC").await;
    let differences = restricted.admin().await.schema_differences().await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    restricted.migrate_to(POSTGRES.len()).await;
    assert_eq!(restricted.admin().await.notes().await.unwrap(), [""; 0]);
    assert_eq!(database.number(HAS_INDEX).await, 1);
    restricted.assert_sound().await;

    restricted.migrate_to(4).await;
    assert_eq!(database.number(HAS_INDEX).await, 0);
    assert_eq!(database.number(HAS_EXTENSION).await, 1, "the service did not create it");
}

#[tokio::test]
async fn downgrade_drops_extension_only_if_unused() {
    let database = Database::newest();
    assert_eq!(database.number(HAS_EXTENSION).await, 1);
    database.migrate_to(4).await;
    assert_eq!(database.number(HAS_EXTENSION).await, 0);
    database.migrate_to(POSTGRES.len()).await;
    database.run("CREATE TABLE notes (text text);").await;
    database.run("CREATE INDEX others ON notes USING gin (text gin_trgm_ops)").await;
    database.migrate_to(4).await;
    assert_eq!(database.number(HAS_INDEX).await, 0);
    assert_eq!(database.number(HAS_EXTENSION).await, 1, "others use it");
    database.migrate_to(POSTGRES.len()).await;
    database.assert_sound().await;
}
