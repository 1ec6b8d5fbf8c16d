//! The contract of the reads of administrators. Not here: changes by an operator, see `operator.rs`.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::domain::administration::{
    AccountPage, DayCount, EventPage, ListPage, RowCounts, begin_of_day,
};
use crate::domain::caller::Caller;

/// PostgreSQL counts at most this many rows of a table, and estimates larger ones.
pub(super) const MAX_COUNTED: u32 = 1_000_000;

/// Maximum number of posts of one day that are counted.
pub(super) const MAX_PER_DAY: u32 = 100_000;

/// The newest accounts that the sign-ups of each day are counted from. No index has their times.
pub(super) const NEWEST_ACCOUNTS: u32 = 100_000;

/// The reads of administrators. A statement that reads data of others for a caller also reads the
/// caller's right, in one snapshot. So the right ends with the command that takes it away.
#[async_trait]
pub trait AdministrationStore: QueueLengths + Send + Sync + 'static {
    /// Returns whether the caller is an administrator.
    async fn is_administrator(&self, caller: Caller) -> Result<bool>;

    /// Returns accounts by descending ID. Returns `None` if the caller is no administrator.
    async fn list_accounts(&self, caller: Caller, page: ListPage) -> Result<Option<AccountPage>>;

    /// Returns events of all accounts, the newest first. Returns `None` if the caller is no
    /// administrator.
    async fn list_all_events(&self, caller: Caller, page: ListPage) -> Result<Option<EventPage>>;

    /// Counts the rows of the tables. It reads many rows, so callers share the result.
    async fn count_all_rows(&self) -> Result<RowCounts>;

    /// Counts what was created on each of these days, given by their beginnings. It counts at most
    /// 100,000 posts for a day. It reads many rows, so callers share the result.
    async fn count_days(&self, days: Vec<Timestamp>) -> Result<Vec<DayCount>>;
}

/// The operations that wait for a store.
pub trait QueueLengths {
    /// Returns each queue with the number of operations that wait in it.
    fn queue_lengths(&self) -> Vec<(&'static str, usize)>;
}

/// The newest accounts by the day of their sign-up.
#[derive(Debug, Default)]
pub(super) struct SignUps {
    per_day: HashMap<Timestamp, u64>,
    read: u64,
    /// The lowest ID that was read, and its day.
    oldest: Option<(i64, Timestamp)>,
}

impl SignUps {
    /// Adds accounts of one day, of which this is the lowest ID.
    pub(super) fn add(&mut self, created_at: Timestamp, count: u64, lowest_id: i64) {
        let day = begin_of_day(created_at);
        *self.per_day.entry(day).or_default() += count;
        self.read += count;
        if self.oldest.is_none_or(|(id, _)| lowest_id < id) {
            self.oldest = Some((lowest_id, day));
        }
    }

    /// Returns the sign-ups of the day. Returns `None` if the accounts that were read do not reach
    /// back beyond the day. IDs ascend with the time of the sign-up.
    pub(super) fn of(&self, day: Timestamp) -> Option<u64> {
        let reaches_back = self.read < u64::from(NEWEST_ACCOUNTS)
            || self.oldest.is_some_and(|(_, oldest)| oldest < day);
        reaches_back.then(|| self.per_day.get(&day).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Timestamp {
        format!("{text}T00:00:00Z").parse().unwrap()
    }

    #[test]
    fn day_that_the_newest_accounts_do_not_reach_is_unknown() {
        let mut sign_ups = SignUps::default();
        sign_ups.add("2025-01-03T10:00:00Z".parse().unwrap(), 1, 9);
        sign_ups.add("2025-01-02T10:00:00Z".parse().unwrap(), 2, 7);
        assert_eq!(sign_ups.of(day("2025-01-02")), Some(2));
        assert_eq!(sign_ups.of(day("2025-01-01")), Some(0), "all accounts were read");
        sign_ups.add("2025-01-02T09:00:00Z".parse().unwrap(), u64::from(NEWEST_ACCOUNTS), 6);
        // An account that another program has dated back.
        sign_ups.add("2001-01-01T00:00:00Z".parse().unwrap(), 1, 8);
        assert_eq!(sign_ups.of(day("2025-01-03")), Some(1));
        assert_eq!(sign_ups.of(day("2025-01-02")), None);
        assert_eq!(sign_ups.of(day("2025-01-01")), None);
    }
}
