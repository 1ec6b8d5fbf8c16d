//! The row of secrets that belong to the database itself, in PostgreSQL.

use async_trait::async_trait;

use super::PostgresStore;
use super::column::column;
use super::statement::{Statement, statements};
use crate::domain::installation::InstallationKey;
use crate::store::{InstallationStore, Result, StoreError};

statements! {
    FIND_INSTALLATION_KEY() = "SELECT key FROM installation WHERE one";
}

#[async_trait]
impl InstallationStore for PostgresStore {
    async fn find_installation_key(&self) -> Result<InstallationKey> {
        self.run(async |pool| {
            let rows = pool.query(&FIND_INSTALLATION_KEY, &[]).await?;
            let row = rows.first().ok_or_else(|| StoreError::internal("no installation key"))?;
            let key: &[u8] = column(row, 0)?;
            key.try_into().map(InstallationKey).map_err(|_| StoreError::internal("invalid key"))
        })
        .await
    }
}
