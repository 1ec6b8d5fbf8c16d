//! Which attempts to log in are refused before their password is looked at.
//!
//! Only wrong passwords count. They are counted after they were found wrong: for the client's network,
//! for the account (by the address that was typed, whether it exists or not, so that nobody learns
//! which do), and for both together. A right password counts for nothing, ends the account's failures,
//! and makes its network one that the account is *known* from.
//!
//! An account with `LOGIN_LOCKOUT_THRESHOLD` failures in a row (100: NIST SP 800-63B, 5.2.2) is *guarded*
//! until somebody logs in to it: a network then has as many tries as `RATE_LIMIT_LOGIN_LOCKED` says,
//! and those in which it failed before count. So an attempt is refused
//!
//! 1. if its network has failed too often lately, at whatever account;
//! 2. if the account is guarded and the network has no try left for it;
//! 3. if the account has been failed at too often lately, from wherever, unless it is known from the
//!    network.
//!
//! What that guarantees, with the defaults:
//!
//! - One network tries 20 passwords, and one more every 15 seconds, whatever the accounts.
//! - One account is tried with 100 passwords in a row. After that each network has 5 tries and one more
//!   every 12 minutes, and all of them together never more than 300 and one more every 12 seconds:
//!   however many addresses there are, and however little is left of them elsewhere.
//! - Nobody locks the owner out of a network that they have logged in from, unless by failing from that
//!   very network; then there is a try every 12 minutes. From any other network the right password
//!   opens the account as long as the third rule does not refuse.
//!
//! What it does not:
//!
//! - Whoever fails from some hundred fresh networks an hour keeps the owner out of networks that the
//!   account is not known from. A right password cannot be told from a wrong one without looking at it,
//!   and looking at all of them would be no limit.
//! - Many accounts tried once each from many addresses are bounded by the hashing alone.
//! - What is hashed at the same moment is judged before any of it is counted: bursts may be as many
//!   longer as are hashed or wait for it. They are paid for: the next try comes that much later.
//! - That a guarded account is not guarded any more shows that somebody has logged in to it.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::failures::LoginFailures;
use super::in_flight::{InFlightGuard, UnderWay};
use super::known_networks::KnownNetworks;
use super::limit::{Limit, RateLimited};
use super::network::Network;
use super::{MonotonicClock, RateLimitConfig};
use crate::domain::email::Email;
use crate::domain::user::AccountKey;
use crate::error_chain::error_chain;
use crate::store::StoreError;

/// Why a password is not looked at.
#[derive(Debug)]
pub enum LoginLimitError {
    RateLimited(RateLimited),
    /// Whether it may be is not known.
    Store(StoreError),
}

pub(super) struct Logins {
    by_network: Limit<Network>,
    by_account: Limit<AccountKey>,
    tries: Limit<(AccountKey, Network)>,
    known: KnownNetworks,
    failures: Arc<dyn LoginFailures>,
    most_failures: u32,
    under_way: UnderWay,
    /// Filled up with zeros to a block of SHA-256.
    pseudonym_key: [u8; 64],
}

impl Logins {
    pub(super) fn new(
        rates: &RateLimitConfig,
        stopwatch: &Arc<dyn MonotonicClock>,
        failures: Arc<dyn LoginFailures>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        let mut block = [0; 64];
        for (byte, of_key) in block.iter_mut().zip(pseudonym_key) {
            *byte = of_key;
        }
        Self {
            by_network: Limit::new("login-address", rates.login_address, stopwatch),
            by_account: Limit::new("login-account", rates.login_account, stopwatch),
            tries: Limit::new("login-guarded", rates.login_guarded, stopwatch),
            known: KnownNetworks::default(),
            failures,
            most_failures: rates.login_max_failures,
            under_way: UnderWay::default(),
            pseudonym_key: block,
        }
    }

    pub(super) async fn begin(
        &self,
        network: Network,
        username: &str,
    ) -> Result<LoginAttempt<'_>, LoginLimitError> {
        self.by_network.look(&network).map_err(LoginLimitError::RateLimited)?;
        let account = self.account(username);
        let begun = self.under_way.begin(account);
        let failed = self.failures.count_login_failures(account).await;
        let failures = failed.map_err(LoginLimitError::Store)?;
        let tries = self.tries.look(&(account, network));
        if failures.saturating_add(begun.others) >= self.most_failures {
            tries.map_err(LoginLimitError::RateLimited)?;
        }
        let is_known = tries.is_ok() && self.known.is_known(account, network);
        if !is_known {
            self.by_account.look(&account).map_err(LoginLimitError::RateLimited)?;
        }
        let has_try = tries.is_ok();
        let judged = PendingAttempt { logins: self, begun, network, failures, has_try, is_known };
        Ok(LoginAttempt { judged: Some(judged) })
    }

    /// The account of the one address has the other from now on.
    pub(super) fn rename(&self, old: &Email, new: &Email) {
        self.known.rename(self.key(old.as_str()), self.key(new.as_str()));
    }

    /// The key of the account that sign-up would make of this address. What is no address has one too.
    fn account(&self, username: &str) -> AccountKey {
        Email::parse(username).map_or_else(|_| self.key(username), |email| self.key(email.as_str()))
    }

    /// 64 of a MAC's bits: by chance no two of a billion accounts share them with any likelihood.
    fn key(&self, text: &str) -> AccountKey {
        let mac = Hmac::<Sha256>::new(&self.pseudonym_key.into()).chain_update(text).finalize();
        let bytes = mac.into_bytes();
        AccountKey(bytes.first_chunk().map_or(0, |first| i64::from_be_bytes(*first)))
    }
}

/// An attempt whose password may be looked at. If nothing is told of it, its client has left; the
/// work was done, and counts for the network.
#[must_use]
pub struct LoginAttempt<'a> {
    /// `None` once it was told what became of it.
    judged: Option<PendingAttempt<'a>>,
}

struct PendingAttempt<'a> {
    logins: &'a Logins,
    begun: InFlightGuard<'a>,
    network: Network,
    failures: u32,
    has_try: bool,
    is_known: bool,
}

impl LoginAttempt<'_> {
    /// One that is not counted.
    pub(super) fn unlimited() -> Self {
        Self { judged: None }
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// If that could not be recorded. The client must not learn then that it was.
    pub async fn failed(mut self) -> Result<(), StoreError> {
        let Some(PendingAttempt { logins, begun, network, has_try, is_known, .. }) =
            self.judged.take()
        else {
            return Ok(());
        };
        let account = begun.account;
        logins.by_network.charge(network);
        if has_try {
            logins.tries.charge((account, network));
        }
        if !is_known {
            logins.by_account.charge(account);
        }
        logins.failures.record_login_failure(account).await
    }

    /// The password was right. The login stands even if the failures before it cannot be cleared.
    pub async fn succeeded(mut self) {
        let Some(PendingAttempt { logins, begun, network, failures, .. }) = self.judged.take()
        else {
            return;
        };
        let account = begun.account;
        logins.known.add(account, network);
        logins.tries.forget(&(account, network));
        if failures == 0 {
            return;
        }
        if let Err(error) = logins.failures.clear_login_failures(account).await {
            tracing::warn!(
                error = error_chain(&error),
                "the failures before a login could not be cleared"
            );
        }
    }

    /// Nobody knows whether it was right: the fault is ours.
    pub fn undecided(mut self) {
        self.judged = None;
    }
}

impl Drop for LoginAttempt<'_> {
    fn drop(&mut self) {
        if let Some(judged) = self.judged.take() {
            judged.logins.by_network.charge(judged.network);
        }
    }
}
