//! How often somebody may do what costs others something: try passwords, sign up, write.
//!
//! [`RateLimits`] is what handlers ask; `limit` is one limit with all that is counted for it; which
//! attempts to log in are judged, and what that guarantees, is `login`'s. How many wrong passwords in a
//! row an account has had is kept by the store, for all processes that serve its database. Everything
//! else is kept in memory of bounded size, by this process for itself: several processes together let
//! through as many times more, and a restart forgets. Where something must be forgotten because too much
//! is remembered, it is what was not asked for lately.
//!
//! Not here: how a refusal reads (`http::error`), and whose address counts (`http::client`).

mod failures;
mod in_flight;
mod known_networks;
mod limit;
mod login;
mod monotonic_clock;
mod network;
mod rate;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::caller::{Caller, ValidFromRange};
use crate::domain::email::Email;
use crate::domain::user::UserId;

use self::limit::Limit;
use self::login::Logins;
use self::network::Network;

pub use failures::{LoginFailures, StoredFailures};
pub use limit::RateLimited;
pub use login::{LoginAttempt, LoginLimitError};
pub use monotonic_clock::{MonotonicClock, ProcessClock};
pub use rate::Rate;

/// What is allowed. `None` allows everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Wrong passwords from one network.
    pub login_address: Option<Rate>,
    /// Wrong passwords for one account.
    pub login_account: Option<Rate>,
    /// Wrong passwords from one network for an account that is guarded.
    pub login_guarded: Option<Rate>,
    /// Wrong passwords in a row after which an account is guarded.
    pub login_max_failures: u32,
    /// New accounts from one network.
    pub sign_up: Option<Rate>,
    /// Posts and votes that one caller writes or deletes.
    pub writes: Option<Rate>,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        const HOUR: Duration = Duration::from_hours(1);
        Self {
            login_address: Some(Rate::new(20, Duration::from_mins(5))),
            login_account: Some(Rate::new(300, HOUR)),
            login_guarded: Some(Rate::new(5, HOUR)),
            login_max_failures: 100,
            sign_up: Some(Rate::new(60, HOUR)),
            writes: Some(Rate::new(1000, MINUTE)),
        }
    }
}

/// What has been done lately, and what may still be.
#[derive(Clone, Default)]
pub struct RateLimits {
    /// `None` limits nothing.
    kept: Option<Arc<Limiters>>,
}

struct Limiters {
    logins: Logins,
    sign_up: Limit<Network>,
    writes: Limit<(UserId, ValidFromRange)>,
}

impl RateLimits {
    #[must_use]
    pub fn new(
        rates: &RateLimitConfig,
        monotonic_clock: &Arc<dyn MonotonicClock>,
        failures: Arc<dyn LoginFailures>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        let kept = Limiters {
            logins: Logins::new(rates, monotonic_clock, failures, pseudonym_key),
            sign_up: Limit::new("sign-up", rates.sign_up, monotonic_clock),
            writes: Limit::new("writes", rates.writes, monotonic_clock),
        };
        Self { kept: Some(Arc::new(kept)) }
    }

    /// Limits nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Judges an attempt to log in, before its password is looked at. What became of it must be told
    /// to the attempt.
    ///
    /// # Errors
    /// [`LoginLimitError`] if the password must not be looked at now.
    pub async fn begin_login(
        &self,
        client: Option<IpAddr>,
        username: &str,
    ) -> Result<LoginAttempt<'_>, LoginLimitError> {
        match &self.kept {
            Some(kept) => kept.logins.begin(Network::of(client), username).await,
            None => Ok(LoginAttempt::unlimited()),
        }
    }

    /// The account goes by another address now: where it is known from goes with it.
    pub fn rename_account(&self, old: &Email, new: &Email) {
        if let Some(kept) = &self.kept {
            kept.logins.rename(old, new);
        }
    }

    /// # Errors
    /// [`RateLimited`] if this client has signed up too often.
    pub fn sign_up(&self, client: Option<IpAddr>) -> Result<(), RateLimited> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.sign_up.take(Network::of(client)))
    }

    /// # Errors
    /// [`RateLimited`] if this caller has written too often.
    pub fn write(&self, caller: Caller) -> Result<(), RateLimited> {
        // A token that was ended takes nothing from those that came after it.
        let key = (caller.user_id, caller.valid_from_range);
        self.kept.as_ref().map_or(Ok(()), |kept| kept.writes.take(key))
    }
}
