//! Limits by a clock that tests move: what is let through, when there is more, and what is remembered.

/// One limit: its rate, its keys, and how many of them it keeps.
mod limits;

/// Attempts to log in: who is refused, and who never is.
mod logins;

/// Many addresses at once.
mod many;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    LoginAttempt, LoginFailures, LoginLimitError, MonotonicClock, RateLimitConfig, RateLimits,
};
use crate::domain::user::AccountKey;
use crate::store::StoreError;

/// Stands still until it is moved.
#[derive(Default)]
struct Hand {
    seconds: AtomicU64,
}

impl Hand {
    fn advance(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl MonotonicClock for Hand {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }
}

/// What a store would keep.
#[derive(Default)]
struct Counted(Mutex<HashMap<AccountKey, u32>>);

#[async_trait]
impl LoginFailures for Counted {
    async fn count_login_failures(&self, account: AccountKey) -> Result<u32, StoreError> {
        Ok(self.0.lock().unwrap().get(&account).copied().unwrap_or_default())
    }

    async fn record_login_failure(&self, account: AccountKey) -> Result<(), StoreError> {
        *self.0.lock().unwrap().entry(account).or_default() += 1;
        Ok(())
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(&account);
        Ok(())
    }
}

struct Scene {
    hand: Arc<Hand>,
    limits: RateLimits,
}

impl Scene {
    fn new(rates: &RateLimitConfig) -> Self {
        let hand = Arc::new(Hand::default());
        let stopwatch: Arc<dyn MonotonicClock> = hand.clone();
        let limits = RateLimits::new(rates, &stopwatch, Arc::<Counted>::default(), [7; 32]);
        Self { hand, limits }
    }

    async fn begin(&self, client: &str, username: &str) -> Result<LoginAttempt<'_>, &'static str> {
        let client: IpAddr = client.parse().unwrap();
        self.limits.begin_login(Some(client), username).await.map_err(|refused| match refused {
            LoginLimitError::RateLimited(refused) => refused.limit,
            LoginLimitError::Store(error) => panic!("{error}"),
        })
    }

    /// A wrong password; the limit's name if it is not looked at.
    async fn fail(&self, client: &str, username: &str) -> Result<(), &'static str> {
        self.begin(client, username).await?.failed().await.unwrap();
        Ok(())
    }

    /// The right one.
    async fn succeed(&self, client: &str, username: &str) -> Result<(), &'static str> {
        self.begin(client, username).await?.succeeded().await;
        Ok(())
    }

    /// Wrong passwords until one is not looked at: how many, and for which limit.
    async fn fail_on(&self, client: &str, username: &str) -> (u32, &'static str) {
        for count in 0..10_000 {
            if let Err(limit) = self.fail(client, username).await {
                return (count, limit);
            }
        }
        panic!("nothing stops {client}");
    }

    /// Wrong passwords from fresh addresses until one is not looked at.
    async fn fail_from_everywhere(&self, username: &str, from: u32) -> (u32, &'static str) {
        for count in 0..10_000 {
            if let Err(limit) = self.fail(&address(from + count), username).await {
                return (count, limit);
            }
        }
        panic!("nothing stops so many");
    }
}

/// One of 16 million of IPv4.
fn address(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("100.{a}.{b}.{c}")
}
