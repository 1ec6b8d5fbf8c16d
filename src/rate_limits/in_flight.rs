//! Login attempts whose password is being verified. Each may become a failure of its account, so it
//! counts as a failure until its outcome is known.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::user::AccountKey;

/// Attempts in flight per account. The number of concurrent verifications bounds its size.
#[derive(Default)]
pub(super) struct InFlightAttempts {
    counts: Mutex<HashMap<AccountKey, u32>>,
}

impl InFlightAttempts {
    pub(super) fn start(&self, account: AccountKey) -> InFlightGuard<'_> {
        let mut counts = self.counts();
        let count = counts.entry(account).or_default();
        let others = *count;
        *count = others.saturating_add(1);
        InFlightGuard { attempts: self, account, others }
    }

    fn finish(&self, account: AccountKey) {
        let mut counts = self.counts();
        match counts.get_mut(&account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&account)),
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AccountKey, u32>> {
        // No code panics in the middle of a change, so a poisoned map is still consistent.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one attempt as in flight until it is dropped.
pub(super) struct InFlightGuard<'a> {
    attempts: &'a InFlightAttempts,
    pub(super) account: AccountKey,
    /// Number of attempts for the same account that were already in flight.
    pub(super) others: u32,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.attempts.finish(self.account);
    }
}
