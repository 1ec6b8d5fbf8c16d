//! Settings of the database that change the text of definitions, or the meaning of SQL.

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};
use post_api::store::postgres::{Address, PostgresAdmin};

use super::database::{Database, assert_same};

const SETTINGS: [&str; 12] = [
    "quote_all_identifiers = on",
    "standard_conforming_strings = off",
    "transform_null_equals = on",
    "array_nulls = off",
    "datestyle = 'German'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "default_transaction_isolation = 'serializable'",
    "check_function_bodies = off",
    "lock_timeout = '1ms'",
];

#[tokio::test]
async fn defaults_of_the_database_change_no_outcome() {
    for setting in SETTINGS {
        let database = Database::of_reference().await;
        let alter = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {}', current_database()); END $$",
            setting.replace('\'', "''")
        );
        database.run(&alter).await;
        let before = database.dump();
        let differences = database.admin().await.schema_differences().await.unwrap();
        assert_eq!(differences, [""; 0], "{setting}");
        database.migrate_to(POSTGRES.len()).await;
        database.assert_sound().await;
        let shape = database.admin().await.shape().await.unwrap();
        // Behind a pooler, the settings hold for one transaction.
        let pooled = Address::parse(&database.url).unwrap().with_prepared(false);
        let mut admin = PostgresAdmin::connect(&pooled).await.unwrap();
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0], "{setting}");
        assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0], "{setting}");
        database.migrate_to(0).await;
        assert_same(&database.dump(), &before, setting);
        assert!(shape.contains("table vote_counts: ordinary"), "{setting}: {shape}");
    }
}

/// Under this setting neither triggers nor foreign keys work.
#[tokio::test]
async fn replica_role_is_reported_and_not_upgraded() {
    let database = Database::newest();
    let replica = database.with_option("session_replication_role%3Dreplica");
    let reported = replica.admin().await.schema_differences().await.unwrap();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].starts_with("setting session_replication_role"), "{reported:?}");
}
