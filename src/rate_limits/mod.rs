//! How often a client may fail to log in or sign up, and an account may write.
//!
//! A login is checked before its password is verified, in this order:
//!
//! | | counts | key | limit | if reached |
//! | --- | --- | --- | --- | --- |
//! | 1 | wrong passwords, at any account | network | `login-address`, 20/5m | 429 |
//! | 2 | failures in a row, and attempts in flight | account | `LOGIN_LOCKOUT_THRESHOLD`, 100 | *locked*: 3 applies |
//! | 3 | wrong passwords, also before the lockout | account, network | `login-guarded`, 5/1h | 429 if locked |
//! | 4 | wrong passwords, from all networks | account | `login-account`, 300/1h | 429 unless exempt |
//!
//! Exempt from 4 is a network that the account is known from, as long as it has not reached 3.
//! The outcome counts after the password was verified:
//!
//! | outcome | effect |
//! | --- | --- |
//! | wrong password | charges 1, charges 3 unless it is reached, charges 4 unless exempt; adds a failure to 2 |
//! | right password | clears 2, resets 3; the account is known from the network |
//! | our fault | none |
//! | client disconnects | charges 1 |
//!
//! 100 failures in a row are the bound of NIST SP 800-63B, 5.2.2. Locking is a soft lockout: each
//! network keeps a few attempts, and a login unlocks the account. `login.rs` says what the limits
//! guarantee, `limit.rs` is one limit.
//!
//! The store keeps the failures in a row, for all processes of its database. All other state is in
//! bounded memory: a process does not share it, and a restart forgets it. If the memory is full,
//! keys without recent use are evicted.
//!
//! Not here: the 429 response, and how the client IP is found behind proxies.

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

use crate::clock::Clock;
use crate::domain::caller::{Caller, ValidFromRange};
use crate::domain::email::Email;
use crate::domain::user::UserId;
use crate::store::LoginFailureStore;

use self::limit::Limit;
use self::login::LoginLimits;
use self::network::Network;

pub use limit::RateLimited;
pub use login::{LoginAttempt, LoginLimitError};
pub use monotonic_clock::{MonotonicClock, ProcessClock};
pub use rate::Rate;

/// The rates of all limits. `None` removes a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Wrong passwords from one network.
    pub login_ip: Option<Rate>,
    /// Wrong passwords at one account.
    pub login_account: Option<Rate>,
    /// Wrong passwords from one network at a locked account.
    pub login_locked: Option<Rate>,
    /// Failures in a row that lock an account.
    pub login_lockout_threshold: u32,
    /// Sign-ups and changes of e-mail from one network.
    pub sign_up: Option<Rate>,
    /// Posts and votes that one caller creates, changes or deletes.
    pub writes: Option<Rate>,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        const HOUR: Duration = Duration::from_hours(1);
        Self {
            login_ip: Some(Rate::new(20, Duration::from_mins(5))),
            login_account: Some(Rate::new(300, HOUR)),
            login_locked: Some(Rate::new(5, HOUR)),
            login_lockout_threshold: 100,
            sign_up: Some(Rate::new(60, HOUR)),
            writes: Some(Rate::new(1000, MINUTE)),
        }
    }
}

/// All limits of a process.
#[derive(Clone, Default)]
pub struct RateLimits {
    /// `None` limits nothing.
    limiters: Option<Arc<Limiters>>,
}

struct Limiters {
    login: LoginLimits,
    sign_up: Limit<Network>,
    writes: Limit<(UserId, ValidFromRange)>,
}

impl RateLimits {
    /// `pseudonym_key` makes the keys of accounts from their e-mails.
    #[must_use]
    pub fn new(
        config: &RateLimitConfig,
        monotonic_clock: &Arc<dyn MonotonicClock>,
        failures: Arc<dyn LoginFailureStore>,
        clock: Arc<dyn Clock>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        let limiters = Limiters {
            login: LoginLimits::new(config, monotonic_clock, failures, clock, pseudonym_key),
            sign_up: Limit::new("sign-up", config.sign_up, monotonic_clock),
            writes: Limit::new("writes", config.writes, monotonic_clock),
        };
        Self { limiters: Some(Arc::new(limiters)) }
    }

    /// Limits nothing (`RATE_LIMITS=off`).
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Checks an attempt to log in, before its password is verified. The caller reports the outcome
    /// to the returned attempt.
    ///
    /// # Errors
    /// [`LoginLimitError`] if the password must not be verified now.
    pub async fn begin_login(
        &self,
        client: Option<IpAddr>,
        username: &str,
    ) -> Result<LoginAttempt<'_>, LoginLimitError> {
        match &self.limiters {
            Some(limiters) => limiters.login.begin(Network::of(client), username).await,
            None => Ok(LoginAttempt::unlimited()),
        }
    }

    /// Keeps an account known from its networks when its e-mail changes.
    pub fn rename_account(&self, old: &Email, new: &Email) {
        if let Some(limiters) = &self.limiters {
            limiters.login.rename(old, new);
        }
    }

    /// Counts a sign-up.
    ///
    /// # Errors
    /// [`RateLimited`] if this client has signed up too often.
    pub fn sign_up(&self, client: Option<IpAddr>) -> Result<(), RateLimited> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.sign_up.try_acquire(Network::of(client))
    }

    /// Counts a write.
    ///
    /// # Errors
    /// [`RateLimited`] if this caller has written too often.
    pub fn write(&self, caller: Caller) -> Result<(), RateLimited> {
        // A revoked token does not use up the limit of the tokens that came after it.
        let key = (caller.user_id, caller.valid_from_range);
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.writes.try_acquire(key)
    }
}
