//! The production store: a PostgreSQL database, 14 to 18.
//!
//! What many ask for at once shares a statement ([`super::batch`]); everything else is a statement
//! of its own. All of it runs on tasks of the store's: a caller that leaves interrupts nothing, and
//! no connection goes back to the pool in the middle of something. An answer is given after the
//! commit.

mod address;
mod admin;
mod callers;
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
use super::batch::{Bounds, Lane};
use super::{Result, StoreError};

pub use address::{Address, AddressFault};
pub use admin::{LockTimeouts, PostgresAdmin, statements};
pub use connection::connect;
pub use statement::Statement;

/// How long an answer may take, whatever happens to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// A queue of many batches would be worked off too late; more than this is refused at once.
const LANE: Bounds = Bounds { queue: 4096, members: 256, patience: PATIENCE };

/// The same for what carries the texts of posts, each of which may have 2 MiB.
const LANE_OF_TEXTS: Bounds = Bounds { members: 64, ..LANE };

pub struct PostgresStore {
    pool: Arc<Pool>,
    callers: Lane<FindCallers>,
    posts: Lane<FindPosts>,
    lists: Lane<ListPosts>,
    new_posts: Lane<CreatePosts>,
    votes: Lane<CastVotes>,
    withdrawals: Lane<WithdrawVotes>,
}

impl PostgresStore {
    /// Connects when the first request comes: a database that is out of reach is no fault yet.
    ///
    /// # Errors
    /// If the certificates that the server's is to be compared with cannot be read.
    pub fn open(address: &Address) -> Result<Self> {
        let pool = Arc::new(Pool::new(address)?);
        Ok(Self {
            callers: Lane::open(FindCallers(Arc::clone(&pool)), LANE),
            posts: Lane::open(FindPosts(Arc::clone(&pool)), LANE_OF_TEXTS),
            lists: Lane::open(ListPosts(Arc::clone(&pool)), LANE),
            new_posts: Lane::open(CreatePosts(Arc::clone(&pool)), LANE_OF_TEXTS),
            votes: Lane::open(CastVotes(Arc::clone(&pool)), LANE),
            withdrawals: Lane::open(WithdrawVotes(Arc::clone(&pool)), LANE),
            pool,
        })
    }

    /// Runs the operation on a task of its own: it ends whether or not its caller stays.
    async fn run<T: Send + 'static, F>(&self, operation: impl FnOnce(Arc<Pool>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = tokio::spawn(operation(Arc::clone(&self.pool)));
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(StoreError::internal(error)),
            Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
        }
    }
}

/// Every statement on the path of a request.
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
        schema::STATEMENTS,
        readiness::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}
