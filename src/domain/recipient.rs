//! An account as the recipient of a mail.

use super::email::Email;
use super::user::Credentials;

/// The e-mail of an account, and the values that a link in a mail depends on. Each of them makes
/// the link invalid when it changes.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub email: Email,
    pub credentials: Credentials,
}
