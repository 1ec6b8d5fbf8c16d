//! The production store: a PostgreSQL database, versions 14 to 18.
//!
//! Frequent requests share a statement ([`super::batch`]); every other request is a statement of
//! its own. Batches and short requests run on tasks of the store, so a client that disconnects does
//! not interrupt them. A long read is cancelled if its client disconnects. No connection returns to
//! the pool with a statement in flight. A write is answered after its commit.
//!
//! The timeouts fit into each other: the wait for a lock is shorter than a statement, and the wait
//! for a connection plus a statement is not longer than a request waits for its answer.

mod address;
mod admin;
mod administration;
mod ballots;
mod budget;
mod callers;
mod cancel;
mod change_log;
mod client_manager;
mod close;
mod column;
mod confirmed;
mod connect;
mod connection;
mod connection_error;
mod deletions;
mod distributed;
mod error;
mod events;
mod expired_keys;
mod failover_wait;
mod fence;
mod found_posts;
mod hidden_range;
mod host_race;
mod idempotency_keys;
mod installation;
mod keyed_posts;
mod keyed_votes;
mod keyed_writes;
mod list_key;
mod lists;
mod locks;
mod login_failures;
mod metrics;
mod names;
mod operator;
mod own_votes;
mod pool;
mod pooled_client;
mod post_changes;
mod posts;
mod rankings;
mod readiness;
mod recipients;
mod row;
mod schema;
mod search;
mod search_path;
mod sequence;
mod sessions;
mod shared_pool;
mod startup_options;
mod statement;
mod tls;
mod users;
mod votes;

use std::sync::Arc;

use self::budget::{ANSWER_TIMEOUT, Work};
use self::callers::FindCallers;
use self::deletions::PostgresSlices;
use self::found_posts::FindPosts;
use self::idempotency_keys::KeyedBatch;
use self::keyed_posts::CreatePostsOnce;
use self::keyed_votes::CastVotesOnce;
use self::lists::ListPosts;
use self::names::FindNames;
use self::own_votes::FindVotes;
use self::pool::Pool;
use self::posts::CreatePosts;
use self::votes::{CastVotes, WithdrawVotes};
use super::batch::{BatchLimits, Batcher};
use super::deletions::Deletions;
use super::{Result, StoreError};
use crate::domain::caller::{Caller, Reader};

pub use address::{Address, AddressError, AddressFault, Environment, UrlParts};
pub use admin::{LockTimeouts, PostgresAdmin, PostgresInspector, statements};
pub use budget::PoolLimits;
pub use connect::{SERVING_SETTINGS, connect};
pub use connection_error::is_refused;
pub use operator::PostgresOperator;
pub use statement::Statement;

/// The requests of a longer queue would time out, so further requests are refused at once.
const LIMITS: BatchLimits = BatchLimits { queue: 4096, batch: 256, timeout: ANSWER_TIMEOUT };

/// Limits for requests with texts of posts. Each text may have 2 MiB.
const TEXT_LIMITS: BatchLimits = BatchLimits { batch: 64, ..LIMITS };

/// Limits for requests with the IDs of a list. Each may have 1,000.
const LIST_LIMITS: BatchLimits = BatchLimits { batch: 64, ..LIMITS };

pub struct PostgresStore {
    /// For short requests.
    pool: Arc<Pool>,
    /// For requests that may take long.
    long_work: Arc<Pool>,
    callers: Batcher<FindCallers>,
    posts: Batcher<FindPosts>,
    lists: Batcher<ListPosts>,
    new_posts: Batcher<CreatePosts>,
    votes: Batcher<CastVotes>,
    withdrawals: Batcher<WithdrawVotes>,
    new_posts_once: Batcher<KeyedBatch<CreatePostsOnce>>,
    votes_once: Batcher<KeyedBatch<CastVotesOnce>>,
    own_votes: Batcher<FindVotes>,
    names: Batcher<FindNames>,
    deletions: Deletions,
}

impl PostgresStore {
    /// Opens the store. The first request connects, so the database may be unreachable until then.
    ///
    /// # Errors
    /// If the trusted certificates cannot be read.
    pub fn open(address: &Address) -> Result<Self> {
        Self::open_with(address, address.limits())
    }

    /// Like [`PostgresStore::open`], with other limits.
    ///
    /// # Errors
    /// If the trusted certificates cannot be read.
    pub fn open_with(address: &Address, limits: PoolLimits) -> Result<Self> {
        let pool = Pool::new(address, limits)?;
        let timed = |batch: BatchLimits| BatchLimits { timeout: limits.answer_timeout, ..batch };
        let batches = Arc::new(pool.for_work(Work::Batch));
        // Batches with keys and of included parts are short work, so that they take no connection from
        // the others.
        let short = Arc::new(pool.for_work(Work::Short));
        let deletions = Deletions::open(PostgresSlices(pool.for_work(Work::Long)));
        let lists =
            ListPosts { pool: Arc::clone(&batches), hidden: deletions.watch_hidden_range() };
        Ok(Self {
            callers: Batcher::open(FindCallers(Arc::clone(&batches)), timed(LIMITS)),
            posts: Batcher::open(FindPosts(Arc::clone(&batches)), timed(TEXT_LIMITS)),
            lists: Batcher::open(lists, timed(LIMITS)),
            new_posts: Batcher::open(CreatePosts(Arc::clone(&batches)), timed(TEXT_LIMITS)),
            votes: Batcher::open(CastVotes(Arc::clone(&batches)), timed(LIMITS)),
            withdrawals: Batcher::open(WithdrawVotes(Arc::clone(&batches)), timed(LIMITS)),
            own_votes: Batcher::open(FindVotes(Arc::clone(&short)), timed(LIST_LIMITS)),
            names: Batcher::open(FindNames(Arc::clone(&short)), timed(LIST_LIMITS)),
            new_posts_once: Batcher::open(
                KeyedBatch { writes: CreatePostsOnce, pool: Arc::clone(&short) },
                timed(TEXT_LIMITS),
            ),
            votes_once: Batcher::open(
                KeyedBatch { writes: CastVotesOnce, pool: Arc::clone(&short) },
                timed(LIMITS),
            ),
            deletions,
            long_work: Arc::new(pool.for_work(Work::Long)),
            pool: short,
        })
    }

    /// Checks the caller if a text of the request cannot be stored: a rejected caller comes first.
    async fn with_caller_first<T>(&self, caller: Caller, outcome: Result<T>) -> Result<T> {
        if matches!(outcome, Err(StoreError::Unrepresentable(_))) {
            self.callers.submit(caller).await?;
        }
        outcome
    }

    async fn check_reader(&self, reader: Reader) -> Result<()> {
        match reader.caller() {
            Some(caller) => self.callers.submit(caller).await,
            None => Ok(()),
        }
    }

    /// Runs the operation on its own task, where it continues if the client disconnects.
    async fn run<T: Send + 'static, F>(&self, operation: impl FnOnce(Arc<Pool>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = tokio::spawn(operation(Arc::clone(&self.pool)));
        match tokio::time::timeout(self.pool.limits().answer_timeout, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(StoreError::internal(error)),
            Err(_) => Err(too_slow()),
        }
    }

    /// Runs a read that may take long. If the client disconnects, its statement is cancelled.
    async fn read_long<T>(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        let timeout = self.long_work.limits().answer_timeout;
        tokio::time::timeout(timeout, read).await.unwrap_or_else(|_| Err(too_slow()))
    }
}

fn too_slow() -> StoreError {
    StoreError::unavailable("the database did not answer in time")
}

/// Returns every statement that a request or an operator's command on accounts can run.
pub fn request_statements() -> impl Iterator<Item = &'static Statement> {
    let files = [
        callers::STATEMENTS,
        installation::STATEMENTS,
        users::STATEMENTS,
        recipients::STATEMENTS,
        deletions::STATEMENTS,
        hidden_range::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        found_posts::STATEMENTS,
        post_changes::STATEMENTS,
        list_key::STATEMENTS,
        rankings::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
        idempotency_keys::STATEMENTS,
        expired_keys::STATEMENTS,
        keyed_posts::STATEMENTS,
        keyed_votes::STATEMENTS,
        keyed_writes::STATEMENTS,
        own_votes::STATEMENTS,
        names::STATEMENTS,
        change_log::STATEMENTS,
        operator::STATEMENTS,
        administration::STATEMENTS,
        sequence::STATEMENTS,
        fence::STATEMENTS,
        schema::STATEMENTS,
        readiness::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}
