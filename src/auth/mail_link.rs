//! The tokens of links in mails. No table keeps them: a token is a MAC of everything that must not
//! have changed since the mail.
//!
//! A token is 64 characters: Base64 (RFC 4648, 5) of the account's ID, the expiry and the MAC. The
//! MAC covers the purpose, both numbers, `tokens_valid_from`, the SHA-256 of the stored password
//! hash, and the e-mail. So a change of the password or the e-mail makes every link of the account
//! invalid, and the first reset makes all others invalid.
//!
//! The key comes from the key that signs access tokens, not from the database: a copy of the
//! database, such as a leaked backup, forges no link.
//!
//! Not here: the mails, see `mail`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::hmac::{self, HMAC_SHA256};
use sha2::{Digest as _, Sha256};

use crate::domain::recipient::Recipient;
use crate::domain::user::UserId;

/// Length of the ID, the expiry and the MAC in bytes.
const TOKEN_BYTES: usize = 8 + 8 + 32;

/// The purpose of the link in a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    ResetPassword,
    VerifyEmail,
}

impl LinkPurpose {
    /// A reset is dangerous in other hands, so its time is short (OWASP, Forgot Password).
    fn lifetime(self) -> SignedDuration {
        SignedDuration::from_hours(match self {
            Self::ResetPassword => 1,
            Self::VerifyEmail => 24,
        })
    }

    fn label(self) -> u8 {
        match self {
            Self::ResetPassword => 1,
            Self::VerifyEmail => 2,
        }
    }
}

/// Makes and checks the tokens of links.
#[derive(Clone)]
pub struct MailLinks {
    key: hmac::Key,
}

/// A token with the right form. Only [`MailLinks::is_valid`] tells whether it is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentedLink {
    pub user_id: UserId,
    /// In seconds since 1970.
    expires_at: i64,
    mac: [u8; 32],
}

impl PresentedLink {
    /// Returns `None` if the text is no token.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().ok()?;
        let (user_id, rest) = bytes.split_first_chunk()?;
        let (expires_at, mac) = rest.split_first_chunk()?;
        Some(Self {
            user_id: UserId(i64::from_be_bytes(*user_id)),
            expires_at: i64::from_be_bytes(*expires_at),
            mac: mac.try_into().ok()?,
        })
    }

    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now.as_second() >= self.expires_at
    }
}

impl MailLinks {
    /// The key must be secret to the database: [`super::Keys::mail_link_key`].
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(HMAC_SHA256, key) }
    }

    /// Returns the token of a new link for the recipient.
    #[must_use]
    pub fn issue(&self, purpose: LinkPurpose, recipient: &Recipient, now: Timestamp) -> String {
        let expires_at = now.saturating_add(purpose.lifetime()).map_or(0, Timestamp::as_second);
        let user_id = recipient.credentials.user_id;
        let mac = hmac::sign(&self.key, &covered(purpose, user_id, expires_at, recipient));
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend_from_slice(&user_id.0.to_be_bytes());
        token.extend_from_slice(&expires_at.to_be_bytes());
        token.extend_from_slice(mac.as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether the link was made for this purpose and this recipient, and none of the recipient's
    /// values has changed since. The comparison takes constant time.
    #[must_use]
    pub fn is_valid(
        &self,
        purpose: LinkPurpose,
        link: &PresentedLink,
        recipient: &Recipient,
        now: Timestamp,
    ) -> bool {
        let covered = covered(purpose, link.user_id, link.expires_at, recipient);
        let is_genuine = hmac::verify(&self.key, &covered, &link.mac).is_ok();
        is_genuine && link.user_id == recipient.credentials.user_id && !link.has_expired(now)
    }
}

/// Returns what the MAC covers. Only the last part has no fixed length, so no two recipients have
/// the same text.
fn covered(
    purpose: LinkPurpose,
    user_id: UserId,
    expires_at: i64,
    Recipient { email, credentials }: &Recipient,
) -> Vec<u8> {
    let mut text = vec![purpose.label()];
    text.extend_from_slice(&user_id.0.to_be_bytes());
    text.extend_from_slice(&expires_at.to_be_bytes());
    text.extend_from_slice(&credentials.tokens_valid_from.0.as_microsecond().to_be_bytes());
    text.extend_from_slice(&Sha256::digest(credentials.password_hash.as_str()));
    text.extend_from_slice(email.as_str().as_bytes());
    text
}
