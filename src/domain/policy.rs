//! The rules that an operator may choose. The defaults are the secure ones; [`Policy::reference`]
//! is what clients of the reference are used to.

use jiff::SignedDuration;

/// Who sees a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftVisibility {
    /// Its owner alone: to everybody else it does not exist.
    Private,
    /// Everybody, as if it were published.
    Visible,
}

/// Which passwords are accepted at sign-up. Existing accounts are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// Fewest characters (Unicode scalar values); 0 accepts any.
    pub minimum_length: usize,
    /// Whether very common passwords are refused (OWASP ASVS 5.0, 6.2.4).
    pub blocklist: bool,
    /// Words that no password may contain, case folded: those that are guessed first where the service
    /// runs (OWASP ASVS 5.0, 6.1.2).
    pub forbidden_words: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub drafts: DraftVisibility,
    /// Posts in a list that was asked for without `limit`; `None` gives all of them, and
    /// lifts the bound on `limit` too.
    pub posts_default_limit: Option<u32>,
    /// Whether anybody may read anybody's e-mail address.
    pub public_emails: bool,
    pub passwords: PasswordRules,
    /// Whether the deletion of an account asks for its password.
    pub delete_requires_password: bool,
    pub sessions: SessionTimeouts,
}

/// How long sign-ins last that were asked to (OWASP ASVS 5.0, 7.3.1 and 7.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// Without being used.
    pub idle: SignedDuration,
    /// However much they are used.
    pub absolute: SignedDuration,
}

impl Default for SessionTimeouts {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self { idle: days(30), absolute: days(365) }
    }
}

impl Policy {
    /// What clients of the reference are used to (`COMPAT=reference`).
    #[must_use]
    pub fn reference() -> Self {
        Self {
            drafts: DraftVisibility::Visible,
            posts_default_limit: None,
            public_emails: true,
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
            drafts: DraftVisibility::Private,
            posts_default_limit: Some(100),
            public_emails: false,
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
