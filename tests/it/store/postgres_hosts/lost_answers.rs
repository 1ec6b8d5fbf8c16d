//! Writes whose answer is lost: the server ends the session while the commit waits for the
//! synchronous standby, as in a planned switchover. The transaction is committed.

use std::sync::Arc;

use futures_util::future::join;
use post_api::store::postgres::PostgresStore;
use post_api::store::{ChangePost, Once, StoreError, VoteOutcome};

use super::super::fresh_store::{FreshStore, content, noon};
use super::super::idempotency_keys::{key, vote_once, write_once};
use super::confirmed::set_standbys;
use crate::support::{Cluster, PostgresDatabase};

/// Ends the session of the next write that waits for the standby, and then needs no standby.
async fn lose_answer(cluster: &Cluster, database: &PostgresDatabase<'_>) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE wait_event = 'SyncRep' AND datname = current_database()";
    while database.query(end).is_empty() {
        tokio::task::yield_now().await;
    }
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while !database.query(waiting).is_empty() {
        tokio::task::yield_now().await;
    }
    set_standbys(cluster, "");
}

#[tokio::test]
async fn only_writes_with_a_key_are_repeated_after_a_lost_answer() {
    let cluster = Cluster::start("");
    let name = cluster.database().keep();
    let database = cluster.existing_database(&name);
    let store = Arc::new(PostgresStore::open(&database.address()).unwrap());
    let store = FreshStore::shared(store);
    let ada = store.sign_up("ada").await;
    let lose_next = || {
        set_standbys(&cluster, "gone");
        lose_answer(&cluster, &database)
    };
    let (created, ()) = join(write_once(&store, ada, "with a key", "a"), lose_next()).await;
    let Once::Replayed(post) = created else { panic!("{created:?}") };
    let (voted, ()) = join(vote_once(&store, ada, post.id, 1, "b"), lose_next()).await;
    assert_eq!(voted, Once::Replayed(VoteOutcome::Added));
    let delete = store.delete_post_once(ada, post.id, None, key("c", "delete"), noon());
    let (deleted, ()) = join(delete, lose_next()).await;
    assert_eq!(deleted.unwrap(), Once::Replayed(ChangePost::Changed(())));
    let create = store.create_post(ada, content("without a key", true), noon());
    let (created, ()) = join(create, lose_next()).await;
    assert!(matches!(created, Err(StoreError::Unavailable(_))), "{created:?}");
    while store.check_ready().await.is_err() {}
    let posts = database.query("SELECT title FROM posts");
    assert_eq!(posts, ["without a key"]);
}
