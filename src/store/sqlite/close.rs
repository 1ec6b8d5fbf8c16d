//! The end of the SQLite store.

use async_trait::async_trait;

use super::SqliteStore;
use crate::store::CloseStore;

#[async_trait]
impl CloseStore for SqliteStore {
    /// The writer closes last: only the last connection can empty and remove the log.
    async fn close(&self) {
        self.deletions.close();
        self.list_readers.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}
