//! The rules that the operator chooses. The defaults are secure; [`Policy::reference`] has those of
//! the reference service.

use jiff::{SignedDuration, Timestamp};

/// The callers that can see a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftVisibility {
    /// Only its owner; for all others the draft does not exist.
    Private,
    /// All callers, as if the draft were published.
    Visible,
}

/// The rules for new passwords. Existing passwords stay valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// In characters (Unicode scalar values); 0 accepts any length.
    pub minimum_length: usize,
    /// Whether common passwords are rejected (OWASP ASVS 5.0, 6.2.4).
    pub blocklist: bool,
    /// Words that no password may contain, case folded: words that attackers of this operator guess
    /// first, such as its name (OWASP ASVS 5.0, 6.1.2).
    pub forbidden_words: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub draft_visibility: DraftVisibility,
    /// Posts in a list without `limit`. `None` returns all posts, and also removes the
    /// maximum of `limit`.
    pub posts_default_limit: Option<u32>,
    /// Whether all callers can read the e-mails of all users.
    pub public_emails: bool,
    /// Whether a client without a token can list and read published posts.
    pub anonymous_reads: bool,
    pub passwords: PasswordRules,
    /// Whether deleting an account requires its password.
    pub delete_requires_password: bool,
    pub sessions: SessionTimeouts,
}

/// Timeouts of a session with a refresh token (OWASP ASVS 5.0, 7.3.1 and 7.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// The session ends after this time without a refresh.
    pub idle: SignedDuration,
    /// The session ends after this time in any case.
    pub absolute: SignedDuration,
}

impl Default for SessionTimeouts {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { idle: days(30), absolute: days(365) }
    }
}

impl Policy {
    /// Returns the rules of the reference service (`COMPAT=reference`).
    #[must_use]
    pub fn reference() -> Self {
        Self {
            draft_visibility: DraftVisibility::Visible,
            posts_default_limit: None,
            public_emails: true,
            anonymous_reads: false,
            passwords: PasswordRules {
                minimum_length: 0,
                blocklist: false,
                forbidden_words: Vec::new(),
            },
            delete_requires_password: false,
            sessions: SessionTimeouts::default(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            draft_visibility: DraftVisibility::Private,
            posts_default_limit: Some(100),
            public_emails: false,
            anonymous_reads: false,
            passwords: PasswordRules {
                minimum_length: 8,
                blocklist: true,
                forbidden_words: Vec::new(),
            },
            delete_requires_password: false,
            sessions: SessionTimeouts::default(),
        }
    }
}

/// Up to this many consecutive login failures are forgotten after one day, and more after 30 days.
/// A few guesses for each of many e-mails therefore do not fill the table.
pub const FEW_LOGIN_FAILURES: u32 = 9;

/// Maximum number of expired rows that each recorded failure deletes. A failure adds at most one
/// row, so expired rows do not accumulate.
pub const EXPIRED_FAILURES_DELETED: u32 = 4;

/// Returns when the login failures of an account are forgotten if no further one follows.
#[must_use]
pub fn login_failures_forgotten_at(failures: u32, now: Timestamp) -> Timestamp {
    let days = if failures <= FEW_LOGIN_FAILURES { 1 } else { 30 };
    now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}
