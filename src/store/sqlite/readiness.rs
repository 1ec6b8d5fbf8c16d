//! Readiness of the SQLite database.

use async_trait::async_trait;

use super::SqliteStore;
use crate::store::{Readiness, ReadinessStore, Result};

#[async_trait]
impl ReadinessStore for SqliteStore {
    async fn check_ready(&self) -> Result<Readiness> {
        self.readers.run(|database| Ok(database.query_row("SELECT 1", [], |_| Ok(()))?)).await?;
        // An empty transaction takes and releases the write lock without touching the disk.
        self.writer.run(|_| Ok(Readiness::Ready)).await
    }
}
