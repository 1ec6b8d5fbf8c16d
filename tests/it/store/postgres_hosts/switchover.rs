//! Switchovers to a standby while clients read and write, and failovers that last too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use post_api::domain::caller::Caller;
use post_api::domain::page::Page;
use post_api::domain::post::PostId;
use post_api::store::postgres::{Address, PoolLimits, PostgresStore};
use post_api::store::{StoreError, VoteOutcome};
use tokio::task::JoinHandle;

use super::super::fresh_store::{FreshStore, content, noon, vote};
use crate::support::Cluster;

/// Operations that each client must have finished before and after a switchover.
const OPERATIONS: usize = 20;

/// Timeouts that no request reaches, even on a busy machine.
fn patient() -> PoolLimits {
    let never = Duration::from_hours(1);
    PoolLimits {
        acquire_timeout: never,
        failover_wait: never,
        statement_timeout: never,
        answer_timeout: never,
        ..PoolLimits::default()
    }
}

fn open(primary: &Cluster, standby: &Cluster, name: &str, limits: PoolLimits) -> FreshStore {
    let ports = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
    let url = primary.url(name).replace(&format!("127.0.0.1:{}", primary.port()), &ports);
    let address = Address::parse(&url).unwrap();
    FreshStore::shared(Arc::new(PostgresStore::open_with(&address, limits).unwrap()))
}

/// Clients that work until the end, and the posts that were acknowledged.
struct Clients {
    store: FreshStore,
    is_over: AtomicBool,
    counts: [AtomicUsize; 4],
}

impl Clients {
    fn continues(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    fn count(&self, number: usize) {
        self.counts[number].fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until each client has finished some more operations.
    async fn progress(&self) {
        let before = self.counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        let has_progress = || {
            let counts = self.counts.iter().zip(before);
            counts.into_iter().all(|(now, old)| now.load(Ordering::SeqCst) >= old + OPERATIONS)
        };
        while !has_progress() {
            assert!(!self.is_over.load(Ordering::SeqCst), "a client failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Creates posts, and reads each at once. Returns the IDs.
    async fn write_posts(self: Arc<Self>, number: usize, ada: Caller) -> Vec<PostId> {
        let mut posts = Vec::new();
        let end = EndOnDrop(&self);
        while self.continues() {
            let title = format!("{number}-{}", posts.len());
            let created = self.store.create_post(ada, content(&title, true), noon()).await;
            let id = created.unwrap_or_else(|error| panic!("{title}: {error:?}")).id;
            let found = self.store.find_post(ada, id).await.unwrap();
            assert!(found.is_some(), "{title}: a stale read");
            posts.push(id);
            self.count(number);
        }
        drop(end);
        posts
    }

    /// Changes a vote. Each outcome shows whether the one before was kept and done once.
    async fn flip_votes(self: Arc<Self>, number: usize, ada: Caller, post: PostId) {
        let end = EndOnDrop(&self);
        let mut direction = 1;
        let mut expected = VoteOutcome::Added;
        while self.continues() {
            let outcome = self.store.cast_vote(ada, vote(post, direction)).await.unwrap();
            assert_eq!(outcome, expected);
            (direction, expected) = (-direction, VoteOutcome::Changed);
            self.count(number);
        }
        drop(end);
    }

    async fn read_lists(self: Arc<Self>, number: usize, ada: Caller) {
        let end = EndOnDrop(&self);
        while self.continues() {
            let page = Page { limit: Some(10), ..Page::default() };
            self.store.list_posts(ada, page.clone()).await.unwrap();
            self.store.list_posts(ada, Page { limit: None, ..page }).await.unwrap();
            self.store.find_me(ada).await.unwrap();
            self.count(number);
        }
        drop(end);
    }
}

/// Ends the other clients if one panics.
struct EndOnDrop<'a>(&'a Clients);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planned_switchover_costs_no_request_and_loses_no_write() {
    let mut primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    for _ in 0..3 {
        let standby = primary.standby();
        let store = open(&primary, &standby, &name, patient());
        let ada = store.sign_up(&format!("ada{}", primary.port())).await;
        let post = store.write(ada, "post").await.id;
        let counts = [const { AtomicUsize::new(0) }; 4];
        let clients = Arc::new(Clients { store, is_over: AtomicBool::new(false), counts });
        let writers: Vec<JoinHandle<Vec<PostId>>> = (0..2)
            .map(|number| tokio::spawn(Arc::clone(&clients).write_posts(number, ada)))
            .collect();
        let others = [
            tokio::spawn(Arc::clone(&clients).flip_votes(2, ada, post)),
            tokio::spawn(Arc::clone(&clients).read_lists(3, ada)),
        ];
        clients.progress().await;
        let switch = move || {
            // The server sends its whole log to the standby before it ends.
            primary.stop("fast");
            standby.promote();
            (primary, standby)
        };
        let (old, new) = tokio::task::block_in_place(switch);
        clients.progress().await;
        clients.is_over.store(true, Ordering::SeqCst);
        for other in others {
            other.await.unwrap();
        }
        for writer in writers {
            for id in writer.await.unwrap() {
                let found = clients.store.find_post(ada, id).await.unwrap();
                assert!(found.is_some(), "{id:?} was acknowledged and is lost");
            }
        }
        let stored = new.existing_database(&name);
        let sql = format!("SELECT title FROM posts WHERE owner_id = {}", ada.user_id.0);
        let mut titles = stored.query(&sql);
        let count = titles.len();
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), count, "a write was done twice");
        drop(stored);
        drop(old);
        primary = new;
    }
}

#[tokio::test]
async fn requests_wait_for_a_limited_time_and_then_are_refused_at_once() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    for failover_wait in [Duration::ZERO, Duration::from_millis(300)] {
        let limits = PoolLimits { failover_wait, ..patient() };
        let store = open(&primary, &standby, &name, limits);
        let ada = store.sign_up(&format!("ada{}", failover_wait.as_millis())).await;
        primary.stop("fast");
        for _ in 0..2 {
            let read = store.find_caller(ada).await;
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
            let written = store.create_post(ada, content("post", true), noon()).await;
            assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
        }
        primary.start_server();
        store.find_caller(ada).await.unwrap();
    }
}
