//! Attempts whose password is being looked at: each may become a failure of its account, and counts
//! for one until that is known.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::user::AccountKey;

/// As many accounts at most as passwords are being looked at.
#[derive(Default)]
pub(super) struct UnderWay {
    counts: Mutex<HashMap<AccountKey, u32>>,
}

impl UnderWay {
    pub(super) fn begin(&self, account: AccountKey) -> InFlightGuard<'_> {
        let mut counts = self.counts();
        let count = counts.entry(account).or_default();
        let others = *count;
        *count = others.saturating_add(1);
        InFlightGuard { all: self, account, others }
    }

    fn end(&self, account: AccountKey) {
        let mut counts = self.counts();
        match counts.get_mut(&account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&account)),
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AccountKey, u32>> {
        // Nothing here panics in the middle of a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt, until it is dropped.
pub(super) struct InFlightGuard<'a> {
    all: &'a UnderWay,
    pub(super) account: AccountKey,
    /// Those at the same account that were under way before.
    pub(super) others: u32,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.all.end(self.account);
    }
}
