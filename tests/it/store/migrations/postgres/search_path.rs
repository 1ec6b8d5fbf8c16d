//! Schemas of the search path: the tables are found in the one that has them, and requests use the
//! same schema as the commands.

use post_api::store::migrate::{MigrateError, POSTGRES, SchemaAdmin as _};
use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore};
use post_api::store::{Readiness, ReadinessStore as _, UserStore as _};

use super::database::{Database, assert_same};
use crate::store::fresh_store::new_user;

fn with_path(database: &Database, path: &str) -> Address {
    Address::parse(&format!("{}?options=-c%20search_path%3D{path}", database.url)).unwrap()
}

async fn migrate_with_path(database: &Database, path: &str) -> Result<(), MigrateError> {
    let mut admin = PostgresAdmin::connect(&with_path(database, path)).await?;
    post_api::store::migrate::migrate(
        &mut admin,
        POSTGRES.len(),
        crate::store::fresh_store::noon(),
        |_| {},
    )
    .await
}

#[tokio::test]
async fn tables_are_found_in_any_schema_of_the_path() {
    let database = Database::of_reference().await;
    database.run("CREATE SCHEMA first; CREATE TABLE first.notes (text text)").await;
    let before = database.dump();
    migrate_with_path(&database, "first,public").await.unwrap();
    database.assert_sound().await;
    assert_eq!(
        database
            .number("SELECT count(*) FROM pg_class WHERE relnamespace = 'first'::regnamespace")
            .await,
        1
    );
    let store = PostgresStore::open(&with_path(&database, "first,public")).unwrap();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    drop(store);
    database.migrate_to(0).await;
    assert_same(&database.dump(), &before, "");
}

/// A name with a quote and a capital letter.
#[tokio::test]
async fn schema_with_any_name_is_used() {
    let database = Database::empty();
    database.run("CREATE SCHEMA \"My \"\"own\"; ").await;
    let path = "%22My%5C%20%22%22own%22";
    migrate_with_path(&database, path).await.unwrap();
    let mut admin = PostgresAdmin::connect(&with_path(&database, path)).await.unwrap();
    assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
    let store = PostgresStore::open(&with_path(&database, path)).unwrap();
    assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    store.create_user(new_user("ada")).await.unwrap();
}

#[tokio::test]
async fn tables_in_two_schemas_are_refused_by_name() {
    let database = Database::of_reference().await;
    database.run("CREATE SCHEMA twin").await;
    migrate_with_path(&database, "twin").await.unwrap();
    let before = database.dump();
    for path in ["twin,public", "public,twin"] {
        match migrate_with_path(&database, path).await {
            Err(MigrateError::SeveralSchemas(mut names)) => {
                names.sort();
                assert_eq!(names, ["public", "twin"]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_same(&database.dump(), &before, "");
    migrate_with_path(&database, "public").await.unwrap();
}

#[tokio::test]
async fn path_without_a_schema_is_refused() {
    let database = Database::empty();
    let refused = migrate_with_path(&database, "missing").await;
    assert!(matches!(refused, Err(MigrateError::NoSchema)), "{refused:?}");
}

/// A schema of the role's name comes first in the default path.
#[tokio::test]
async fn schema_that_is_added_later_hides_no_table() {
    let database = Database::newest();
    let path = "later,public";
    let address = with_path(&database, path);
    let store = PostgresStore::open(&address).unwrap();
    store.create_user(new_user("ada")).await.unwrap();
    database
        .run(
            "CREATE SCHEMA later; CREATE TABLE later.events (id integer, payload text);
                  CREATE TABLE later.users (id integer, email text)",
        )
        .await;
    // New connections, as after a restart.
    let restarted = PostgresStore::open(&address).unwrap();
    assert_eq!(restarted.check_ready().await.unwrap(), Readiness::Ready);
    assert!(restarted.find_user(post_api::domain::user::UserId(1)).await.unwrap().is_some());
    let mut admin = PostgresAdmin::connect(&address).await.unwrap();
    assert_eq!(admin.applied().await.unwrap().len(), POSTGRES.len());

    // Behind a pooler the path cannot be changed, so the hidden tables are an error.
    let pooled = PostgresStore::open(&address.with_prepared(false)).unwrap();
    // The options of the address reach this server, as there is no pooler.
    assert_eq!(pooled.check_ready().await.unwrap(), Readiness::WrongRevision);
}
