//! The mails that the service sends, with their fixed words.

use super::public_url::PublicUrl;
use crate::domain::email::Email;

/// A mail to the e-mail of an account.
#[derive(Debug, Clone)]
pub enum Mail {
    /// Has a link to a new password.
    PasswordReset { to: Email, token: String },
    /// Has a link that verifies the e-mail.
    EmailVerification { to: Email, token: String },
    /// Tells the earlier e-mail of an account that it was replaced.
    EmailChanged { to: Email },
}

impl Mail {
    pub(super) fn to(&self) -> &Email {
        match self {
            Self::PasswordReset { to, .. }
            | Self::EmailVerification { to, .. }
            | Self::EmailChanged { to } => to,
        }
    }

    pub(super) fn subject(&self) -> &'static str {
        match self {
            Self::PasswordReset { .. } => "Reset your password",
            Self::EmailVerification { .. } => "Confirm your e-mail address",
            Self::EmailChanged { .. } => "Your e-mail address was changed",
        }
    }

    pub(super) fn text(&self, url: &PublicUrl) -> String {
        match self {
            Self::PasswordReset { token, .. } => format!(
                "Someone asked for a new password for your account at {url}\n\
                 \n\
                 To choose a new password, open this link within one hour:\n\
                 \n\
                 {}\n\
                 \n\
                 If you did not ask for it, ignore this mail. Your password stays the same.\n",
                url.link("reset", token)
            ),
            Self::EmailVerification { token, .. } => format!(
                "This e-mail address belongs to an account at {url}\n\
                 \n\
                 To confirm that you read this mail, open this link within 24 hours:\n\
                 \n\
                 {}\n\
                 \n\
                 If you have no account there, ignore this mail.\n",
                url.link("verify", token)
            ),
            Self::EmailChanged { .. } => format!(
                "Your account at {url}\n\
                 now has another e-mail address, and this one no longer works there.\n\
                 \n\
                 If you did not change it, someone else may have your password: ask the operator\n\
                 of the service for help.\n"
            ),
        }
    }
}
