//! The limits on mails.
//!
//! | | counts | key | limit | if reached |
//! | --- | --- | --- | --- | --- |
//! | 1 | requests for a reset or a verification | networks | `mail-client`, 20/1h | 429 |
//! | 2 | requests for a reset | e-mail | `mail-account`, 3/1h | 429 |
//! | 3 | all other mails to an e-mail | e-mail | `mail-verification`, 3/1h | 429 if the owner asked, else no mail |
//!
//! Anyone can ask for a reset, so the answer must not tell whether the e-mail has an account. That is
//! why 2 counts nothing else: the mail after a sign-up shows only in 3, whose 429 needs a token of
//! the account. Both together bound the mails to one e-mail. No limit applies to the notice that
//! a verified e-mail was replaced: a thief could exhaust it first, and so suppress the notice.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::limit::{Limit, RateLimited};
use super::login::account_key;
use super::monotonic_clock::MonotonicClock;
use super::network::Network;
use super::rate::Rate;
use super::{RateLimits, acquire_networks, refund_networks};
use crate::domain::user::AccountKey;

/// The rates of the limits on mails. `None` removes a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailRates {
    /// Mails that one network asks for.
    pub client: Option<Rate>,
    /// Mails with a reset to one e-mail, and as many others.
    pub account: Option<Rate>,
}

impl Default for MailRates {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_hours(1);
        Self { client: Some(Rate::new(20, HOUR)), account: Some(Rate::new(3, HOUR)) }
    }
}

pub(super) struct MailLimits {
    clients: Limit<Network>,
    resets: Limit<AccountKey>,
    others: Limit<AccountKey>,
    pseudonym_key: [u8; 32],
}

impl MailLimits {
    pub(super) fn new(
        rates: &MailRates,
        clock: &Arc<dyn MonotonicClock>,
        pseudonym_key: [u8; 32],
    ) -> Self {
        Self {
            clients: Limit::new("mail-client", rates.client, clock),
            resets: Limit::new("mail-account", rates.account, clock),
            others: Limit::new("mail-verification", rates.account, clock),
            pseudonym_key,
        }
    }

    fn request(
        &self,
        client: Option<IpAddr>,
        email: &str,
        limit: &Limit<AccountKey>,
    ) -> Result<(), RateLimited> {
        acquire_networks(&self.clients, client)?;
        let acquired = limit.try_acquire(self.account(email));
        acquired.inspect_err(|_| refund_networks(&self.clients, client))
    }

    fn account(&self, email: &str) -> AccountKey {
        account_key(&self.pseudonym_key, email)
    }
}

impl RateLimits {
    /// Counts a reset that this client asks for. Counts it the same if the e-mail has no account.
    ///
    /// # Errors
    /// [`RateLimited`] if the client has asked, or the e-mail was asked for, too often.
    pub fn request_reset(&self, client: Option<IpAddr>, email: &str) -> Result<(), RateLimited> {
        let Some(mails) = &self.mails else { return Ok(()) };
        mails.request(client, email, &mails.resets)
    }

    /// Counts a verification that the owner of the account with this e-mail asks for.
    ///
    /// # Errors
    /// [`RateLimited`] if the client has asked too often, or the e-mail got too many mails.
    pub fn request_verification(
        &self,
        client: Option<IpAddr>,
        email: &str,
    ) -> Result<(), RateLimited> {
        let Some(mails) = &self.mails else { return Ok(()) };
        mails.request(client, email, &mails.others)
    }

    /// Counts a mail to this e-mail that the service sends by itself.
    ///
    /// # Errors
    /// [`RateLimited`] if the e-mail got too many mails.
    pub fn send_unasked_mail(&self, email: &str) -> Result<(), RateLimited> {
        let Some(mails) = &self.mails else { return Ok(()) };
        mails.others.try_acquire(mails.account(email))
    }
}
