//! How many wrong passwords in a row an account has had.
//!
//! Limiters by the store, because it is the one number that several processes should share, and that a restart
//! should not forget. Behind a trait, so that the arithmetic of limits is tested without a store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::domain::user::AccountKey;
use crate::store::{Store, StoreError};

/// Each method is one whole step. A failure that was recorded counts for whoever asks after it.
#[async_trait]
pub trait LoginFailures: Send + Sync + 'static {
    /// Failures since the last success, or since they were forgotten.
    async fn count_login_failures(&self, account: AccountKey) -> Result<u32, StoreError>;

    async fn record_login_failure(&self, account: AccountKey) -> Result<(), StoreError>;

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError>;
}

/// Those of the store.
pub struct StoredFailures {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl LoginFailures for StoredFailures {
    async fn count_login_failures(&self, account: AccountKey) -> Result<u32, StoreError> {
        self.store.count_login_failures(account, self.clock.now()).await
    }

    async fn record_login_failure(&self, account: AccountKey) -> Result<(), StoreError> {
        self.store.record_login_failure(account, self.clock.now()).await
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError> {
        self.store.clear_login_failures(account).await
    }
}
