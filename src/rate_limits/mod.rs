//! Rate limits: how often a client may fail to log in or sign up, and how often an account may write.
//!
//! A login is checked before its password is verified, in this order:
//!
//! | | counts | key | limit | if reached |
//! | --- | --- | --- | --- | --- |
//! | 1 | wrong passwords, for any account | networks | `login-address`, 20/5m | 429 |
//! | 2 | failures in a row, and attempts in flight | account | `LOGIN_LOCKOUT_THRESHOLD`, 100 | *locked*: 3 applies |
//! | 3 | wrong passwords, also before the lockout | account, networks | `login-guarded`, 5/1h | 429 if locked |
//! | 4 | wrong passwords, from all networks | account | `login-account`, 300/1h | 429 unless exempt |
//! | 5 | passwords that are hashed or queued | widest network; account | an eighth of the queue | 503 if the queue is half full |
//!
//! The networks of an IPv6 client are its /64, /56 and /48 network, each with a limit of its own:
//! once, twice and four times the rate (`network.rs`). A known network of the account is exempt from
//! 4, unless it has reached 3, and only its /64 counts in 1 and 3. A network is known if the account
//! has logged in from it before. After the password was verified, the outcome counts:
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
//! A client cannot choose the key of a limit: a network comes from the connection or a trusted proxy,
//! a write counts for the account of a token that the store has accepted.
//!
//! Not here: the 429 response, see `api/error_response.rs`; the client IP behind proxies, see
//! `server/trusted_proxies.rs`.

mod hashing_shares;
mod in_flight;
mod known_networks;
mod limit;
mod login;
mod mails;
mod monotonic_clock;
mod network;
mod rate;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::user::UserId;
use crate::store::{LoginFailureStore, StoreError};

use self::hashing_shares::{HashingShares, Holder};
use self::limit::Limit;
use self::login::LoginLimits;
use self::mails::MailLimits;
use self::network::Network;

pub use hashing_shares::HashingPermit;
pub use limit::RateLimited;
pub use login::{LoginAttempt, LoginLimitError};
pub use mails::MailRates;
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
    /// Posts and votes that one account creates, changes or deletes.
    pub writes: Option<Rate>,
    /// Exports of one account.
    pub exports: Option<Rate>,
    /// Passwords that the service hashes or queues at once.
    pub hashing_capacity: u32,
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
            exports: Some(Rate::new(5, HOUR)),
            hashing_capacity: 34,
        }
    }
}

/// The name of the limit on open streams of an account. The API counts them.
pub const STREAMS_LIMIT: &str = "streams";

/// The names of all limits, as responses and the log show them.
pub const LIMIT_NAMES: [&str; 10] = [
    "login-address",
    "login-guarded",
    "login-account",
    "sign-up",
    "writes",
    "exports",
    "mail-client",
    "mail-account",
    "mail-verification",
    STREAMS_LIMIT,
];

/// All limits of a process.
#[derive(Clone, Default)]
pub struct RateLimits {
    /// `None` if these have no limits.
    limiters: Option<Arc<Limiters>>,
    /// `None` if mails have no limits.
    mails: Option<Arc<MailLimits>>,
}

struct Limiters {
    login: LoginLimits,
    sign_up: Limit<Network>,
    writes: Limit<UserId>,
    exports: Limit<UserId>,
    hashing: Arc<HashingShares>,
}

/// The bytes of a text that count as one write. A post of 2 MiB counts as 32 writes.
const BYTES_PER_WRITE: usize = 64 * 1024;

impl RateLimits {
    /// Creates limits with full quotas, without those on mails. The keys of accounts are MACs of
    /// their e-mails with `pseudonym_key`.
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
            exports: Limit::new("exports", config.exports, monotonic_clock),
            hashing: Arc::new(HashingShares::new(config.hashing_capacity)),
        };
        Self { limiters: Some(Arc::new(limiters)), mails: None }
    }

    /// Returns limits that allow everything.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Adds the limits on mails. `RATE_LIMITS=off` keeps them: they protect strangers, whose mailbox
    /// a client could fill otherwise.
    #[must_use]
    pub fn with_mails(
        self,
        rates: &MailRates,
        monotonic_clock: &Arc<dyn MonotonicClock>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        let mails = MailLimits::new(rates, monotonic_clock, pseudonym_key);
        Self { mails: Some(Arc::new(mails)), ..self }
    }

    /// Checks whether the network of the client may log in at all, before the account is looked up.
    ///
    /// # Errors
    /// [`RateLimited`] if the client has tried too many wrong passwords.
    pub fn check_login(&self, client: Option<IpAddr>) -> Result<(), RateLimited> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.login.check_network(Network::of(client))
    }

    /// Checks a login attempt before its password is verified. `user` is the account with the
    /// e-mail, if there is one. The caller must report the outcome to the returned attempt.
    ///
    /// # Errors
    /// [`LoginLimitError`] if the password must not be verified now.
    pub async fn begin_login(
        &self,
        client: Option<IpAddr>,
        username: &str,
        user: Option<UserId>,
    ) -> Result<LoginAttempt<'_>, LoginLimitError> {
        match &self.limiters {
            Some(limiters) => limiters.login.begin(Network::of(client), username, user).await,
            None => Ok(LoginAttempt::unlimited()),
        }
    }

    /// Takes a share of the hashing capacity for one password of this client, and of the account
    /// with this e-mail. Returns `None` if the queue is half full and one of the two has its share.
    #[must_use]
    pub fn hashing_permit(
        &self,
        client: Option<IpAddr>,
        username: Option<&str>,
    ) -> Option<HashingPermit> {
        let Some(limiters) = &self.limiters else { return Some(HashingPermit::unlimited()) };
        let network = Holder::Network(Network::of(client).widest());
        let account = username.map(|name| Holder::Account(limiters.login.account(name)));
        let holders: Vec<Holder> = std::iter::once(network).chain(account).collect();
        limiters.hashing.acquire(&holders)
    }

    /// Counts a sign-up.
    ///
    /// # Errors
    /// [`RateLimited`] if this client has signed up too often.
    pub fn sign_up(&self, client: Option<IpAddr>) -> Result<(), RateLimited> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        acquire_networks(&limiters.sign_up, client)
    }

    /// Takes back the count of a sign-up that failed in the service.
    pub fn refund_sign_up(&self, client: Option<IpAddr>) {
        let Some(limiters) = &self.limiters else { return };
        refund_networks(&limiters.sign_up, client);
    }

    /// Has the effect of a login with the right password: the account is no longer locked, and the
    /// network of the client becomes a known one. For an owner who proved to read the e-mail.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not clear the login failures.
    pub async fn unlock_account(
        &self,
        client: Option<IpAddr>,
        email: &str,
        user: UserId,
    ) -> Result<(), StoreError> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.login.unlock(Network::of(client), email, user).await
    }

    /// Checks whether an account may write. Counts nothing: only the store can tell whether the
    /// account accepts the token of the request.
    ///
    /// # Errors
    /// [`RateLimited`] if the account has written too much.
    pub fn check_write(&self, account: UserId) -> Result<(), RateLimited> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.writes.peek(&account)
    }

    /// Counts a write of this many bytes of text: once, and once more for each further 64 KiB that
    /// it starts. Writes in flight are not counted yet, so a burst can exceed the limit. The excess
    /// extends the wait.
    pub fn count_write(&self, account: UserId, bytes: usize) {
        let Some(limiters) = &self.limiters else { return };
        let writes = bytes.div_ceil(BYTES_PER_WRITE).max(1);
        limiters.writes.charge(account, u32::try_from(writes).unwrap_or(u32::MAX));
    }

    /// Checks whether an account may be exported. Counts nothing. Call it after the store has
    /// accepted the token.
    ///
    /// # Errors
    /// [`RateLimited`] if the account was exported too often.
    pub fn check_export(&self, account: UserId) -> Result<(), RateLimited> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        limiters.exports.peek(&account)
    }

    /// Counts an export that begins. Exports that begin at the same time can exceed the limit, and
    /// extend the wait.
    pub fn count_export(&self, account: UserId) {
        let Some(limiters) = &self.limiters else { return };
        limiters.exports.charge(account, 1);
    }
}

/// Charges the network of the client and the wider ones, or none of them.
fn acquire_networks(limit: &Limit<Network>, client: Option<IpAddr>) -> Result<(), RateLimited> {
    let networks = Network::of(client).with_wider();
    for (index, network) in networks.clone().enumerate() {
        if let Err(limited) = limit.try_acquire(network) {
            networks.take(index).for_each(|network| limit.refund(&network));
            return Err(limited);
        }
    }
    Ok(())
}

fn refund_networks(limit: &Limit<Network>, client: Option<IpAddr>) {
    Network::of(client).with_wider().for_each(|network| limit.refund(&network));
}
