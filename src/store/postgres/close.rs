//! The end of the PostgreSQL store.

use async_trait::async_trait;

use super::PostgresStore;
use crate::store::CloseStore;

#[async_trait]
impl CloseStore for PostgresStore {
    async fn close(&self) {
        self.deletions.close();
        self.pool.close();
    }
}
