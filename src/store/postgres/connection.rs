//! One connection to PostgreSQL: how it is opened, and how it runs statements. Each statement is a
//! transaction of its own, so no connection is ever left inside one, and a pooler may run each
//! statement on another server connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, Row};

use super::address::Address;
use super::error::is_unrepresentable;
use super::statement::Statement;
use super::tls::connector;
use crate::store::batch::BatchError;
use crate::store::{Result, StoreError};

/// A value of a statement's parameter.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// How long a connection may take to be opened, authenticated and set up.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a statement may take before its connection is closed. Without this timeout, a stopped
/// server or a network that drops packets would block the connection forever.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of a connection that serves requests. The server ends a statement after 30 seconds, and
/// waits 3 seconds for a lock. Plans do not depend on the values (a test checks every plan), so
/// each is made once. JIT compilation would cost more than it saves.
const SERVING_OPTIONS: &str = "-c statement_timeout=30000 -c lock_timeout=3000 \
                       -c idle_in_transaction_session_timeout=10000 \
                       -c plan_cache_mode=force_generic_plan -c jit=off";

/// Makes an acknowledged write survive a crash, even if the server, the database or the role turns
/// `synchronous_commit` off. A stronger setting stays.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
                        WHERE current_setting('synchronous_commit') = 'off'";

/// Opens a connection for an operator's command. It closes when the client is dropped.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database is unreachable.
pub async fn connect(address: &Address) -> Result<Client> {
    let connecting = address.config.connect(connector(&address.trust)?);
    let connected = tokio::time::timeout(OPEN_TIMEOUT, connecting).await;
    let (client, connection) =
        connected.map_err(|_| StoreError::unavailable("the server did not answer in time"))??;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "database connection broken");
        }
    });
    Ok(client)
}

/// Returns the configuration of a connection that serves requests.
pub(super) fn serving_config(address: &Address) -> Config {
    let mut config = address.config.clone();
    // A pooler refuses startup options, because its server connections are shared.
    if address.is_prepared() {
        // The options of the address come last, so they take precedence.
        let configured = config.get_options().unwrap_or_default();
        let options = format!("{SERVING_OPTIONS} {configured}");
        config.options(options.trim_end());
    }
    config
}

/// Makes the commits of this connection durable.
pub(super) async fn make_durable(client: &Client) -> std::result::Result<(), Error> {
    client.batch_execute(DURABLE).await
}

/// Why a statement returned no result.
#[derive(Debug)]
pub(super) enum QueryError {
    /// The pool had no connection for the statement.
    NoConnection(StoreError),
    Statement(Error),
    /// A text among the values has a character that the encoding of the database lacks.
    Unrepresentable(Error),
    /// The statement took longer than the timeout, so its outcome is unknown.
    TooSlow,
}

/// A connection from the pool. If it is dropped while a statement is in flight, it is closed
/// instead of returned: the task that waited for the statement was cancelled.
pub(super) struct Connection {
    pooled: Option<Object>,
    pool: Pool,
    is_prepared: bool,
    timeout: Duration,
    in_flight: AtomicUsize,
}

impl Connection {
    pub(super) fn new(pooled: Object, pool: Pool, is_prepared: bool) -> Self {
        Self {
            pooled: Some(pooled),
            pool,
            is_prepared,
            timeout: STATEMENT_TIMEOUT,
            in_flight: AtomicUsize::new(0),
        }
    }

    pub(super) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Prepares the statement if statements stay prepared. Later queries can then be pipelined.
    pub(super) async fn prepare(
        &self,
        statement: &Statement,
    ) -> std::result::Result<(), QueryError> {
        if !self.is_prepared {
            return Ok(());
        }
        let pooled = self.pooled()?;
        let prepared = pooled.prepare_typed_cached(statement.sql, statement.types);
        self.within_timeout(async { Ok(prepared.await?) }).await.map(|_| ())
    }

    /// Runs the statement and waits until it is committed.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let rows = self.within_timeout(self.run(statement, values)).await;
        match rows {
            // Without a text among the values, a stored one cannot be converted.
            Err(QueryError::Statement(error))
                if is_unrepresentable(error.code()) && statement.has_texts() =>
            {
                Err(QueryError::Unrepresentable(error))
            }
            rows => rows,
        }
    }

    /// Runs a statement without parameters that always returns a row.
    pub(super) async fn query_one(&self, statement: &Statement) -> Result<Row> {
        let mut rows = self.query(statement, &[]).await?;
        rows.pop().ok_or_else(|| StoreError::internal("a statement returned no row"))
    }

    /// Closes the connection instead of returning it to the pool.
    pub(super) fn discard(self) {
        // `drop` closes a connection with a statement in flight.
        self.in_flight.fetch_add(1, Ordering::Relaxed);
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

    async fn within_timeout<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, QueryError>>,
    ) -> std::result::Result<T, QueryError> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::time::timeout(self.timeout, work).await;
        let outcome = outcome.map_err(|_| QueryError::TooSlow)?;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if *self.in_flight.get_mut() > 0 {
            drop(self.pooled.take().map(Object::take));
            // The pool's idle connections are to the same server, so they have the same problem.
            self.pool.retain(|_, _| false);
        }
    }
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
            QueryError::Unrepresentable(error) => Self::unrepresentable(Self::from(error)),
            QueryError::TooSlow => Self::unavailable("the database took too long"),
        }
    }
}

impl From<QueryError> for BatchError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Statement(error) => error.into(),
            error @ QueryError::Unrepresentable(_) => Self::RolledBack(error.into()),
            error => Self::Final(error.into()),
        }
    }
}
