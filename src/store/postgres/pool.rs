//! The connections that requests share. A request acquires a connection, runs one statement or a
//! few, and returns it. Before its first statement, the pool checks that the schema is the one that
//! this binary needs.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType,
    Timeouts,
};
use tokio::sync::OnceCell;
use tokio_postgres::Row;

use super::address::Address;
use super::connection::{self, Connection, OPEN_TIMEOUT, QueryError, STATEMENT_TIMEOUT, Value};
use super::error::{is_retryable, needs_reconnect};
use super::schema::{self, SearchIndex};
use super::statement::Statement;
use super::tls::connector;
use crate::store::{Result, StoreError};

/// Maximum number of connections. Each kind of batch needs one, and the others serve requests that
/// are not batched. More connections do not make a server with few cores faster.
const MAX_CONNECTIONS: usize = 16;

/// How long a request waits for a connection before it is refused.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the deletion of an account may take. The account may have many posts and votes.
pub(super) const DELETE_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum number of times a statement runs if concurrent transactions make it fail each time.
const MAX_ATTEMPTS: usize = 10;

pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    /// Whether statements stay prepared on their connection.
    is_prepared: bool,
    /// Known from the first connection to a database with the right schema.
    search_index: OnceCell<SearchIndex>,
}

impl Pool {
    pub(super) fn new(address: &Address) -> Result<Self> {
        Ok(Self {
            connections: build(address)?,
            is_prepared: address.is_prepared(),
            search_index: OnceCell::new(),
        })
    }

    /// Acquires a connection, and checks the schema before the first use. Waits up to
    /// [`ACQUIRE_TIMEOUT`].
    pub(super) async fn acquire(&self) -> Result<Connection> {
        let connection = self.acquire_unchecked().await?;
        self.search_index.get_or_try_init(|| schema::check(&connection)).await?;
        Ok(connection)
    }

    /// Acquires a connection without checking the schema.
    pub(super) async fn acquire_unchecked(&self) -> Result<Connection> {
        let pooled = self.connections.get().await?;
        Ok(Connection::new(pooled, self.connections.clone(), self.is_prepared))
    }

    /// Closes the idle connections, and each other one when it is released.
    pub(super) fn close(&self) {
        self.connections.close();
    }

    pub(super) async fn search_index(&self) -> Result<SearchIndex> {
        if self.search_index.get().is_none() {
            self.acquire().await?;
        }
        Ok(self.search_index.get().copied().unwrap_or(SearchIndex::Missing))
    }

    /// Runs the statement and waits for its commit. Retries it if a concurrent transaction made it
    /// fail. Retries it once, on another connection, if the connection must be replaced.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.query_within(STATEMENT_TIMEOUT, statement, values).await
    }

    /// Like [`Pool::query`], with another timeout.
    pub(super) async fn query_within(
        &self,
        timeout: Duration,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let mut attempt = 1;
        loop {
            let connection = self.acquire().await.map_err(QueryError::NoConnection)?;
            let connection = connection.with_timeout(timeout);
            match connection.query(statement, values).await {
                Err(QueryError::Statement(error))
                    if attempt < MAX_ATTEMPTS && is_retryable(error.code()) => {}
                Err(QueryError::Statement(error)) if needs_reconnect(error.code()) => {
                    connection.discard();
                    if attempt >= 2 {
                        return Err(QueryError::Statement(error));
                    }
                }
                outcome => return outcome,
            }
            attempt += 1;
        }
    }
}

fn build(address: &Address) -> Result<deadpool_postgres::Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let config = connection::serving_config(address);
    let manager = Manager::from_config(config, connector(&address.trust)?, recycling);
    let mut pool = deadpool_postgres::Pool::builder(manager);
    if address.is_prepared() {
        pool = pool.post_create(Hook::async_fn(|client, _| {
            Box::pin(async { connection::make_durable(client).await.map_err(HookError::Backend) })
        }));
    }
    let timeouts = Timeouts {
        wait: Some(ACQUIRE_TIMEOUT),
        create: Some(OPEN_TIMEOUT),
        recycle: Some(ACQUIRE_TIMEOUT),
    };
    pool.max_size(MAX_CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .timeouts(timeouts)
        .build()
        .map_err(StoreError::internal)
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Overloaded,
            PoolError::Backend(error) => error.into(),
            other => Self::unavailable(other),
        }
    }
}
