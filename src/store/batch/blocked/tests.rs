//! Tests of a batcher whose batch is blocked as long as a test holds a key.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::MAX_ATTEMPTS;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::store::batch::LockKey::{Post, User};
use crate::store::batch::{Batch, BatchError, BatchLimits, Batcher, LockKey};
use crate::store::{Result, StoreError};

const LIMITS: BatchLimits = BatchLimits { queue: 64, batch: 16, timeout: Duration::from_mins(10) };

/// A vote of a user on a post.
type Request = (UserId, PostId);

/// A vote that the database rejects.
const REJECTED: UserId = UserId(666);

#[derive(Default)]
struct Database {
    locked: Mutex<HashSet<LockKey>>,
    /// How many more batches time out. A further one waits until its keys are unlocked.
    timeouts: AtomicUsize,
    batches: Mutex<Vec<Vec<Request>>>,
}

impl Database {
    fn unlock(&self, key: LockKey) {
        assert!(self.locked.lock().unwrap().remove(&key));
    }

    fn is_locked(&self, key: LockKey) -> bool {
        self.locked.lock().unwrap().contains(&key)
    }

    fn times_out(&self) -> bool {
        let left = self.timeouts.load(Ordering::Relaxed);
        self.timeouts.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Returns the batches since the last call.
    fn batches(&self) -> Vec<Vec<Request>> {
        std::mem::take(&mut self.batches.lock().unwrap())
    }
}

struct Votes(Arc<Database>);

#[async_trait]
impl Batch for Votes {
    type Request = Request;
    type Answer = ();

    async fn run(&self, requests: &[&Request]) -> std::result::Result<Vec<Result<()>>, BatchError> {
        let requests: Vec<Request> = requests.iter().map(|request| **request).collect();
        self.0.batches.lock().unwrap().push(requests.clone());
        if requests.iter().any(|(user, _)| *user == REJECTED) {
            return Err(BatchError::RolledBack(StoreError::internal("rejected")));
        }
        let is_locked = |key: &LockKey| self.0.is_locked(*key);
        while requests.iter().any(|request| Self::lock_keys(request).iter().any(is_locked)) {
            // Other tasks run while a statement waits.
            tokio::task::yield_now().await;
            if self.0.times_out() {
                return Err(BatchError::Blocked(StoreError::unavailable("locked")));
            }
        }
        Ok(requests.iter().map(|_| Ok(())).collect())
    }

    fn lock_keys((user, post): &Request) -> Vec<LockKey> {
        vec![Post(*post), User(*user)]
    }

    async fn find_blocking_keys(&self, requests: &[&Request]) -> Vec<Option<LockKey>> {
        let key = |(user, post): &&Request| {
            if self.0.is_locked(User(*user)) { User(*user) } else { Post(*post) }
        };
        requests.iter().map(|request| Some(key(request))).collect()
    }
}

struct Fixture {
    batcher: Arc<Batcher<Votes>>,
    database: Arc<Database>,
}

impl Fixture {
    fn new(locked: LockKey, timeouts: usize) -> Self {
        let database = Arc::new(Database::default());
        database.locked.lock().unwrap().insert(locked);
        database.timeouts.store(timeouts, Ordering::Relaxed);
        let batcher = Arc::new(Batcher::open(Votes(Arc::clone(&database)), LIMITS));
        Self { batcher, database }
    }

    /// Submits the requests in this order, so that they share a batch.
    fn submit<const COUNT: usize>(
        &self,
        requests: [(i64, i64); COUNT],
    ) -> [JoinHandle<Result<()>>; COUNT] {
        requests.map(|(user, post)| {
            let batcher = Arc::clone(&self.batcher);
            tokio::spawn(async move { batcher.submit((UserId(user), PostId(post))).await })
        })
    }

    /// Returns how many batches that include the post were blocked or run since the last call.
    fn batches_with(&self, post: i64) -> Vec<Vec<Request>> {
        let mut batches = self.database.batches();
        batches.retain(|batch| batch.iter().any(|(_, id)| id.0 == post));
        batches
    }
}

async fn succeeds(requests: impl IntoIterator<Item = JoinHandle<Result<()>>>) {
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

/// Lets every task run as far as it can.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_of_other_keys_succeed_while_a_key_is_locked() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let [first, blocked, third] = fixture.submit([(1, 1), (1, 2), (1, 3)]);
    succeeds([first, third]).await;
    assert!(!blocked.is_finished());
    succeeds(fixture.submit([(2, 1), (3, 4)])).await;
    fixture.database.unlock(Post(PostId(2)));
    succeeds([blocked]).await;
}

#[tokio::test]
async fn locked_user_leaves_other_users_on_the_same_post_alone() {
    let fixture = Fixture::new(User(UserId(2)), 8);
    let [first, blocked, third] = fixture.submit([(1, 1), (2, 1), (3, 1)]);
    succeeds([first, third]).await;
    let [later] = fixture.submit([(2, 4)]);
    succeeds(fixture.submit([(4, 1), (4, 4)])).await;
    assert!(!blocked.is_finished() && !later.is_finished());
    fixture.database.unlock(User(UserId(2)));
    succeeds([blocked, later]).await;
}

#[tokio::test]
async fn locked_key_blocks_one_batch_and_then_only_its_own_requests() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let [first, ..] = fixture.submit([(1, 1), (1, 2)]);
    succeeds([first]).await;
    fixture.database.batches();
    let [first, ..] = fixture.submit([(3, 1), (3, 2), (4, 2)]);
    succeeds([first]).await;
    for batch in fixture.batches_with(2) {
        assert!(batch.iter().all(|(_, post)| post.0 == 2), "{batch:?}");
    }
}

#[tokio::test]
async fn requests_of_a_locked_key_share_each_retry() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let blocked = fixture.submit([(1, 2), (2, 2), (3, 2)]);
    settle().await;
    let expected: Vec<Request> = [1, 2, 3].map(|user| (UserId(user), PostId(2))).to_vec();
    for batch in fixture.batches_with(2) {
        assert_eq!(batch, expected);
    }
    drop(blocked);
}

#[tokio::test]
async fn request_that_stays_blocked_fails_after_all_attempts() {
    let fixture = Fixture::new(Post(PostId(2)), 100);
    let [blocked] = fixture.submit([(1, 2)]);
    assert!(matches!(blocked.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(fixture.batches_with(2).len(), usize::try_from(MAX_ATTEMPTS).unwrap());
    // A later request does not delay a batch either.
    let [first, blocked] = fixture.submit([(2, 1), (2, 2)]);
    succeeds([first]).await;
    fixture.database.unlock(Post(PostId(2)));
    succeeds([blocked]).await;
}

#[tokio::test]
async fn released_key_joins_the_batches_again() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let blocked = fixture.submit([(1, 2)]);
    settle().await;
    fixture.database.unlock(Post(PostId(2)));
    drop(blocked);
    // The first success releases the key.
    succeeds(fixture.submit([(2, 2)])).await;
    settle().await;
    fixture.database.batches();
    succeeds(fixture.submit([(1, 1), (1, 2)])).await;
    let together = vec![(UserId(1), PostId(1)), (UserId(1), PostId(2))];
    assert_eq!(fixture.database.batches(), [together]);
}

/// Otherwise each request of a locked key would wait for the lock, one after the other.
#[tokio::test]
async fn rejected_request_does_not_retry_blocked_requests_one_by_one() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let [rejected, first, ..] =
        fixture.submit([(REJECTED.0, 1), (1, 1), (1, 2), (2, 2), (3, 2), (4, 2)]);
    assert!(matches!(rejected.await.unwrap(), Err(StoreError::Internal(_))));
    succeeds([first]).await;
    settle().await;
    let alone = |batch: &&Vec<Request>| batch.len() == 1;
    assert_eq!(fixture.batches_with(2).iter().filter(alone).count(), 1);
}

#[tokio::test]
async fn request_whose_client_has_left_is_not_retried() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let [blocked] = fixture.submit([(1, 2)]);
    while fixture.batches_with(2).is_empty() {
        tokio::task::yield_now().await;
    }
    blocked.abort();
    settle().await;
    fixture.database.batches();
    settle().await;
    assert!(fixture.database.batches().is_empty());
}

#[tokio::test]
async fn more_blocked_requests_than_the_queue_holds_are_refused() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.extend(fixture.submit([(1, 2); 32]));
        settle().await;
    }
    fixture.database.unlock(Post(PostId(2)));
    let mut outcomes = Vec::new();
    for request in waiting {
        outcomes.push(request.await.unwrap());
    }
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::Overloaded))));
    assert!(outcomes.iter().any(Result::is_ok));
    succeeds(fixture.submit([(2, 2), (2, 1)])).await;
}

#[tokio::test]
async fn dropped_batcher_answers_blocked_requests_and_ends_its_tasks() {
    let fixture = Fixture::new(Post(PostId(2)), 8);
    let [blocked] = fixture.submit([(1, 2)]);
    settle().await;
    let Fixture { batcher, database } = fixture;
    drop(batcher);
    database.unlock(Post(PostId(2)));
    succeeds([blocked]).await;
    settle().await;
    assert_eq!(Arc::strong_count(&database), 1);
}
