//! Security events of an account, which its owner can list. Not here: the log, which also has the
//! events without an account.

use std::net::IpAddr;

use jiff::Timestamp;

/// Maximum number of events in an account's list: the newest. Also the maximum number of stored
/// events per account that are not refusals.
pub const MAX_EVENTS: u32 = 100;

/// Maximum number of stored refusals per account. Password guesses therefore do not displace the
/// other events.
pub const MOST_REFUSALS: u32 = 50;

/// The kinds of events. Their names are part of the API and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    SignedUp,
    LoggedIn,
    LoginRefused,
    /// The password that confirms a change was wrong.
    PasswordRefused,
    PasswordChanged,
    EmailChanged,
    /// All tokens of the account were revoked.
    SignedOut,
    SessionEnded,
    /// A refresh token was rotated.
    SessionContinued,
    /// The presented refresh token is unknown or expired.
    RefreshRefused,
    /// A rotated refresh token was reused, so its session has ended.
    RefreshTokenReused,
    /// The account tried to change a post or an account that belongs to another user.
    OwnershipRefused,
    AccountDeleted,
    /// A link in a mail set another password. All tokens of the account were revoked.
    PasswordReset,
    /// A link in a mail proved that the owner reads the e-mail.
    EmailVerified,
    /// A link was forged, expired or used. The log has no account for it: its ID is a claim.
    LinkRefused,
    /// The mail server did not take a mail to the account.
    MailFailed,
    /// An operator created the account.
    CreatedByOperator,
    /// An operator set another password. All tokens of the account were revoked.
    PasswordSetByOperator,
    /// An operator revoked all tokens of the account.
    SignedOutByOperator,
    /// An operator disabled the account. All of its tokens were revoked.
    DisabledByOperator,
    EnabledByOperator,
    /// An operator made the account an administrator.
    AdminGrantedByOperator,
    /// The account is no administrator any more.
    AdminRevokedByOperator,
    DeletedByOperator,
    /// An operator deleted a post of the account.
    PostDeletedByOperator,
}

impl EventKind {
    pub const ALL: [Self; 26] = [
        Self::SignedUp,
        Self::LoggedIn,
        Self::LoginRefused,
        Self::PasswordRefused,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::SignedOut,
        Self::SessionEnded,
        Self::SessionContinued,
        Self::RefreshRefused,
        Self::RefreshTokenReused,
        Self::OwnershipRefused,
        Self::AccountDeleted,
        Self::PasswordReset,
        Self::EmailVerified,
        Self::LinkRefused,
        Self::MailFailed,
        Self::CreatedByOperator,
        Self::PasswordSetByOperator,
        Self::SignedOutByOperator,
        Self::DisabledByOperator,
        Self::EnabledByOperator,
        Self::AdminGrantedByOperator,
        Self::AdminRevokedByOperator,
        Self::DeletedByOperator,
        Self::PostDeletedByOperator,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignedUp => "signed_up",
            Self::LoggedIn => "logged_in",
            Self::LoginRefused => "login_refused",
            Self::PasswordRefused => "password_refused",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::SignedOut => "signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionContinued => "session_continued",
            Self::RefreshRefused => "refresh_refused",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::OwnershipRefused => "ownership_refused",
            Self::AccountDeleted => "account_deleted",
            Self::PasswordReset => "password_reset",
            Self::EmailVerified => "email_verified",
            Self::LinkRefused => "link_refused",
            Self::MailFailed => "mail_failed",
            Self::CreatedByOperator => "created_by_operator",
            Self::PasswordSetByOperator => "password_set_by_operator",
            Self::SignedOutByOperator => "signed_out_by_operator",
            Self::DisabledByOperator => "disabled_by_operator",
            Self::EnabledByOperator => "enabled_by_operator",
            Self::AdminGrantedByOperator => "admin_granted_by_operator",
            Self::AdminRevokedByOperator => "admin_revoked_by_operator",
            Self::DeletedByOperator => "deleted_by_operator",
            Self::PostDeletedByOperator => "post_deleted_by_operator",
        }
    }

    /// Returns the kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the event counts towards [`MOST_REFUSALS`]: strangers can cause it.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::LoginRefused
                | Self::PasswordRefused
                | Self::RefreshRefused
                | Self::RefreshTokenReused
                | Self::OwnershipRefused
                | Self::LinkRefused
                | Self::MailFailed
        )
    }
}

/// An event of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub at: Timestamp,
    /// Client IP, if it is known.
    pub client: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_every_kind_is_parsed() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(EventKind::from_name("nonsense"), None);
    }
}
