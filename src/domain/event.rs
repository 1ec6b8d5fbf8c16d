//! Events of an account: what its owner would want to know of. Not here: the log, which has them too, and
//! those of nobody's account.

use std::net::IpAddr;

use jiff::Timestamp;

/// Events of an account that are shown, the newest.
pub const MAX_EVENTS: u32 = 100;

/// Refusals of an account that are kept: whoever tries passwords does not push everything else out.
pub const MOST_REFUSALS: u32 = 50;

/// What happened. The names are part of the API, and of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    SignedUp,
    LoggedIn,
    LoginRefused,
    /// The password that a change asks for was wrong.
    PasswordRefused,
    PasswordChanged,
    EmailChanged,
    /// Out of everything.
    SignedOut,
    SessionEnded,
    /// A refresh token brought the next pair.
    SessionContinued,
    /// What was presented is no refresh token that is good.
    RefreshRefused,
    /// A spent refresh token came back: its session has ended.
    RefreshTokenReused,
    /// The account tried to change what is somebody else's.
    OwnershipRefused,
    AccountDeleted,
}

impl EventKind {
    pub const ALL: [Self; 13] = [
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
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether something was not done.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::LoginRefused
                | Self::PasswordRefused
                | Self::RefreshRefused
                | Self::RefreshTokenReused
                | Self::OwnershipRefused
        )
    }
}

/// An event of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub at: Timestamp,
    /// Where the request came from, as far as that is known.
    pub client: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of(kind.name()), Some(kind));
        }
        assert_eq!(EventKind::of("nonsense"), None);
    }
}
