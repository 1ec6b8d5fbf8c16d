//! The row of secrets that belong to the database itself, in SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use super::statement::statements;
use crate::domain::installation::InstallationKey;
use crate::store::{InstallationStore, Result};

statements! {
    FIND_INSTALLATION_KEY = "SELECT key FROM installation WHERE one = 1";
}

#[async_trait]
impl InstallationStore for SqliteStore {
    async fn find_installation_key(&self) -> Result<InstallationKey> {
        self.readers
            .run(|database| {
                let key = database.query_row(FIND_INSTALLATION_KEY, [], |row| row.get(0))?;
                Ok(InstallationKey(key))
            })
            .await
    }
}
