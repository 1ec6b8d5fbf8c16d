//! Connections, and what is done with them: whole statements, each a transaction of its own. None
//! is begun and ended in several steps, so that a connection is never left in the middle of one,
//! and a pooler may give every statement another server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, PoolError, TimeoutType};
use tokio::sync::OnceCell;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Error, Row};

use super::address::Address;
use super::connect::pool;
use super::error::{is_overtaken, is_stale};
use super::schema::{self, SearchIndex};
use super::statement::Statement;
use crate::store::batch::Failure;
use crate::store::{Readiness, Result, StoreError};

/// A value of a statement's parameter.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// How long a statement may take until its connection is given up: a server that was stopped, or
/// a network that swallows what is sent, would hold it for ever.
const LIMIT: Duration = Duration::from_secs(10);

/// The same for the deletion of an account, which may have written much.
pub(super) const LONG_LIMIT: Duration = Duration::from_mins(1);

/// How often a statement is run that others overtake each time.
const ATTEMPTS: usize = 10;

pub(super) struct Pool {
    pool: deadpool_postgres::Pool,
    /// Whether statements stay prepared on their connection.
    is_prepared: bool,
    /// Known from the first connection to a database that can be served from.
    search_index: OnceCell<SearchIndex>,
}

/// Why a statement has no rows.
#[derive(Debug)]
pub(super) enum QueryError {
    /// There was no connection for it.
    NoConnection(StoreError),
    Statement(Error),
    /// It took longer than [`LIMIT`]: whether it is carried out is not known.
    TooSlow,
}

impl Pool {
    pub(super) fn new(address: &Address) -> Result<Self> {
        Ok(Self {
            pool: pool(address)?,
            is_prepared: address.is_prepared(),
            search_index: OnceCell::new(),
        })
    }

    /// Waits for a connection for as long as the pool allows.
    pub(super) async fn acquire(&self) -> Result<Connection> {
        let connection = self.connect().await?;
        self.search_index.get_or_try_init(|| schema::check(&connection)).await?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection> {
        Ok(Connection {
            pooled: Some(self.pool.get().await?),
            pool: self.pool.clone(),
            is_prepared: self.is_prepared,
            limit: LIMIT,
            under_way: AtomicUsize::new(0),
        })
    }

    pub(super) async fn search_index(&self) -> Result<SearchIndex> {
        if self.search_index.get().is_none() {
            self.acquire().await?;
        }
        Ok(self.search_index.get().copied().unwrap_or(SearchIndex::Missing))
    }

    pub(super) async fn check_ready(&self) -> Result<Readiness> {
        let connection = self.connect().await?;
        let readiness = schema::check_ready(&connection).await?;
        if readiness == Readiness::ReadOnly {
            connection.discard();
        }
        Ok(readiness)
    }

    /// Runs the statement and waits until it is committed; again if others overtook it.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.query_within(LIMIT, statement, values).await
    }

    /// [`Pool::query`] for a statement that may take longer.
    pub(super) async fn query_within(
        &self,
        limit: Duration,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let mut attempt = 1;
        loop {
            let mut connection = self.acquire().await.map_err(QueryError::NoConnection)?;
            connection.limit = limit;
            match connection.query(statement, values).await {
                Err(QueryError::Statement(error))
                    if attempt < ATTEMPTS && is_overtaken(error.code()) => {}
                Err(QueryError::Statement(error)) if is_stale(error.code()) => {
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

/// A connection, until it goes back to the pool. If that happens while a statement is under way,
/// whoever was waiting for it has gone: it is closed instead.
pub(super) struct Connection {
    pooled: Option<Object>,
    pool: deadpool_postgres::Pool,
    is_prepared: bool,
    limit: Duration,
    under_way: AtomicUsize,
}

impl Connection {
    /// Prepares the statement if it is to be, so that queries that follow one another are sent
    /// without a wait between them.
    pub(super) async fn prepare(
        &self,
        statement: &Statement,
    ) -> std::result::Result<(), QueryError> {
        if !self.is_prepared {
            return Ok(());
        }
        let pooled = self.pooled()?;
        let prepared = pooled.prepare_typed_cached(statement.sql, statement.types);
        self.limited(async { Ok(prepared.await?) }).await.map(|_| ())
    }

    /// Runs the statement and waits until it is committed.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        self.limited(self.run(statement, values)).await
    }

    /// For a statement without parameters that always has a row.
    pub(super) async fn query_one(&self, statement: &Statement) -> Result<Row> {
        let mut rows = self.query(statement, &[]).await?;
        rows.pop().ok_or_else(|| StoreError::internal("a statement returned no row"))
    }

    /// Closes the connection instead of giving it back.
    pub(super) fn discard(self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    async fn run(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let pooled = self.pooled()?;
        if self.is_prepared {
            let prepared = pooled.prepare_typed_cached(statement.sql, statement.types).await?;
            return Ok(pooled.query(&prepared, values).await?);
        }
        let typed: Vec<(Value<'_>, Type)> =
            values.iter().copied().zip(statement.types.iter().cloned()).collect();
        Ok(pooled.query_typed(statement.sql, &typed).await?)
    }

    fn pooled(&self) -> std::result::Result<&Object, QueryError> {
        let closed = || QueryError::NoConnection(StoreError::internal("the connection was closed"));
        self.pooled.as_ref().ok_or_else(closed)
    }

    async fn limited<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, QueryError>>,
    ) -> std::result::Result<T, QueryError> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::time::timeout(self.limit, work).await;
        let outcome = outcome.map_err(|_| QueryError::TooSlow)?;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if *self.under_way.get_mut() > 0 {
            drop(self.pooled.take().map(Object::take));
            // The others lead to the same server: what is wrong with this one is with them too.
            self.pool.retain(|_, _| false);
        }
    }
}

/// The value of a column. What cannot be read is a fault of ours, not of the connection.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(StoreError::internal)
}

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NoConnection(error) => error,
            QueryError::Statement(error) => error.into(),
            QueryError::TooSlow => Self::unavailable("the database took too long"),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Statement(error) => error.into(),
            error => Self::Final(error.into()),
        }
    }
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
