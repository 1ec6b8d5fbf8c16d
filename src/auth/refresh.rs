//! Refresh tokens. A token consists of three parts:
//!
//! - the ID of its session;
//! - the secret of its token family, which stays the same for the whole session;
//! - its own secret, which changes with every rotation.
//!
//! The secret of the successor is HMAC-SHA256 of the current secret and a salt. A retry with a
//! rotated token therefore gets the same successor again. The store keeps only hashes and salts,
//! from which no token can be derived.
//!
//! Not here: which token is current, see `store`; the reuse interval, see `domain/session.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::password::random;
use crate::domain::session::{Salt, SessionId, TokenHash};

const SESSION_ID_BYTES: usize = 8;
const FAMILY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// Bytes of a SHA-256 block.
const BLOCK_BYTES: usize = 64;

/// The two secrets of a token. `Debug` does not show them.
pub struct RefreshSecrets {
    family: [u8; FAMILY_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl RefreshSecrets {
    /// Generates the secrets of a new session: 128 bits for its token family, 256 bits for its
    /// first token.
    ///
    /// # Errors
    /// If the system provides no random bytes.
    pub fn generate() -> std::io::Result<Self> {
        Ok(Self { family: random()?, secret: random()? })
    }

    /// Returns the session ID and the secrets of a token, or `None` if the text is not a token.
    #[must_use]
    pub fn parse(token: &str) -> Option<(SessionId, Self)> {
        // No token is this long, so decoding would be wasted work.
        if token.len() > 2 * (SESSION_ID_BYTES + FAMILY_BYTES + SECRET_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (session_id, rest) = bytes.split_first_chunk::<SESSION_ID_BYTES>()?;
        let (family, rest) = rest.split_first_chunk::<FAMILY_BYTES>()?;
        let secrets = Self { family: *family, secret: rest.try_into().ok()? };
        Some((SessionId(i64::from_be_bytes(*session_id)), secrets))
    }

    /// Returns the token as the client gets it: 56 bytes in base64url.
    #[must_use]
    pub fn token(&self, id: SessionId) -> String {
        let bytes = [&id.0.to_be_bytes()[..], &self.family, &self.secret].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the hash of the secret of the token family, as the session stores it. A rotated
    /// token has this hash, so its reuse ends the session. A guessed token does not, so it has no
    /// effect.
    #[must_use]
    pub fn family_hash(&self) -> TokenHash {
        Sha256::digest(self.family).into()
    }

    /// Returns the hash of the token's own secret. The session stores it for its current token.
    #[must_use]
    pub fn secret_hash(&self) -> TokenHash {
        Sha256::digest(self.secret).into()
    }

    /// Returns the secrets of the next token. The same secrets and salt yield the same successor.
    #[must_use]
    pub fn successor(&self, salt: Salt) -> Self {
        // Padded to a block, as in RFC 2104. A key of that length cannot be rejected.
        let mut key = [0; BLOCK_BYTES];
        for (padded, byte) in key.iter_mut().zip(self.secret) {
            *padded = byte;
        }
        let mac = Hmac::<Sha256>::new(&key.into()).chain_update(salt);
        Self { family: self.family, secret: mac.finalize().into_bytes().into() }
    }
}

impl std::fmt::Debug for RefreshSecrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RefreshSecrets(…)")
    }
}

/// Returns a salt for the next successor.
///
/// # Errors
/// If the system provides no random bytes.
pub fn generate_salt() -> std::io::Result<Salt> {
    random()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> RefreshSecrets {
        RefreshSecrets { family: [7; FAMILY_BYTES], secret: [9; SECRET_BYTES] }
    }

    #[test]
    fn token_round_trips() {
        for id in [1, 4711, i64::MAX] {
            let generated = RefreshSecrets::generate().unwrap();
            let (read, secrets) = RefreshSecrets::parse(&generated.token(SessionId(id))).unwrap();
            assert_eq!(read, SessionId(id));
            assert_eq!(secrets.family_hash(), generated.family_hash());
            assert_eq!(secrets.secret_hash(), generated.secret_hash());
        }
    }

    #[test]
    fn malformed_token_is_rejected() {
        let token = secrets().token(SessionId(1));
        let texts = [
            String::new(),
            "x".repeat(75),
            token.get(1..).unwrap().to_owned(),
            format!("{token}AAAA"),
            format!("{token}="),
            format!(" {token}"),
            "A".repeat(1_000_000),
        ];
        for text in texts {
            assert!(RefreshSecrets::parse(&text).is_none(), "{text:.80}");
        }
    }

    #[test]
    fn secrets_and_salts_are_random() {
        let [one, other] =
            [RefreshSecrets::generate().unwrap(), RefreshSecrets::generate().unwrap()];
        assert_ne!(one.family_hash(), other.family_hash());
        assert_ne!(one.secret_hash(), other.secret_hash());
        assert_ne!(generate_salt().unwrap(), generate_salt().unwrap());
    }

    /// Expected values from Python: `hmac.new(b"\x09" * 32, b"\x05" * 16, "sha256")`, and its
    /// SHA-256.
    #[test]
    fn successor_is_a_mac_of_the_salt() {
        let next = secrets().successor([5; 16]);
        assert_eq!(next.family, [7; FAMILY_BYTES]);
        assert_eq!(
            hex(&next.secret),
            "af8d28bb39733cd59b104314618976344961e90fa78fc4df4c67bda8e3afef96"
        );
        assert_eq!(
            hex(&next.secret_hash()),
            "66c69528b0c9cc9da00d2ae89159da9744f8ac0347b730768958b6677cb541d5"
        );
        assert_ne!(next.secret, secrets().successor([6; 16]).secret);
    }

    #[test]
    fn debug_shows_no_secrets() {
        assert_eq!(format!("{:?}", secrets()), "RefreshSecrets(…)");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }
}
