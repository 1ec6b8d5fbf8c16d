//! Accounts.

use jiff::Timestamp;

use super::email::Email;

/// An account's ID: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// An account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub created_at: Timestamp,
}

/// An account to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: Email,
    pub password_hash: PasswordHash,
    pub created_at: Timestamp,
}

/// The hash that verifies a login's password, and the values that its token contains.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub user_id: UserId,
    pub password_hash: PasswordHash,
    pub tokens_valid_from: TokensValidFrom,
}

/// The time before which every access token of an account is revoked. It moves forward each time
/// all tokens of the account are revoked, and never back. A new account has
/// [`TokensValidFrom::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokensValidFrom(pub Timestamp);

impl Default for TokensValidFrom {
    fn default() -> Self {
        Self(Timestamp::UNIX_EPOCH)
    }
}

/// The key under which the login failures for an e-mail are counted: a keyed hash of the e-mail,
/// also if no account has that e-mail. The key has the same length for every e-mail, and does not
/// reveal the e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey(pub i64);

/// A stored password hash: a PHC string (`$argon2id$…`) or a bcrypt string (`$2b$…`). Its content
/// is not checked, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}
