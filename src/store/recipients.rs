//! The part of the storage contract about mail: recipients, and what a link in a mail changes.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::domain::caller::Caller;
use crate::domain::email::TypedEmail;
use crate::domain::recipient::Recipient;
use crate::domain::user::{PasswordHash, User, UserId};

/// Accounts as recipients of mail. A disabled or closed account does not exist for it.
#[async_trait]
pub trait RecipientStore: Send + Sync + 'static {
    /// Returns the account with the e-mail as typed, or else the account with its normal form. The
    /// work does not depend on whether there is an account.
    async fn find_recipient(&self, email: TypedEmail) -> Result<Option<Recipient>>;

    async fn find_recipient_by_id(&self, id: UserId) -> Result<Option<Recipient>>;

    /// Replaces the password, revokes all tokens, and records that the e-mail is verified, unless
    /// one of the recipient's values has changed. Returns whether the account was changed. If
    /// several calls with one recipient are concurrent, exactly one changes it.
    async fn reset_password(
        &self,
        recipient: Recipient,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<bool>;

    /// Records that the e-mail is verified, unless one of the recipient's values has changed. The
    /// time of an earlier verification stays. Returns whether the e-mail is verified now.
    async fn verify_email(&self, recipient: Recipient, now: Timestamp) -> Result<bool>;

    /// Returns the caller's own account, and when its e-mail was verified.
    async fn find_me_verified(&self, caller: Caller) -> Result<(User, Option<Timestamp>)>;
}
