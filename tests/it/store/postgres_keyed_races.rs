//! The same write with a key at two processes, in the order that is hardest: both have looked the key
//! up before either has done the write.

use std::sync::Arc;

use post_api::domain::caller::Caller;
use post_api::domain::idempotency_key::{Fingerprint, IdempotencyKey};
use post_api::domain::page::Page;
use post_api::domain::post::{PostId, PostUpdate, Precondition};
use post_api::store::postgres::{PostgresStore, connect};
use post_api::store::{ChangePost, Once, Result, VoteOutcome};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::fresh_store::{FreshStore, content, noon, text, vote};
use crate::support::{Cluster, PostgresDatabase};

/// The class of the advisory locks of posts.
const CLASS: i64 = 1_987_015_781;

fn key() -> IdempotencyKey {
    let digest = IdempotencyKey::parse("k").unwrap();
    IdempotencyKey { digest, fingerprint: Fingerprint::of("the request", &[]) }
}

/// Two stores on one database.
struct Replicas {
    database: PostgresDatabase<'static>,
    stores: [Arc<FreshStore>; 2],
    ada: Caller,
    post: PostId,
    /// Another session with an open transaction.
    session: Client,
}

impl Replicas {
    async fn start() -> Self {
        let database = Cluster::shared().database();
        let open = || {
            let store = PostgresStore::open(&database.address()).unwrap();
            Arc::new(FreshStore::shared(Arc::new(store)))
        };
        let stores = [open(), open()];
        let ada = stores[0].sign_up("ada").await;
        let post = stores[0].write(ada, "post").await.id;
        let session = connect(&database.address()).await.unwrap();
        session.batch_execute("BEGIN").await.unwrap();
        Self { database, stores, ada, post, session }
    }

    /// Lets the other session take the lock that every change of the post's votes needs.
    async fn lock_post(&self) {
        let lock = format!("SELECT pg_advisory_xact_lock({CLASS}, {})", self.post.0);
        self.session.batch_execute(&lock).await.unwrap();
    }

    /// Waits until this many sessions wait for a lock.
    async fn wait_for_locks(&self, count: i64) {
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let client = connect(&self.database.address()).await.unwrap();
        while client.query_one(WAITING, &[]).await.unwrap().get::<_, i64>(0) < count {}
    }

    fn spawn_vote(&self, store: usize, dir: i64) -> JoinHandle<Result<Once<VoteOutcome>>> {
        let (store, ada, post) = (Arc::clone(&self.stores[store]), self.ada, self.post);
        tokio::spawn(async move { store.cast_vote_once(ada, vote(post, dir), key(), noon()).await })
    }

    fn spawn_deletion(&self, store: usize) -> JoinHandle<Result<Once<ChangePost<()>>>> {
        let (store, ada, post) = (Arc::clone(&self.stores[store]), self.ada, self.post);
        tokio::spawn(async move { store.delete_post_once(ada, post, None, key(), noon()).await })
    }
}

/// Returns the outcomes, the executed one first.
fn sorted<T>(outcomes: [Once<T>; 2]) -> [Once<T>; 2] {
    let [first, second] = outcomes;
    if matches!(first, Once::Done(_)) { [first, second] } else { [second, first] }
}

/// The second statement finds the vote of the first, and would refuse its own.
#[tokio::test]
async fn vote_that_waited_for_the_same_vote_is_replayed() {
    for (dir, outcome) in [(1, VoteOutcome::Added), (0, VoteOutcome::Withdrawn)] {
        let replicas = Replicas::start().await;
        if dir == 0 {
            replicas.stores[0].vote(replicas.ada, replicas.post, 1).await;
        }
        replicas.lock_post().await;
        let votes = [replicas.spawn_vote(0, dir), replicas.spawn_vote(1, dir)];
        replicas.wait_for_locks(2).await;
        replicas.session.batch_execute("COMMIT").await.unwrap();
        let [first, second] = votes;
        let outcomes = [first.await.unwrap().unwrap(), second.await.unwrap().unwrap()];
        assert_eq!(sorted(outcomes), [Once::Done(outcome), Once::Replayed(outcome)]);
        assert_eq!(replicas.stores[0].count(replicas.ada, replicas.post).await, dir);
    }
}

/// The second statement finds no post any more.
#[tokio::test]
async fn deletion_that_waited_for_the_same_deletion_is_replayed() {
    let replicas = Replicas::start().await;
    replicas.lock_post().await;
    let deletions = [replicas.spawn_deletion(0), replicas.spawn_deletion(1)];
    replicas.wait_for_locks(2).await;
    replicas.session.batch_execute("COMMIT").await.unwrap();
    let [first, second] = deletions;
    let outcomes = [first.await.unwrap().unwrap(), second.await.unwrap().unwrap()];
    let deleted = ChangePost::Changed(());
    assert_eq!(sorted(outcomes), [Once::Done(deleted.clone()), Once::Replayed(deleted)]);
}

/// The second statement finds another text than the one that its precondition was checked on.
#[tokio::test]
async fn update_that_waited_for_the_same_update_is_replayed() {
    let replicas = Replicas::start().await;
    let lock = format!("SELECT FROM posts WHERE id = {} FOR UPDATE", replicas.post.0);
    replicas.session.batch_execute(&lock).await.unwrap();
    let update = PostUpdate { title: Some(text("after")), ..PostUpdate::default() };
    let spawn = |store: usize| {
        let (store, ada, post) = (Arc::clone(&replicas.stores[store]), replicas.ada, replicas.post);
        let precondition = Precondition::new(|post| post.title.as_str() == "post");
        let update = update.clone();
        tokio::spawn(async move {
            store.update_post_once(ada, post, update, Some(precondition), key(), noon()).await
        })
    };
    let updates = [spawn(0), spawn(1)];
    replicas.wait_for_locks(2).await;
    replicas.session.batch_execute("COMMIT").await.unwrap();
    let [first, second] = updates;
    let outcomes = [first.await.unwrap().unwrap(), second.await.unwrap().unwrap()];
    let found = replicas.stores[0].read(replicas.ada, replicas.post).await.unwrap();
    assert_eq!(found.post.title, text("after"));
    let outcome = ChangePost::Changed(found);
    assert_eq!(sorted(outcomes), [Once::Done(outcome.clone()), Once::Replayed(outcome)]);
}

/// Another process has inserted the key and not committed yet.
#[tokio::test]
async fn post_waits_for_the_end_of_the_same_request() {
    for is_committed in [true, false] {
        let replicas = Replicas::start().await;
        let key = key();
        let insert = "INSERT INTO idempotency_keys
            (user_id, key, fingerprint, outcome, post_id, at, expires_at)
            VALUES ($1, $2, $3, 1, 4711, '2025-01-31 12:00+00', '2025-02-01 12:00+00')";
        let (digest, fingerprint) = (key.digest.as_slice(), key.fingerprint.0.as_slice());
        let user = replicas.ada.user_id.0;
        replicas.session.execute(insert, &[&user, &digest, &fingerprint]).await.unwrap();
        let (store, ada) = (Arc::clone(&replicas.stores[0]), replicas.ada);
        let request = tokio::spawn(async move {
            store.create_post_once(ada, content("new", true), key, noon()).await
        });
        replicas.wait_for_locks(1).await;
        let end = if is_committed { "COMMIT" } else { "ROLLBACK" };
        replicas.session.batch_execute(end).await.unwrap();
        match request.await.unwrap().unwrap() {
            Once::Replayed(post) => {
                assert!(is_committed);
                assert_eq!(post.id, PostId(4711));
            }
            Once::Done(post) => {
                assert!(!is_committed);
                assert!(replicas.stores[1].read(ada, post.id).await.is_some());
            }
            Once::KeyReused => panic!("the request is the same"),
        }
        let titles = replicas.stores[0].titles(ada, Page::default()).await;
        assert_eq!(titles.len(), if is_committed { 1 } else { 2 }, "{titles:?}");
    }
}
