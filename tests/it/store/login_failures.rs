//! Consecutive login failures: counting and expiry.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use post_api::domain::user::AccountKey;

use super::fresh_store::{FreshStore, noon};

fn hours(hours: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hours)
}

async fn count(store: &FreshStore, account: i64, now: Timestamp) -> u32 {
    store.count_login_failures(AccountKey(account), now).await.unwrap()
}

async fn fail(store: &FreshStore, account: i64, now: Timestamp) {
    store.record_login_failure(AccountKey(account), now).await.unwrap();
}

pub async fn failures_are_counted_per_account(store: &FreshStore) {
    let keys = [0, 1, -1, i64::MAX, i64::MIN];
    for (number, key) in keys.into_iter().enumerate() {
        assert_eq!(count(store, key, noon()).await, 0);
        for _ in 0..=number {
            fail(store, key, noon()).await;
        }
    }
    for (key, failures) in keys.into_iter().zip(1..) {
        assert_eq!(count(store, key, noon()).await, failures);
    }
    store.clear_login_failures(AccountKey(-1)).await.unwrap();
    store.clear_login_failures(AccountKey(-1)).await.unwrap();
    let mut left = Vec::new();
    for key in keys {
        left.push(count(store, key, noon()).await);
    }
    assert_eq!(left, [1, 2, 0, 4, 5]);
}

pub async fn concurrent_failures_are_all_counted(store: &FreshStore) {
    join_all((0..100).map(|number| fail(store, number % 2, noon()))).await;
    assert_eq!([count(store, 0, noon()).await, count(store, 1, noon()).await], [50, 50]);
}

pub async fn few_failures_expire_sooner_than_many(store: &FreshStore) {
    for (account, failures) in [(1, 9), (2, 10), (3, 100)] {
        for _ in 0..failures {
            fail(store, account, noon()).await;
        }
    }
    let at = async |now| {
        [count(store, 1, now).await, count(store, 2, now).await, count(store, 3, now).await]
    };
    assert_eq!(at(hours(23)).await, [9, 10, 100]);
    assert_eq!(at(hours(24)).await, [0, 10, 100]);
    assert_eq!(at(hours(719)).await, [0, 10, 100]);
    assert_eq!(at(hours(720)).await, [0, 0, 0]);
    // An expired count restarts at 1. A further failure extends the lifetime of the others.
    fail(store, 1, hours(24)).await;
    assert_eq!(at(hours(24)).await, [1, 10, 100]);
    fail(store, 3, hours(700)).await;
    assert_eq!(at(hours(720)).await, [0, 0, 101]);
    fail(store, 2, hours(720)).await;
    assert_eq!(at(hours(720)).await, [0, 1, 101]);
}

/// Each failure deletes a few expired ones, so that attempts with ever new e-mails cannot fill the
/// disk.
pub async fn expired_failures_are_deleted(store: &FreshStore) {
    for account in 0..40 {
        fail(store, account, noon()).await;
    }
    assert_eq!(store.count_rows("login_failures"), 40);
    for account in 100..110 {
        fail(store, account, hours(24)).await;
    }
    assert_eq!(store.count_rows("login_failures"), 10);
}
