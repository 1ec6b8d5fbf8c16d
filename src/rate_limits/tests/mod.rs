//! Limits with a clock that the tests advance: what is allowed, and which state is kept.

/// One limit: its rate, its keys, and how many keys it stores.
mod limits;

/// Login attempts: which are rejected, and which are never rejected.
mod logins;

/// More clients than a limit stores.
mod many;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{LoginAttempt, LoginLimitError, MonotonicClock, RateLimitConfig, RateLimits};
use crate::clock::SystemClock;
use crate::domain::user::{AccountKey, UserId};
use crate::store::{LoginFailureStore, StoreError};

/// A clock that stops until a test advances it.
#[derive(Default)]
struct ManualClock {
    seconds: AtomicU64,
}

impl ManualClock {
    fn advance(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl MonotonicClock for ManualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }
}

/// Keeps all failures in memory.
#[derive(Default)]
struct FakeFailureStore(Mutex<HashMap<AccountKey, u32>>);

#[async_trait]
impl LoginFailureStore for FakeFailureStore {
    async fn count_login_failures(
        &self,
        account: AccountKey,
        _: Timestamp,
    ) -> Result<u32, StoreError> {
        Ok(self.0.lock().unwrap().get(&account).copied().unwrap_or_default())
    }

    async fn record_login_failure(
        &self,
        account: AccountKey,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        *self.0.lock().unwrap().entry(account).or_default() += 1;
        Ok(())
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(&account);
        Ok(())
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    limits: RateLimits,
}

impl Fixture {
    fn new(rates: &RateLimitConfig) -> Self {
        let clock = Arc::new(ManualClock::default());
        let monotonic_clock: Arc<dyn MonotonicClock> = clock.clone();
        let failures = Arc::<FakeFailureStore>::default();
        let limits =
            RateLimits::new(rates, &monotonic_clock, failures, Arc::new(SystemClock), [7; 32]);
        Self { clock, limits }
    }

    /// Begins a login. Each name has an account.
    async fn begin(&self, client: &str, username: &str) -> Result<LoginAttempt<'_>, &'static str> {
        self.begin_as(client, username, user(username)).await
    }

    /// Begins a login to the account that has the e-mail now.
    async fn begin_as(
        &self,
        client: &str,
        username: &str,
        user: UserId,
    ) -> Result<LoginAttempt<'_>, &'static str> {
        let client: IpAddr = client.parse().unwrap();
        self.limits.check_login(Some(client)).map_err(|limited| limited.limit)?;
        let begun = self.limits.begin_login(Some(client), username, Some(user)).await;
        begun.map_err(|error| match error {
            LoginLimitError::RateLimited(limited) => limited.limit,
            LoginLimitError::Store(error) => panic!("{error}"),
        })
    }

    /// Tries a wrong password. Returns the limit that rejected it.
    async fn fail(&self, client: &str, username: &str) -> Result<(), &'static str> {
        self.begin(client, username).await?.failed().await.unwrap();
        Ok(())
    }

    /// Tries the right password.
    async fn succeed(&self, client: &str, username: &str) -> Result<(), &'static str> {
        self.begin(client, username).await?.succeeded().await;
        Ok(())
    }

    /// Tries wrong passwords until a limit rejects one. Returns how many were allowed, and the limit.
    async fn fail_on(&self, client: &str, username: &str) -> (u32, &'static str) {
        for count in 0..10_000 {
            if let Err(limit) = self.fail(client, username).await {
                return (count, limit);
            }
        }
        panic!("no limit rejected {client}");
    }

    /// Tries wrong passwords, each from a new IP, until a limit rejects one. Returns how many were
    /// allowed, and the limit.
    async fn fail_from_everywhere(&self, username: &str, from: u32) -> (u32, &'static str) {
        for count in 0..10_000 {
            if let Err(limit) = self.fail(&ip(from + count), username).await {
                return (count, limit);
            }
        }
        panic!("no limit rejected them");
    }
}

/// Returns the account of a name: a different one for each.
fn user(username: &str) -> UserId {
    let name = username.trim().to_ascii_lowercase();
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    UserId(hasher.finish().cast_signed())
}

/// Returns one of 16 million IPv4 addresses.
fn ip(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("100.{a}.{b}.{c}")
}

#[test]
fn every_limit_is_in_the_list_of_names() {
    let files =
        [include_str!("../mod.rs"), include_str!("../login.rs"), include_str!("../mails.rs")];
    let sources = files.concat();
    let named = sources.split("Limit::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let (mut named, mut listed): (Vec<_>, _) = (named.collect(), super::LIMIT_NAMES.to_vec());
    named.push(super::STREAMS_LIMIT);
    named.sort_unstable();
    listed.sort_unstable();
    assert_eq!(named, listed);
}
