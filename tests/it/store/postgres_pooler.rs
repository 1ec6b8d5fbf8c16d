//! The PostgreSQL store behind `PgBouncer`.

use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore};
use post_api::store::{Readiness, ReadinessStore as _, StoreError};

use super::fresh_store::FreshStore;
use crate::support::{Cluster, Pooler};

/// Records the settings of the session that inserts a post.
const RECORD_SETTINGS: &str = "
    CREATE TABLE recorded (settings text);
    CREATE FUNCTION record_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO recorded SELECT string_agg(current_setting(name), ' ' ORDER BY place)
          FROM unnest(ARRAY['statement_timeout', 'plan_cache_mode', 'jit', 'work_mem'])
               WITH ORDINALITY AS wanted (name, place);
        RETURN NEW;
    END $$;
    CREATE TRIGGER record_settings AFTER INSERT ON posts
       FOR EACH ROW EXECUTE FUNCTION record_settings()";

/// A pooler refuses startup options in its default configuration.
#[tokio::test]
async fn session_pooler_with_its_defaults_serves_requests_with_their_settings() {
    let cluster = Cluster::shared();
    for (options, expected) in [
        ("", "30s force_generic_plan off 4MB"),
        (
            "&options=-c%20statement_timeout%3D20s%20--work-mem%3D5MB",
            "20s force_generic_plan off 5MB",
        ),
    ] {
        let database = cluster.database();
        database.execute(RECORD_SETTINGS);
        let pooler = Pooler::start(cluster, "", database.name()).await;
        let url = pooler.url(database.name()) + options;
        let address = Address::parse(&url).unwrap();
        PostgresAdmin::connect(&address).await.unwrap();
        let store = FreshStore::shared(std::sync::Arc::new(PostgresStore::open(&address).unwrap()));
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
        let ada = store.sign_up("ada").await;
        let post = store.write(ada, "post").await.id;
        store.vote(ada, post, 1).await;
        assert_eq!(database.query("SELECT settings FROM recorded"), [expected]);
        drop(store);
        // The pooler resets a session before another client gets it.
        let store = PostgresStore::open(&address).unwrap();
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
        drop(store);
        // Without a pooler, the settings are the same.
        let direct = format!("{}?{}", database.url(), options.trim_start_matches('&'));
        let address = Address::parse(&direct).unwrap();
        let store = FreshStore::shared(std::sync::Arc::new(PostgresStore::open(&address).unwrap()));
        store.write(ada, "post").await;
        assert_eq!(database.query("SELECT settings FROM recorded"), [expected; 2]);
    }
}

/// Settings of a session would reach other clients of the pooler.
#[tokio::test]
async fn transaction_pooler_without_its_setting_is_reported_by_name() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    // With one server connection, all clients share it.
    let configuration = "pool_mode = transaction\ndefault_pool_size = 1\n";
    let pooler = Pooler::start(cluster, configuration, database.name()).await;
    let address = Address::parse(&pooler.url(database.name())).unwrap();
    let first = PostgresStore::open(&address).unwrap();
    // The first store may itself need a second connection.
    drop(first.check_ready().await);
    let second = PostgresStore::open(&address).unwrap();
    match second.check_ready().await {
        Err(StoreError::Unavailable(cause)) => {
            assert!(cause.to_string().contains("set DATABASE_PREPARED_STATEMENTS=off"), "{cause}");
        }
        outcome => panic!("{outcome:?}"),
    }
}
