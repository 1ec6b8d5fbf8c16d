//! The budgets of connections: each kind of work has connections that no other kind can take.
//!
//! A request that waits therefore waits only for requests of its own kind. Not here: how long a
//! statement may take, see `connection.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Sleep;

use crate::store::page_limits::SEARCH_TIMEOUT;
use crate::store::{Result, StoreError};

/// How long a statement may take before it is cancelled and its connection is closed. Without this
/// timeout, a stopped server or a network that drops packets would block the connection forever. It
/// is longer than the server's wait for a lock.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a request waits for its answer: for a connection, and then for its statement.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of a store's connections.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Maximum number of connections. More connections do not make a server with few cores faster.
    pub connections: usize,
    /// Maximum number of connections for long work: searches, lists without a limit, deep pages and
    /// deletions of accounts. Each may keep a core of the server busy.
    pub long_work: usize,
    /// How long a request waits for a connection before it is refused.
    pub acquire_timeout: Duration,
    /// How long requests wait for the next primary after the last one was lost.
    pub failover_wait: Duration,
    /// How long a statement may take before it is cancelled.
    pub statement_timeout: Duration,
    /// How long a search that no number of titles bounds may take.
    pub search_timeout: Duration,
    /// How long a request that is not batched waits for its answer.
    pub answer_timeout: Duration,
    /// Bytes of memory that the posts of all lists without a limit together may have. A larger list
    /// can be read if no other one is.
    pub list_bytes: u32,
}

/// The wait for the next primary without a setting.
pub(super) const DEFAULT_FAILOVER_WAIT: Duration = Duration::from_secs(5);

/// The maximum number of connections of a pool without a setting.
pub(super) const DEFAULT_POOL_SIZE: usize = 16;

impl Default for PoolLimits {
    fn default() -> Self {
        Self::for_connections(DEFAULT_POOL_SIZE)
    }
}

impl PoolLimits {
    /// Returns the limits of a pool of this size, at least three connections. Long work gets three
    /// sixteenths of them, batches up to nine, and short work what is left. Each gets at least one.
    #[must_use]
    pub fn for_connections(connections: usize) -> Self {
        let connections = connections.max(3);
        Self {
            connections,
            long_work: (connections * 3 / 16).max(1),
            acquire_timeout: Duration::from_secs(2),
            failover_wait: DEFAULT_FAILOVER_WAIT,
            statement_timeout: STATEMENT_TIMEOUT,
            search_timeout: SEARCH_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            list_bytes: 256 * 1024 * 1024,
        }
    }
}

/// A kind of work with a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The statement of a batch. The number of batchers bounds how many run at a time, so batches
    /// need no budget: the other budgets leave a connection for each.
    Batch,
    /// A few short statements of one request.
    Short,
    /// Work whose length depends on the number of rows.
    Long,
}

/// Number of batchers. Each runs one statement at a time.
const BATCHERS: usize = 6;

/// Number of batchers that retry blocked requests. The retries run one statement at a time, beside
/// the batches.
const RETRYING_BATCHERS: usize = 3;

/// Maximum number of connections that batches use.
const BATCH_CONNECTIONS: usize = BATCHERS + RETRYING_BATCHERS;

/// Maximum number of requests that wait for a connection for short work, and for long work.
const SHORT_QUEUE: usize = 4096;
const LONG_QUEUE: usize = 128;

/// How long the pool stays smaller after the server refused a further connection.
const WITHHOLD: Duration = Duration::from_secs(5);

pub(super) struct Budgets {
    total: usize,
    connections: Arc<Semaphore>,
    short: Budget,
    long: Budget,
    /// Number of connections that the server has refused lately.
    withheld: Arc<AtomicUsize>,
}

struct Budget {
    permits: Arc<Semaphore>,
    size: usize,
    /// Permits for the requests that wait.
    queue: Semaphore,
    queue_size: usize,
}

/// The right to use one connection. It outlives the statements on the connection.
pub(super) struct Permit {
    connection: OwnedSemaphorePermit,
    /// `None` for a batch.
    budget: Option<OwnedSemaphorePermit>,
}

impl Budgets {
    pub(super) fn new(limits: PoolLimits) -> Self {
        let short = limits.connections.saturating_sub(BATCH_CONNECTIONS + limits.long_work).max(1);
        Self {
            total: limits.connections,
            connections: Arc::new(Semaphore::new(limits.connections)),
            short: Budget::new(short, SHORT_QUEUE),
            long: Budget::new(limits.long_work, LONG_QUEUE),
            withheld: Arc::default(),
        }
    }

    /// Waits for the right to use a connection, until the timeout.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] after the timeout, or if too many requests wait.
    pub(super) async fn acquire(&self, work: Work, timeout: Pin<&mut Sleep>) -> Result<Permit> {
        let permit = async {
            let budget = match work {
                Work::Batch => None,
                Work::Short => Some(self.short.acquire(1).await?),
                // If the server gives fewer connections, long work uses only one of them.
                Work::Long if self.withheld.load(Ordering::Relaxed) > 0 => {
                    Some(self.long.acquire(self.long.size).await?)
                }
                Work::Long => Some(self.long.acquire(1).await?),
            };
            Ok(Permit { connection: acquire(&self.connections, 1).await?, budget })
        };
        before(timeout, permit).await
    }

    /// Returns a place in the queue for this kind of work. Batches have their own queues.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if too many requests wait.
    pub(super) fn enqueue(&self, work: Work) -> Result<Option<SemaphorePermit<'_>>> {
        let budget = match work {
            Work::Batch => return Ok(None),
            Work::Short => &self.short,
            Work::Long => &self.long,
        };
        budget.queue.try_acquire().map(Some).map_err(|_| StoreError::Overloaded)
    }

    /// Returns the number of requests that wait for this kind of work. Batches have their own queues.
    pub(super) fn waiting(&self, work: Work) -> usize {
        match work {
            Work::Batch => 0,
            Work::Short => self.short.waiting(),
            Work::Long => self.long.waiting(),
        }
    }

    /// Whether another request uses or opens a connection, which it will return.
    pub(super) fn has_others(&self) -> bool {
        let unused = self.connections.available_permits() + self.withheld.load(Ordering::Relaxed);
        self.total.saturating_sub(unused) > 1
    }

    /// Waits for another connection to be returned, because the server refused to open one. For
    /// some seconds the pool has one connection less, so that not every request asks again.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] after the timeout.
    pub(super) async fn wait_for_other(
        &self,
        permit: Permit,
        timeout: Pin<&mut Sleep>,
    ) -> Result<Permit> {
        let Permit { connection, budget } = permit;
        let withheld = Withheld::new(&self.withheld);
        tokio::spawn(async move {
            tokio::time::sleep(WITHHOLD).await;
            drop((connection, withheld));
        });
        let connection = before(timeout, acquire(&self.connections, 1)).await?;
        Ok(Permit { connection, budget })
    }
}

impl Budget {
    fn new(size: usize, queue: usize) -> Self {
        let permits = Arc::new(Semaphore::new(size));
        Self { permits, size, queue: Semaphore::new(queue), queue_size: queue }
    }

    fn waiting(&self) -> usize {
        self.queue_size.saturating_sub(self.queue.available_permits())
    }

    async fn acquire(&self, permits: usize) -> Result<OwnedSemaphorePermit> {
        let _waiting = self.queue.try_acquire().map_err(|_| StoreError::Overloaded)?;
        acquire(&self.permits, permits).await
    }
}

/// Counts a withheld connection until it is dropped.
struct Withheld(Arc<AtomicUsize>);

impl Withheld {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn acquire(permits: &Arc<Semaphore>, count: usize) -> Result<OwnedSemaphorePermit> {
    let count = u32::try_from(count).map_err(StoreError::internal)?;
    Arc::clone(permits).acquire_many_owned(count).await.map_err(StoreError::internal)
}

async fn before<T>(timeout: Pin<&mut Sleep>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        outcome = work => outcome,
        () = timeout => Err(StoreError::Overloaded),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::super::connect::SERVING_SETTINGS;
    use super::*;

    async fn acquire(budgets: &Budgets, work: Work) -> Result<Permit> {
        let mut timeout = pin!(tokio::time::sleep(Duration::from_secs(1)));
        budgets.acquire(work, timeout.as_mut()).await
    }

    /// Returns all permits of this kind of work that are free.
    async fn take_all(budgets: &Budgets, work: Work) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Ok(permit) = acquire(budgets, work).await {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn other_budgets_leave_a_connection_for_each_batcher() {
        // Other batches use the budget of short work.
        let opened = include_str!("mod.rs").matches("Arc::clone(&batches)").count();
        assert_eq!(opened, BATCHERS, "each batcher needs a connection of its own");
        let files = [include_str!("votes.rs"), include_str!("posts.rs"), include_str!("lists.rs")];
        let retrying: usize = files.map(|file| file.matches("fn lock_keys(").count()).iter().sum();
        assert_eq!(RETRYING_BATCHERS, retrying, "so do the retries of each");
        let limits = PoolLimits::default();
        let budgets = Budgets::new(limits);
        let long = take_all(&budgets, Work::Long).await;
        let short = take_all(&budgets, Work::Short).await;
        let batches = take_all(&budgets, Work::Batch).await;
        assert_eq!((long.len(), batches.len()), (limits.long_work, BATCH_CONNECTIONS));
        assert_eq!(long.len() + short.len() + batches.len(), limits.connections);
        drop(short);
        assert!(acquire(&budgets, Work::Long).await.is_err(), "short work has its own budget");
    }

    #[tokio::test(start_paused = true)]
    async fn pool_of_any_size_has_a_connection_for_each_kind_of_work() {
        for (size, expected) in [
            (1, (1, 1, 1)),
            (3, (1, 1, 1)),
            (5, (1, 1, 3)),
            (11, (2, 1, 8)),
            (13, (2, 2, 9)),
            (16, (3, 4, 9)),
            (64, (12, 43, 9)),
        ] {
            let budgets = Budgets::new(PoolLimits::for_connections(size));
            let long = take_all(&budgets, Work::Long).await;
            let short = take_all(&budgets, Work::Short).await;
            let batches = take_all(&budgets, Work::Batch).await;
            assert_eq!((long.len(), short.len(), batches.len()), expected, "{size}");
        }
    }

    #[test]
    fn timeouts_fit_into_each_other() {
        let limits = PoolLimits::default();
        let option = |name| {
            let (_, value) =
                SERVING_SETTINGS.into_iter().find(|(known, _)| *known == name).unwrap();
            Duration::from_millis(value.parse().unwrap())
        };
        assert!(option("lock_timeout") < limits.statement_timeout);
        assert!(limits.statement_timeout < option("statement_timeout"));
        assert!(limits.search_timeout < limits.statement_timeout);
        assert!(limits.acquire_timeout + limits.statement_timeout <= limits.answer_timeout);
        assert!(limits.failover_wait + limits.acquire_timeout < limits.answer_timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn long_work_uses_one_connection_while_the_server_refuses_more() {
        let budgets = Budgets::new(PoolLimits::default());
        let refused = acquire(&budgets, Work::Short).await.unwrap();
        assert!(!budgets.has_others());
        let other = acquire(&budgets, Work::Short).await.unwrap();
        assert!(budgets.has_others());
        let mut timeout = pin!(tokio::time::sleep(Duration::from_secs(1)));
        let permit = budgets.wait_for_other(refused, timeout.as_mut()).await.unwrap();
        drop(other);
        assert!(!budgets.has_others(), "the withheld connection is no other one");
        let long = acquire(&budgets, Work::Long).await.unwrap();
        assert!(acquire(&budgets, Work::Long).await.is_err());
        drop((permit, long));
        tokio::time::sleep(WITHHOLD).await;
        let long = take_all(&budgets, Work::Long).await;
        assert_eq!(long.len(), PoolLimits::default().long_work);
    }

    #[tokio::test(start_paused = true)]
    async fn request_beyond_the_queue_is_refused_at_once() {
        let budget = Arc::new(Budget::new(1, 2));
        let _held = budget.acquire(1).await.unwrap();
        let waiting = [(); 2].map(|()| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move { budget.acquire(1).await.map(drop) })
        });
        tokio::task::yield_now().await;
        assert!(matches!(budget.acquire(1).await, Err(StoreError::Overloaded)));
        drop(waiting);
    }
}
