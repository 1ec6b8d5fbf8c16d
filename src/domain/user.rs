//! Accounts.

use jiff::Timestamp;

use super::email::Email;

/// The number of an account: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// An account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub created_at: Timestamp,
}

/// An account that is about to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: Email,
    pub password_hash: PasswordHash,
    pub created_at: Timestamp,
}

/// What a login is checked against, and what its token is to say.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub user_id: UserId,
    pub password_hash: PasswordHash,
    pub tokens_valid_from: TokensValidFrom,
}

/// The mark of an account from which on its tokens are valid. It moves, and only ever forwards, when
/// all of them are to end. An account begins with [`TokensValidFrom::default`], which says that it never
/// has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokensValidFrom(pub Timestamp);

impl Default for TokensValidFrom {
    fn default() -> Self {
        Self(Timestamp::UNIX_EPOCH)
    }
}

/// Stands for an account, whether it exists or not: a hash, with a secret key, of the address that
/// somebody wants to log in with. It is as short for long addresses as for short ones, and nobody
/// learns the address from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey(pub i64);

/// A password hash as it is stored: a PHC string (`$argon2id$…`) or bcrypt's (`$2b$…`).
/// Nothing is known about its contents; `Debug` does not show it.
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
