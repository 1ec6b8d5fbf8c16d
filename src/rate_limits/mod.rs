//! Rate limits: how often a client may fail to log in or sign up, and how often an account may write.
//!
//! A login is checked before its password is verified, in this order:
//!
//! | | counts | key | limit | if reached |
//! | --- | --- | --- | --- | --- |
//! | 1 | wrong passwords, for any account | network | `login-address`, 20/5m | 429 |
//! | 2 | failures in a row, and attempts in flight | account | `LOGIN_LOCKOUT_THRESHOLD`, 100 | *locked*: 3 applies |
//! | 3 | wrong passwords, also before the lockout | account, network | `login-guarded`, 5/1h | 429 if locked |
//! | 4 | wrong passwords, from all networks | account | `login-account`, 300/1h | 429 unless exempt |
//!
//! A known network of the account is exempt from 4, unless it has reached 3. A network is known if
//! the account has logged in from it before. After the password was verified, the outcome counts:
//!
//! | outcome | effect |
//! | --- | --- |
//! | wrong password | charges 1, charges 3 unless it is reached, charges 4 unless exempt; adds a failure to 2 |
//! | right password | clears 2, resets 3; the network becomes a known network of the account |
//! | failure of this service | none |
//! | client disconnects | charges 1 |
//!
//! 100 failures in a row are the maximum of NIST SP 800-63B, 5.2.2. The lockout is soft: each
//! network still has a few attempts, and a login unlocks the account. `login.rs` lists what the
//! limits guarantee; `limit.rs` implements one limit.
//!
//! The store keeps the failures in a row, so all processes with the same database share them. All
//! other state is in the bounded memory of one process, and a restart loses it. If the memory is
//! full, keys without recent use are evicted.
//!
//! Not here: the 429 response, see `api/error_response.rs`; the client IP behind proxies, see
//! `server/trusted_proxies.rs`.

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

use jiff::Timestamp;

use crate::clock::Clock;
use crate::domain::caller::Caller;
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
    /// Wrong passwords for one account.
    pub login_account: Option<Rate>,
    /// Wrong passwords from one network for a locked account.
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
    /// `None` if there are no limits.
    limiters: Option<Arc<Limiters>>,
}

struct Limiters {
    login: LoginLimits,
    sign_up: Limit<Network>,
    writes: Limit<(UserId, Timestamp)>,
}

impl RateLimits {
    /// Creates limits with full quotas. The keys of accounts are MACs of their e-mails with
    /// `pseudonym_key`.
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

    /// Returns limits that allow everything (`RATE_LIMITS=off`).
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Checks a login attempt before its password is verified. The caller must report the outcome
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

    /// Keeps the known networks of an account when its e-mail changes.
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
        // The latest value is part of the key, so that revoked tokens do not use up the limit of
        // newer tokens. The earliest depends on when a token was issued, so it is not.
        let key = (caller.user_id, caller.valid_from_range.latest());
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.writes.try_acquire(key)
    }
}
