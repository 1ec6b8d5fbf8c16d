//! Readiness of the PostgreSQL database.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::column::column;
use super::connection::Connection;
use super::pool::Pool;
use super::schema;
use super::statement::{Statement, statements};
use super::{PostgresStore, too_slow};
use crate::store::{Readiness, ReadinessStore, Result};

/// A probe gets an answer within two seconds, also from a server that hangs.
const READY_TIMEOUT: Duration = Duration::from_millis(1800);

statements! {
    unfenced;
    IS_READ_ONLY() =
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
}

#[async_trait]
impl ReadinessStore for PostgresStore {
    async fn check_ready(&self) -> Result<Readiness> {
        let check = self.run(async |pool| {
            let connection = pool.acquire_unchecked().await?;
            match check(&pool, &connection).await {
                Err(_) if connection.is_outdated() => {
                    drop(connection);
                    check(&pool, &pool.acquire_unchecked().await?).await
                }
                Ok(Readiness::ReadOnly) => {
                    // After a failover, the server of an open connection may be a standby. A new
                    // connection goes to the primary.
                    connection.discard();
                    Ok(Readiness::ReadOnly)
                }
                outcome => outcome,
            }
        });
        timeout(READY_TIMEOUT, check).await.unwrap_or_else(|_| Err(too_slow()))
    }
}

async fn check(pool: &Pool, connection: &Connection) -> Result<Readiness> {
    if !schema::is_current(connection).await? {
        return Ok(Readiness::WrongRevision);
    }
    // An operator may have distributed the tables meanwhile.
    pool.find_distribution(connection).await?;
    if column(&connection.query_one(&IS_READ_ONLY).await?, 0)? {
        return Ok(Readiness::ReadOnly);
    }
    Ok(Readiness::Ready)
}
