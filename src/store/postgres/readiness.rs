//! Readiness of the PostgreSQL database.

use async_trait::async_trait;

use super::PostgresStore;
use super::row::column;
use super::schema;
use super::statement::{Statement, statements};
use crate::store::{Readiness, ReadinessStore, Result};

statements! {
    IS_READ_ONLY() =
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
}

#[async_trait]
impl ReadinessStore for PostgresStore {
    async fn check_ready(&self) -> Result<Readiness> {
        self.run(async |pool| {
            let connection = pool.acquire_unchecked().await?;
            if !schema::is_current(&connection).await? {
                return Ok(Readiness::WrongRevision);
            }
            if column(&connection.query_one(&IS_READ_ONLY).await?, 0)? {
                // After a failover, the server of an open connection may be a standby. A new
                // connection goes to the primary.
                connection.discard();
                return Ok(Readiness::ReadOnly);
            }
            Ok(Readiness::Ready)
        })
        .await
    }
}
