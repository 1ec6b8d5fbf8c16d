//! One connection to PostgreSQL, and how it runs statements. Each statement is a
//! transaction of its own, so no connection is ever left inside one, and a pooler may run each
//! statement on another server connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, RowStream};

use super::budget::{Permit, Work};
use super::cancel::cancel;
use super::client_manager::PooledObject;
use super::error::{
    is_canceled, is_failover, is_read_only, is_recovering, is_unrepresentable, needs_reconnect,
};
use super::shared_pool::SharedPool;
use super::statement::Statement;
use crate::store::batch::BatchError;
use crate::store::{Result, StoreError};

/// A value of a statement's parameter.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

pub(super) const END: &str = "COMMIT";

/// Why a statement returned no result.
#[derive(Debug)]
pub(super) enum QueryError {
    /// The pool had no connection for the statement.
    NoConnection(StoreError),
    Statement(Error),
    /// The connection ended between the result and the end of the transaction, so it is unknown whether
    /// the transaction was committed.
    Unconfirmed(Error),
    /// A text among the values has a character that the encoding of the database lacks.
    Unrepresentable(Error),
    /// The caller refused a row.
    Row(StoreError),
    /// The statement took longer than the timeout, so its outcome is unknown.
    TooSlow,
}

/// A connection from the pool. If it is dropped while a statement is in flight, the statement is
/// cancelled and the connection is closed: the task that waited for the statement was cancelled. If
/// a statement shows that the connection must be replaced, it is closed when it is dropped.
pub(super) struct Connection {
    pooled: Option<PooledObject>,
    /// Dropped after `pooled`: the next owner of the permit finds the connection in the pool.
    permit: Option<Permit>,
    shared: Arc<SharedPool>,
    generation: usize,
    work: Work,
    timeout: Duration,
    in_flight: AtomicUsize,
    is_outdated: AtomicBool,
}

impl Connection {
    pub(super) fn new(
        pooled: PooledObject,
        permit: Permit,
        shared: Arc<SharedPool>,
        generation: usize,
        work: Work,
    ) -> Self {
        Self {
            pooled: Some(pooled),
            permit: Some(permit),
            timeout: shared.limits().statement_timeout,
            shared,
            generation,
            work,
            in_flight: AtomicUsize::new(0),
            is_outdated: AtomicBool::new(false),
        }
    }

    pub(super) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a statement has shown that the connection must be replaced. The same work may
    /// succeed on another connection.
    pub(super) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Prepares the statement if statements stay prepared. Later queries can then be pipelined.
    pub(super) async fn prepare(
        &self,
        statement: &Statement,
    ) -> std::result::Result<(), QueryError> {
        if !self.shared.is_prepared() {
            return Ok(());
        }
        let pooled = self.pooled()?;
        let prepared = pooled.prepare_typed_cached(self.shared.text(statement), statement.types);
        self.within_timeout(true, async { Ok(prepared.await?) }).await.map(|_| ())
    }

    /// Runs the statement and waits until it is committed.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let outcome = if self.shared.confirms_reads() && !statement.only_reads() {
            self.within_timeout(statement.is_repeatable(), self.run_confirmed(statement, values))
                .await
        } else {
            let work = self.run(statement, values);
            self.within_timeout(statement.is_repeatable(), work).await
        };
        name_unrepresentable(statement, outcome)
    }

    /// Runs a statement without parameters that always returns a row.
    pub(super) async fn query_one(&self, statement: &Statement) -> Result<Row> {
        let mut rows = self.query(statement, &[]).await?;
        rows.pop().ok_or_else(|| StoreError::internal("a statement returned no row"))
    }

    /// Runs the statement and reads each row as it comes, so that the rows of a long list are not
    /// kept twice. If `read` fails, the statement is cancelled.
    pub(super) async fn query_each(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row) -> Result<()>,
    ) -> std::result::Result<(), QueryError> {
        let work = async {
            let mut rows = pin!(self.stream(statement, values).await?);
            while let Some(row) = rows.try_next().await? {
                if let Err(error) = read(&row) {
                    // The server still sends rows.
                    self.in_flight.fetch_add(1, Ordering::Relaxed);
                    return Err(QueryError::Row(error));
                }
            }
            Ok(())
        };
        name_unrepresentable(statement, self.within_timeout(true, work).await)
    }

    /// Runs a statement that only reads, in a transaction that the server ends after `limit`.
    /// Returns `None` if it did. The limit is part of the transaction, because a pooler may give
    /// the next statement to another server connection.
    pub(super) async fn query_at_most(
        &self,
        limit: Duration,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Option<Vec<Row>>, QueryError> {
        self.prepare(statement).await?;
        let begin =
            format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {}", limit.as_millis().max(1));
        let work = async {
            let client = self.pooled()?;
            // One round trip: all messages are sent before the first answer.
            let (limited, rows, ended) = tokio::join!(
                biased;
                client.batch_execute(&begin),
                self.run(statement, values),
                client.batch_execute(END),
            );
            limited?;
            let rows = match rows {
                Err(QueryError::Statement(error)) if is_canceled(error.code()) => None,
                rows => Some(rows?),
            };
            ended?;
            Ok(rows)
        };
        name_unrepresentable(statement, self.within_timeout(true, work).await)
    }

    /// Closes the connection instead of returning it to the pool, with all others to its server.
    pub(super) fn discard(self) {
        self.is_outdated.store(true, Ordering::Relaxed);
    }

    pub(super) async fn run(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<Vec<Row>, QueryError> {
        let mut stream = pin!(self.stream(statement, values).await?);
        let mut rows = Vec::new();
        loop {
            match stream.try_next().await {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => return Ok(rows),
                // The server commits after the result and before the end of the stream.
                Err(error) if stream.rows_affected().is_some() && is_end(&error) => {
                    return Err(QueryError::Unconfirmed(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn stream(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> std::result::Result<RowStream, QueryError> {
        let pooled = self.pooled()?;
        let (sql, values) = (self.shared.text(statement), values.iter().copied());
        if self.shared.is_prepared() {
            let prepared = pooled.prepare_typed_cached(sql, statement.types).await?;
            return Ok(pooled.query_raw(&prepared, values).await?);
        }
        let typed: Vec<(Value<'_>, Type)> = values.zip(statement.types.iter().cloned()).collect();
        Ok(pooled.query_typed_raw(sql, typed).await?)
    }

    pub(super) fn shared(&self) -> &SharedPool {
        &self.shared
    }

    pub(super) fn pooled(&self) -> std::result::Result<&PooledObject, QueryError> {
        let closed = || QueryError::NoConnection(StoreError::internal("the connection was closed"));
        self.pooled.as_ref().ok_or_else(closed)
    }

    /// Runs work on the connection. `is_repeatable` is that of its statement.
    async fn within_timeout<T>(
        &self,
        is_repeatable: bool,
        work: impl Future<Output = std::result::Result<T, QueryError>>,
    ) -> std::result::Result<T, QueryError> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let Ok(outcome) = tokio::time::timeout(self.timeout, work).await else {
            // Long work may be slow on a sound server.
            if self.work != Work::Long {
                self.shared.replace_connections(self.generation);
                self.shared.log_slow_statement();
            }
            return Err(QueryError::TooSlow);
        };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        match &outcome {
            // A result that was on its way when the primary was lost says nothing about the next one.
            Ok(_) if self.shared.generation() == self.generation => {
                self.shared.failover().reached();
            }
            Err(error) if self.is_lost(error, is_repeatable) => {
                self.is_outdated.store(true, Ordering::Relaxed);
                // Now, so that the search for the primary finds no connection to the same server.
                if self.shared.replace_connections(self.generation) {
                    self.shared.lose_primary();
                }
            }
            Err(QueryError::Statement(error)) if needs_reconnect(error.code()) => {
                self.is_outdated.store(true, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    /// Whether the server is no primary any more, and the work can run again on the next one: it is
    /// repeatable, was rolled back, or was not sent.
    fn is_lost(&self, error: &QueryError, is_repeatable: bool) -> bool {
        match error {
            QueryError::Statement(error) if error.code().is_some() => {
                let code = error.code();
                // A pooler may say so itself, while the server still runs the statement.
                let is_certain =
                    is_repeatable || self.shared.is_prepared() || needs_reconnect(code);
                // A session with the only host stays at a primary, which may be read-only.
                let stays = self.shared.is_prepared() && !self.shared.has_several_hosts();
                (is_failover(code) && is_certain && !(stays && is_read_only(code)))
                    || (self.shared.is_fenced() && is_recovering(code))
            }
            QueryError::Statement(error) => {
                let was_idle = self.pooled.as_ref().is_some_and(|client| client.was_idle_at_end());
                is_end(error) && (is_repeatable || was_idle)
            }
            QueryError::Unconfirmed(_) => is_repeatable,
            _ => false,
        }
    }
}

/// Whether the connection has ended, with or without a message of the server.
pub(super) fn is_end(error: &Error) -> bool {
    let is_broken = || {
        let cause = std::error::Error::source(error);
        error.is_closed() || cause.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
    };
    if error.code().is_some() { is_failover(error.code()) } else { is_broken() }
}

/// Names the error of a text that the encoding of the database lacks.
fn name_unrepresentable<T>(
    statement: &Statement,
    outcome: std::result::Result<T, QueryError>,
) -> std::result::Result<T, QueryError> {
    match outcome {
        // Without a text among the values, a stored one cannot be converted.
        Err(QueryError::Statement(error))
            if is_unrepresentable(error.code()) && statement.has_texts() =>
        {
            Err(QueryError::Unrepresentable(error))
        }
        outcome => outcome,
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if *self.is_outdated.get_mut() {
            self.shared.replace_connections(self.generation);
        }
        let is_in_flight = *self.in_flight.get_mut() > 0;
        if !is_in_flight && self.shared.generation() == self.generation {
            return;
        }
        let Some(client) = self.pooled.take().map(PooledObject::take) else { return };
        if is_in_flight && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel(client, self.shared.tls(), self.permit.take()));
        }
    }
}

impl QueryError {
    /// Returns the SQLSTATE of a statement that failed.
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Statement(error) => error.code(),
            _ => None,
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
            QueryError::Statement(error) | QueryError::Unconfirmed(error) => error.into(),
            QueryError::Unrepresentable(error) => Self::unrepresentable(Self::from(error)),
            QueryError::NoConnection(error) | QueryError::Row(error) => error,
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
