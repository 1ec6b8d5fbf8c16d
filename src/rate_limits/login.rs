//! Limits on wrong passwords. They are checked before a password is verified. The table in `mod.rs`
//! shows how they combine.
//!
//! Only wrong passwords count, and only after verification. The key of an account is derived from
//! the e-mail in the request, whether or not an account has this e-mail. So no limit reveals which
//! accounts exist. A right password clears the failures of the account. It also makes the network
//! of the client a *known network* of the account.
//!
//! With the defaults this guarantees:
//!
//! - One network can try 20 passwords for all accounts together, and one more every 15 seconds. An
//!   IPv6 network of 56 bits has twice as many, one of 48 bits four times as many.
//! - For one account 100 wrong passwords in a row are allowed. After that each network has 5
//!   attempts, and one more every 12 minutes, or two or four times as many. All networks together
//!   have at most 300 attempts, and one more every 12 seconds, even if an attacker has any number
//!   of IPs.
//! - An attacker cannot lock the owner out of a known network of the account, unless the attack
//!   comes from that network itself. Then the owner has one attempt every 12 minutes. From any
//!   other network the right password works unless `login-account` is reached, or a wider network
//!   around it has reached a limit.
//!
//! Gaps:
//!
//! - An attacker with a dozen /48 networks or 45 IPv4 addresses can lock the owner out of networks
//!   that are not known. Only verification distinguishes a right password from a wrong one, and
//!   verifying every password would be no limit.
//! - If an attacker tries many accounts once each, from many IPs, only the hashing capacity is a
//!   limit.
//! - Attempts in flight are checked before any of them is charged. A burst can therefore exceed a
//!   limit by the number of attempts that are hashed or queued. The next attempt then waits that
//!   much longer.
//! - If an account is no longer locked, an attacker learns that a login to it has succeeded.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::in_flight::{InFlightAttempts, InFlightGuard};
use super::known_networks::KnownNetworks;
use super::limit::{Limit, RateLimited};
use super::network::Network;
use super::{MonotonicClock, RateLimitConfig};
use crate::clock::Clock;
use crate::domain::email::Email;
use crate::domain::user::{AccountKey, UserId};
use crate::error_chain::error_chain;
use crate::store::{LoginFailureStore, StoreError};

/// Why a password is not verified.
#[derive(Debug)]
pub enum LoginLimitError {
    RateLimited(RateLimited),
    /// The store could not count the account's failures.
    Store(StoreError),
}

pub(super) struct LoginLimits {
    by_network: Limit<Network>,
    by_account: Limit<AccountKey>,
    while_locked: Limit<(AccountKey, Network)>,
    known_networks: KnownNetworks,
    /// Consecutive failures per account. They are in the store because all processes share them and a
    /// restart must not lose them.
    failures: Arc<dyn LoginFailureStore>,
    clock: Arc<dyn Clock>,
    lockout_threshold: u32,
    in_flight: InFlightAttempts,
    pseudonym_key: [u8; 32],
}

impl LoginLimits {
    pub(super) fn new(
        config: &RateLimitConfig,
        monotonic_clock: &Arc<dyn MonotonicClock>,
        failures: Arc<dyn LoginFailureStore>,
        clock: Arc<dyn Clock>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        // The names are visible to clients, so they cannot change.
        Self {
            by_network: Limit::new("login-address", config.login_ip, monotonic_clock),
            by_account: Limit::new("login-account", config.login_account, monotonic_clock),
            while_locked: Limit::new("login-guarded", config.login_locked, monotonic_clock),
            known_networks: KnownNetworks::default(),
            failures,
            clock,
            lockout_threshold: config.login_lockout_threshold,
            in_flight: InFlightAttempts::default(),
            pseudonym_key,
        }
    }

    pub(super) fn check_network(&self, network: Network) -> Result<(), RateLimited> {
        self.by_network.peek(&network)
    }

    pub(super) async fn begin(
        &self,
        network: Network,
        username: &str,
        user: Option<UserId>,
    ) -> Result<LoginAttempt<'_>, LoginLimitError> {
        let is_known = user.is_some_and(|user| self.known_networks.is_known(user, network));
        // Others in a wider network cannot lock the owner out of a known one.
        let checked = network.with_wider().take(if is_known { 1 } else { usize::MAX });
        for network in checked.clone() {
            self.by_network.peek(&network).map_err(LoginLimitError::RateLimited)?;
        }
        let account = self.account(username);
        let in_flight = self.in_flight.start(account);
        let counted = self.failures.count_login_failures(account, self.clock.now()).await;
        let failures = counted.map_err(LoginLimitError::Store)?;
        let while_locked =
            checked.clone().try_for_each(|network| self.while_locked.peek(&(account, network)));
        let has_attempt_left = while_locked.is_ok();
        if failures.saturating_add(in_flight.others) >= self.lockout_threshold {
            while_locked.map_err(LoginLimitError::RateLimited)?;
        }
        // A known network without attempts left counts as unknown.
        let is_known = has_attempt_left && is_known;
        if !is_known {
            self.by_account.peek(&account).map_err(LoginLimitError::RateLimited)?;
        }
        let has_attempt_left =
            |network: &Network| self.while_locked.peek(&(account, *network)).is_ok();
        let charged_while_locked = network.with_wider().filter(has_attempt_left).collect();
        let limits = self;
        let pending = PendingAttempt {
            limits,
            in_flight,
            network,
            user,
            failures,
            charged_while_locked,
            is_known,
        };
        Ok(LoginAttempt { pending: Some(pending) })
    }

    /// Clears the failures of the account, and makes the network a known one.
    pub(super) async fn unlock(
        &self,
        network: Network,
        username: &str,
        user: UserId,
    ) -> Result<(), StoreError> {
        let account = self.account(username);
        self.known_networks.add(user, network);
        self.while_locked.reset(&(account, network));
        self.failures.clear_login_failures(account).await
    }

    pub(super) fn account(&self, username: &str) -> AccountKey {
        account_key(&self.pseudonym_key, username)
    }
}

/// Returns the key of the account with this e-mail: that of the normal form, so that several
/// spellings share one limit. A text that is not an e-mail has a key too.
///
/// A key is 64 bits of a MAC. Among a billion accounts the probability that any two share a key is
/// 3 %.
pub(super) fn account_key(pseudonym_key: &[u8; 32], username: &str) -> AccountKey {
    let normal = Email::parse(username);
    let text = normal.as_ref().map_or(username, Email::as_str);
    // Padded with zeros to a SHA-256 block.
    let mut block = [0; 64];
    for (padded, byte) in block.iter_mut().zip(pseudonym_key) {
        *padded = *byte;
    }
    let mac = Hmac::<Sha256>::new(&block.into()).chain_update(text).finalize();
    let bytes = mac.into_bytes();
    AccountKey(bytes.first_chunk().map_or(0, |first| i64::from_be_bytes(*first)))
}

/// An attempt whose password may be verified. Report its outcome with one of the methods. If it is
/// dropped without an outcome, the client has disconnected. The work was done, so the attempt
/// counts against its network.
#[must_use]
pub struct LoginAttempt<'a> {
    /// `None` if the outcome was reported, or no limit applies.
    pending: Option<PendingAttempt<'a>>,
}

struct PendingAttempt<'a> {
    limits: &'a LoginLimits,
    in_flight: InFlightGuard<'a>,
    network: Network,
    /// The account, if one has the e-mail.
    user: Option<UserId>,
    /// Consecutive failures of the account before this attempt.
    failures: u32,
    /// The networks to which `while_locked` allows the attempt.
    charged_while_locked: Vec<Network>,
    /// Whether the network is exempt from `by_account`.
    is_known: bool,
}

impl LoginAttempt<'_> {
    /// Returns an attempt without limits.
    pub(super) fn unlimited() -> Self {
        Self { pending: None }
    }

    /// Reports a wrong password.
    ///
    /// # Errors
    /// [`StoreError`] if the store could not record the failure. Then the client must not learn
    /// that the password was wrong.
    pub async fn failed(mut self) -> Result<(), StoreError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let PendingAttempt { limits, in_flight, charged_while_locked, is_known, .. } = &pending;
        let account = in_flight.account;
        pending.charge_networks();
        for network in charged_while_locked {
            limits.while_locked.charge((account, *network), 1);
        }
        if !is_known {
            limits.by_account.charge(account, 1);
        }
        limits.failures.record_login_failure(account, limits.clock.now()).await
    }

    /// Reports a right password. The login succeeds even if the store cannot clear the earlier
    /// failures.
    pub async fn succeeded(mut self) {
        let Some(PendingAttempt { limits, in_flight, network, user, failures, .. }) =
            self.pending.take()
        else {
            return;
        };
        let account = in_flight.account;
        if let Some(user) = user {
            limits.known_networks.add(user, network);
        }
        limits.while_locked.reset(&(account, network));
        if failures == 0 {
            return;
        }
        if let Err(error) = limits.failures.clear_login_failures(account).await {
            tracing::warn!(error = error_chain(&error), "login failures not cleared");
        }
    }

    /// Reports that the service failed to verify the password. The attempt does not count.
    pub fn undecided(mut self) {
        self.pending = None;
    }
}

impl Drop for LoginAttempt<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.charge_networks();
        }
    }
}

impl PendingAttempt<'_> {
    fn charge_networks(&self) {
        for network in self.network.with_wider() {
            self.limits.by_network.charge(network, 1);
        }
    }
}
