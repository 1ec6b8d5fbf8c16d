//! Reads of administrators: accounts, events of all accounts, and counts of rows.

use jiff::{SignedDuration, Timestamp, Unit};

use super::event::Event;
use super::user::{Account, UserId};

/// Days that [`days_until`] returns.
pub const DAYS: usize = 30;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A page of a list that begins with the highest ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPage {
    /// Only rows with a lower ID. `None` from the newest row on.
    pub before: Option<i64>,
    pub limit: u32,
}

/// The entries of a page, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    pub entries: Vec<T>,
    /// The ID below which the next page begins. `None` after the last page. A page can have fewer
    /// entries than its limit and still have a next one.
    pub next: Option<i64>,
}

/// A page of accounts.
pub type AccountPage = Listed<Account>;

/// A page of events of all accounts.
pub type EventPage = Listed<AccountEvent>;

/// An event, and the account that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountEvent {
    pub id: i64,
    pub user_id: UserId,
    pub event: Event,
}

/// The rows of the database. Rows of a closed account count until they are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    pub users: RowCount,
    /// Published posts.
    pub posts: RowCount,
    pub drafts: RowCount,
    pub votes: RowCount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount {
    pub count: u64,
    /// False for an estimate of the database, because there are too many rows to count.
    pub is_exact: bool,
}

/// The accounts and posts that were created on one day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    pub begins_at: Timestamp,
    /// Accounts. `None` if too many accounts are newer than the day to count those of the day.
    pub users: Option<u64>,
    /// Published posts.
    pub posts: u64,
}

/// Returns the beginnings of the last [`DAYS`] days in UTC, oldest first. The last one has the time.
#[must_use]
pub fn days_until(now: Timestamp) -> Vec<Timestamp> {
    let today = begin_of_day(now);
    let days = (0..DAYS).rev().filter_map(|ago| i32::try_from(ago).ok());
    days.map(|ago| today.saturating_add(-(DAY * ago)).unwrap_or(today)).collect()
}

/// Returns the beginning of the day in UTC.
#[must_use]
pub fn begin_of_day(time: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Hour).increment(24);
    time.round(rounding.mode(jiff::RoundMode::Floor)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_days_end_with_the_day_of_the_time() {
        let days = days_until("2025-03-01T23:59:59.999999Z".parse().unwrap());
        assert_eq!(days.len(), DAYS);
        assert_eq!(days[DAYS - 1], "2025-03-01T00:00:00Z".parse().unwrap());
        assert_eq!(days[DAYS - 2], "2025-02-28T00:00:00Z".parse().unwrap());
        assert_eq!(days[0], "2025-01-31T00:00:00Z".parse().unwrap());
        assert_eq!(begin_of_day(days[3]), days[3]);
        let old = "1969-12-31T12:00:00Z".parse().unwrap();
        assert_eq!(begin_of_day(old), "1969-12-31T00:00:00Z".parse().unwrap());
    }
}
