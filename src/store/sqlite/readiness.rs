//! Readiness of the SQLite database.

use async_trait::async_trait;

use super::SqliteStore;
use super::admin::is_current;
use crate::store::{Readiness, ReadinessStore, Result};

#[async_trait]
impl ReadinessStore for SqliteStore {
    async fn check_ready(&self) -> Result<Readiness> {
        if !self.readers.run(is_current).await? {
            return Ok(Readiness::WrongRevision);
        }
        // An empty transaction takes and releases the write lock without touching the disk.
        self.writer.run(|_| Ok(Readiness::Ready)).await
    }
}
