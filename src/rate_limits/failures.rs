//! How many wrong passwords in a row an account has had.
//!
//! Behind a trait, because it is the one number that several processes should share: what is kept in
//! memory is counted by each of them for itself.

use async_trait::async_trait;
use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::limit::KEYS;
use crate::store::StoreError;

/// Stands for an account, whether it exists or not: a hash, with a secret key, of the address that
/// somebody wants to log in with. It is as short for long addresses as for short ones, and nobody
/// learns the address from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey(pub u64);

/// Each method is one whole step. A failure that was recorded counts for whoever asks after it.
#[async_trait]
pub trait LoginFailures: Send + Sync + 'static {
    /// Failures since the last success, or since they were forgotten.
    async fn count_login_failures(&self, account: AccountKey) -> Result<u32, StoreError>;

    async fn record_login_failure(&self, account: AccountKey) -> Result<(), StoreError>;

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError>;
}

/// In the memory of this process: the accounts that were failed at lately, up to a bound. Only an
/// attempt whose password was hashed gets an account in here, so that to have another one forgotten
/// takes tens of thousands of hashes, or hours.
pub struct RememberedFailures {
    counts: Cache<AccountKey, u32>,
}

impl Default for RememberedFailures {
    fn default() -> Self {
        Self { counts: Cache::new(KEYS) }
    }
}

impl RememberedFailures {
    /// Accounts that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[async_trait]
impl LoginFailures for RememberedFailures {
    async fn count_login_failures(&self, account: AccountKey) -> Result<u32, StoreError> {
        Ok(self.counts.get(&account).unwrap_or_default())
    }

    async fn record_login_failure(&self, account: AccountKey) -> Result<(), StoreError> {
        let counted = self.counts.entry(&account, None, |_, count| {
            *count = count.saturating_add(1);
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(place) = counted {
            let _ = place.insert(1);
        }
        Ok(())
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError> {
        self.counts.remove(&account);
        Ok(())
    }
}
