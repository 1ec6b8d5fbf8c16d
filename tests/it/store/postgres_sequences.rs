//! Sequences of PostgreSQL that are behind their table, or exhausted.

use post_api::domain::display_name::NameChange;
use post_api::store::postgres::PostgresStore;
use post_api::store::{ChangeEmail, CreateUser, PostStore as _, StoreError, UserStore as _};

use super::fresh_store::{FreshStore, caller, content, email, new_user, noon};
use crate::support::{Cluster, PostgresDatabase};

fn open(database: &PostgresDatabase<'_>) -> std::sync::Arc<PostgresStore> {
    std::sync::Arc::new(PostgresStore::open(&database.address()).unwrap())
}

/// Returns the error with its causes, as the log shows it.
fn causes(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// As an import with explicit IDs leaves it.
#[tokio::test]
async fn sign_up_passes_over_ids_that_exist() {
    let database = Cluster::shared().database();
    let store = FreshStore::shared(open(&database));
    let accounts = ["ada", "bob", "eve"];
    for name in accounts {
        store.sign_up(name).await;
    }
    database.execute("SELECT setval('users_id_seq', 1)");
    assert_eq!(store.create_user(new_user("bob")).await.unwrap(), CreateUser::EmailTaken);
    database.execute("SELECT setval('users_id_seq', 1)");
    let created = store.create_user(new_user("new")).await.unwrap();
    let CreateUser::Created(user) = created else { panic!("{created:?}") };
    assert_eq!(user.id.0, 4);
    let ada = caller(post_api::domain::user::UserId(1));
    let taken = store.change_email(ada, email("bob"), NameChange::Keep, noon()).await.unwrap();
    assert_eq!(taken, ChangeEmail::EmailTaken);
}

#[tokio::test]
async fn post_passes_over_ids_that_exist() {
    let database = Cluster::shared().database();
    let store = FreshStore::shared(open(&database));
    let ada = store.sign_up("ada").await;
    for number in 0..5 {
        store.write(ada, &number.to_string()).await;
    }
    database.execute("SELECT setval('posts_id_seq', 1)");
    assert_eq!(store.write(ada, "new").await.id.0, 6);
}

/// A sequence that is far behind is the operator's to mend; the log names it.
#[tokio::test]
async fn sequence_far_behind_is_an_internal_error_that_names_it() {
    let database = Cluster::shared().database();
    let store = open(&database);
    let fresh = FreshStore::shared(store.clone());
    let ada = fresh.sign_up("ada").await;
    database.execute(
        "INSERT INTO users (email, password) SELECT n, 'a hash' FROM generate_series(1, 200) AS n;
         INSERT INTO posts (title, content, owner_id)
         SELECT n, 'text', 1 FROM generate_series(1, 200) AS n;
         SELECT setval('users_id_seq', 1), setval('posts_id_seq', 1)",
    );
    let refused = store.create_user(new_user("new")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal(_)), "{refused:?}");
    assert!(causes(&refused).contains("public.users_id_seq"), "{}", causes(&refused));
    let refused = store.create_post(ada, content("new", true), noon()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal(_)), "{refused:?}");
    assert!(causes(&refused).contains("public.posts_id_seq"), "{}", causes(&refused));
}

#[tokio::test]
async fn exhausted_sequence_is_an_internal_error_that_names_it() {
    let database = Cluster::shared().database();
    let store = open(&database);
    let ada = FreshStore::shared(store.clone()).sign_up("ada").await;
    database.execute(
        "ALTER SEQUENCE users_id_seq MAXVALUE 2; ALTER SEQUENCE posts_id_seq MAXVALUE 2;
         SELECT setval('users_id_seq', 2), setval('posts_id_seq', 2)",
    );
    let refused = store.create_user(new_user("new")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal(_)), "{refused:?}");
    assert!(causes(&refused).contains("users_id_seq"), "{}", causes(&refused));
    let refused = store.create_post(ada, content("new", true), noon()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal(_)), "{refused:?}");
    assert!(causes(&refused).contains("posts_id_seq"), "{}", causes(&refused));
}
