//! Accounts.

use jiff::{SignedDuration, Timestamp};

use super::display_name::DisplayName;
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
    pub name: Option<DisplayName>,
}

/// An account as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: User,
    /// When an operator disabled the account. `None` if it is not disabled.
    pub disabled_at: Option<Timestamp>,
    /// Whether the account may read the administration.
    pub is_admin: bool,
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

/// A value of an account that decides which access tokens it accepts
/// ([`crate::domain::caller::ValidFromRange`]). The value only increases.
///
/// After 1970: the time before which every token of the account is revoked. Before 1970: the tokens
/// were never revoked, and the account was created as long after 1970 as the value is before it
/// ([`TokensValidFrom::of_new_account`]). An account that was created without such a value, by the
/// reference service or an earlier release, has 1970 ([`TokensValidFrom::default`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokensValidFrom(pub Timestamp);

impl TokensValidFrom {
    /// Returns the value of an account that is created at this time, in whole seconds. A later
    /// creation has a smaller value, so the first revocation, which is after 1970, exceeds each.
    #[must_use]
    pub fn of_new_account(created_at: Timestamp) -> Self {
        // The year 3938. The mirrored time is the first of the years that the stores can read.
        const MAX_SECONDS: i64 = 62_135_596_800;
        let seconds = created_at.as_second().clamp(0, MAX_SECONDS);
        Self(Timestamp::from_second(-seconds).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Returns the value of an account whose tokens are revoked at this time: after 1970, also if
    /// the clock is wrong.
    #[must_use]
    pub fn revoked_at(now: Timestamp) -> Self {
        let earliest = Timestamp::UNIX_EPOCH + SignedDuration::from_micros(1);
        Self(now.max(earliest))
    }
}

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
