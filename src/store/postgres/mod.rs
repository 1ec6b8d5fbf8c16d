//! The production store: a PostgreSQL database, versions 14 to 18.
//!
//! Frequent requests share a statement ([`super::batch`]); every other request is a statement of
//! its own. All of them run on tasks of the store. A client that disconnects therefore does not
//! interrupt a statement, and no connection returns to the pool with a statement in flight. A write
//! is answered after its commit.

mod address;
mod admin;
mod callers;
mod close;
mod connection;
mod error;
mod events;
mod lists;
mod login_failures;
mod pool;
mod posts;
mod readiness;
mod row;
mod schema;
mod search;
mod sequence;
mod sessions;
mod statement;
mod tls;
mod users;
mod votes;

use std::sync::Arc;
use std::time::Duration;

use self::callers::FindCallers;
use self::lists::ListPosts;
use self::pool::Pool;
use self::posts::{CreatePosts, FindPosts};
use self::votes::{CastVotes, WithdrawVotes};
use super::batch::{BatchLimits, Batcher};
use super::{Result, StoreError};
use crate::domain::caller::Caller;

pub use address::{Address, AddressError};
pub use admin::{LockTimeouts, PostgresAdmin, statements};
pub use connection::connect;
pub use statement::Statement;

/// How long a request waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The requests of a longer queue would time out, so further requests are refused at once.
const LIMITS: BatchLimits = BatchLimits { queue: 4096, batch: 256, timeout: TIMEOUT };

/// Limits for requests with texts of posts. Each text may have 2 MiB.
const TEXT_LIMITS: BatchLimits = BatchLimits { batch: 64, ..LIMITS };

pub struct PostgresStore {
    pool: Arc<Pool>,
    callers: Batcher<FindCallers>,
    posts: Batcher<FindPosts>,
    lists: Batcher<ListPosts>,
    new_posts: Batcher<CreatePosts>,
    votes: Batcher<CastVotes>,
    withdrawals: Batcher<WithdrawVotes>,
}

impl PostgresStore {
    /// Opens the store. The first request connects, so the database may be unreachable until then.
    ///
    /// # Errors
    /// If the trusted certificates cannot be read.
    pub fn open(address: &Address) -> Result<Self> {
        let pool = Arc::new(Pool::new(address)?);
        Ok(Self {
            callers: Batcher::open(FindCallers(Arc::clone(&pool)), LIMITS),
            posts: Batcher::open(FindPosts(Arc::clone(&pool)), TEXT_LIMITS),
            lists: Batcher::open(ListPosts(Arc::clone(&pool)), LIMITS),
            new_posts: Batcher::open(CreatePosts(Arc::clone(&pool)), TEXT_LIMITS),
            votes: Batcher::open(CastVotes(Arc::clone(&pool)), LIMITS),
            withdrawals: Batcher::open(WithdrawVotes(Arc::clone(&pool)), LIMITS),
            pool,
        })
    }

    /// Checks the caller if a text of the request cannot be stored: a rejected caller comes first.
    async fn with_caller_first<T>(&self, caller: Caller, outcome: Result<T>) -> Result<T> {
        if matches!(outcome, Err(StoreError::Unrepresentable(_))) {
            self.callers.submit(caller).await?;
        }
        outcome
    }

    /// Runs the operation on its own task, where it continues if the client disconnects.
    async fn run<T: Send + 'static, F>(&self, operation: impl FnOnce(Arc<Pool>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = tokio::spawn(operation(Arc::clone(&self.pool)));
        match tokio::time::timeout(TIMEOUT, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(StoreError::internal(error)),
            Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
        }
    }
}

/// Returns every statement that a request can run.
pub fn request_statements() -> impl Iterator<Item = &'static Statement> {
    let files = [
        callers::STATEMENTS,
        users::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        lists::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
        sequence::STATEMENTS,
        schema::STATEMENTS,
        readiness::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}
