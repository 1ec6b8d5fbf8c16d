//! The connections that requests share. A request acquires a connection, runs one statement or a
//! few, and returns it. Before its first statement, the pool checks that the schema is the one that
//! this binary needs.
//!
//! Not here: how many connections each kind of work may use, see `budget.rs`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::Status;
use deadpool::managed::{PoolError, Timeouts};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::address::Address;
use super::budget::{PoolLimits, Work};
use super::client_manager::{ClientManager, ClientPool};
use super::connect::Connector;
use super::connection::{Connection, QueryError, Value};
use super::connection_error::{OpenError, connecting_failed};
use super::error::{is_conflict, is_foreign_key_violation, is_retryable};
use super::fence;
use super::schema::{self, SearchIndex};
use super::shared_pool::SharedPool;
use super::statement::Statement;
use crate::store::list_memory::ListMemory;
use crate::store::{Result, StoreError};

/// Maximum number of times a statement runs if concurrent transactions make it fail each time.
const MAX_ATTEMPTS: usize = 10;

/// Maximum number of connections on which a statement runs if each must be replaced: the second one
/// may be lost in the same failover.
pub(super) const MAX_CONNECTIONS: usize = 3;

/// The pool, for one kind of work.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<SharedPool>,
    work: Work,
    list_memory: Arc<ListMemory>,
    /// Known from the first connection to a database with the right schema.
    search_index: Arc<OnceCell<SearchIndex>>,
}

impl Pool {
    pub(super) fn new(address: &Address, limits: PoolLimits) -> Result<Self> {
        let connector = Connector::new(address)?;
        let tls = connector.tls();
        let connections = build(connector, limits)?;
        Ok(Self {
            shared: Arc::new(SharedPool::new(connections, limits, tls, address)),
            work: Work::Short,
            list_memory: Arc::new(ListMemory::new(limits.list_bytes)),
            search_index: Arc::default(),
        })
    }

    /// Returns the same pool for another kind of work.
    pub(super) fn for_work(&self, work: Work) -> Self {
        Self { work, ..self.clone() }
    }

    pub(super) fn limits(&self) -> PoolLimits {
        self.shared.limits()
    }

    pub(super) fn list_memory(&self) -> &ListMemory {
        &self.list_memory
    }

    /// Acquires a connection, and checks the schema before the first use. Waits up to
    /// [`PoolLimits::acquire_timeout`].
    pub(super) async fn acquire(&self) -> Result<Connection> {
        self.acquire_until(self.failover_deadline()).await
    }

    /// Returns until when a request that begins now waits for a primary.
    fn failover_deadline(&self) -> Instant {
        self.shared.failover().deadline()
    }

    async fn acquire_until(&self, deadline: Instant) -> Result<Connection> {
        let failover = self.shared.failover();
        loop {
            if failover.is_lost() {
                let _queued = self.shared.budgets().enqueue(self.work)?;
                failover.wait(deadline).await;
            }
            match self.acquire_unchecked().await {
                Ok(connection) => {
                    self.search_index.get_or_try_init(|| self.check_server(&connection)).await?;
                    return Ok(connection);
                }
                // Nothing was sent, so the request can wait for the next primary.
                Err(_) if failover.is_lost() && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn check_server(&self, connection: &Connection) -> Result<SearchIndex> {
        let needs_fence = !self.shared.is_prepared() && self.shared.needs_primary();
        if needs_fence && fence::is_supported(connection).await? {
            self.shared.fence_reads();
        }
        let search_index = schema::check(connection).await?;
        self.find_distribution(connection).await?;
        Ok(search_index)
    }

    /// Finds out whether Citus has distributed the tables, and chooses the statements.
    pub(super) async fn find_distribution(&self, connection: &Connection) -> Result<()> {
        let is_distributed = schema::is_distributed(connection).await?;
        if is_distributed && self.shared.confirms_reads() {
            // The standby of the coordinator confirms nothing about the other servers.
            let reason = "DATABASE_CONFIRM_READS cannot be on: Citus has distributed the tables";
            return Err(StoreError::unavailable(reason));
        }
        self.shared.set_distributed(is_distributed);
        Ok(())
    }

    /// Whether Citus has distributed the tables. Known after the first connection.
    pub(super) fn is_distributed(&self) -> bool {
        self.shared.is_distributed()
    }

    /// Acquires a connection without checking the schema, and without waiting for a failover.
    pub(super) async fn acquire_unchecked(&self) -> Result<Connection> {
        let shared = &self.shared;
        let mut timeout = pin!(tokio::time::sleep(shared.limits().acquire_timeout));
        let mut permit = shared.budgets().acquire(self.work, timeout.as_mut()).await?;
        loop {
            let generation = shared.generation();
            match shared.connections().get().await {
                Ok(pooled) => {
                    let shared = Arc::clone(shared);
                    return Ok(Connection::new(pooled, permit, shared, generation, self.work));
                }
                Err(PoolError::Backend(error))
                    if error.is_out_of_connections() && shared.has_others() =>
                {
                    permit = shared.budgets().wait_for_other(permit, timeout.as_mut()).await?;
                }
                Err(error) => {
                    if matches!(&error, PoolError::Backend(error) if error.is_failover()) {
                        shared.lose_primary();
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Returns how many connections are open, and how many of them are idle.
    pub(super) fn status(&self) -> Status {
        self.shared.connections().status()
    }

    /// Returns the number of requests of this kind of work that wait for a connection.
    pub(super) fn waiting(&self, work: Work) -> usize {
        self.shared.budgets().waiting(work)
    }

    /// Closes the idle connections, and each other one when it is released.
    pub(super) fn close(&self) {
        self.shared.connections().close();
    }

    pub(super) fn search_index(&self) -> SearchIndex {
        self.search_index.get().copied().unwrap_or(SearchIndex::Missing)
    }

    /// Runs the statement and waits for its commit. Retries it if a concurrent transaction made it
    /// fail. Retries it on another connection if the connection must be replaced, after a failover if
    /// the server was shut down.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.query_within(self.shared.limits().statement_timeout, statement, values).await
    }

    /// Like [`Pool::query`], for a statement that deletes rows.
    ///
    /// # Errors
    /// [`StoreError::Referenced`] if rows of the operator's tables refer to one of the rows. The
    /// statement is not retried then.
    pub(super) async fn delete(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        self.delete_within(self.shared.limits().statement_timeout, statement, values).await
    }

    /// Like [`Pool::delete`], with the error of the statement.
    pub(super) async fn try_delete(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.retry(self.shared.limits().statement_timeout, statement, values, is_conflict).await
    }

    /// Like [`Pool::delete`], with another timeout.
    pub(super) async fn delete_within(
        &self,
        timeout: Duration,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        self.retry(timeout, statement, values, is_conflict).await.map_err(deletion_failed)
    }

    /// Like [`Pool::query`], with another timeout.
    pub(super) async fn query_within(
        &self,
        timeout: Duration,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.retry(timeout, statement, values, is_retryable).await
    }

    async fn retry(
        &self,
        timeout: Duration,
        statement: &Statement,
        values: &[Value<'_>],
        is_retryable: fn(Option<&SqlState>) -> bool,
    ) -> std::result::Result<Vec<Row>, QueryError> {
        // One for all connections: nothing is sent after the request was answered.
        let deadline = self.failover_deadline();
        let (mut attempts, mut connections) = (1, 1);
        loop {
            let connection = self.acquire_until(deadline).await;
            let connection = connection.map_err(QueryError::NoConnection)?.with_timeout(timeout);
            match connection.query(statement, values).await {
                Err(QueryError::Statement(error))
                    if attempts < MAX_ATTEMPTS && is_retryable(error.code()) =>
                {
                    attempts += 1;
                }
                Err(_) if connections < MAX_CONNECTIONS && connection.is_outdated() => {
                    connections += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Returns the error of a statement that deletes rows. All foreign keys of the service's own tables
/// cascade, so a violated one belongs to a table of the operator. The message names it.
pub(super) fn deletion_failed(error: QueryError) -> StoreError {
    let is_referenced = is_foreign_key_violation(error.code());
    match error.into() {
        StoreError::Internal(source) if is_referenced => StoreError::Referenced(source),
        error => error,
    }
}

fn build(connector: Connector, limits: PoolLimits) -> Result<ClientPool> {
    // Opening a connection has a timeout of its own.
    let timeouts = Timeouts {
        wait: Some(limits.acquire_timeout),
        create: None,
        recycle: Some(limits.acquire_timeout),
    };
    ClientPool::builder(ClientManager(connector))
        .max_size(limits.connections)
        .runtime(Runtime::Tokio1)
        .timeouts(timeouts)
        .build()
        .map_err(StoreError::internal)
}

impl From<PoolError<OpenError>> for StoreError {
    fn from(error: PoolError<OpenError>) -> Self {
        match error {
            PoolError::Backend(error) => connecting_failed(error),
            other => Self::unavailable(other),
        }
    }
}
