//! Refresh tokens: what goes on with a session. A token is the session's number, a secret of the whole
//! session and a link of its chain. Each link is made of the one before and a salt (HMAC-SHA256), so that
//! whoever has a spent one can be given the same successor again, while what is stored, hashes and
//! salts, makes none. Not here: which link is good now, that is the store's to know.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::password::random;
use crate::domain::session::{Salt, SessionId, TokenHash};

const SESSION_ID_BYTES: usize = 8;
const FAMILY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The secrets of a token; `Debug` does not show them.
pub struct RefreshSecrets {
    family: [u8; FAMILY_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl RefreshSecrets {
    /// Of a new session: 128 bits of its own, and 256 of its first link.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> std::io::Result<Self> {
        Ok(Self { family: random()?, secret: random()? })
    }

    /// The token's session and secrets, if the text is one.
    #[must_use]
    pub fn parse(token: &str) -> Option<(SessionId, Self)> {
        // Longer than any, it is not even decoded.
        if token.len() > 2 * (SESSION_ID_BYTES + FAMILY_BYTES + SECRET_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (number, rest) = bytes.split_first_chunk::<SESSION_ID_BYTES>()?;
        let (family, rest) = rest.split_first_chunk::<FAMILY_BYTES>()?;
        let secrets = Self { family: *family, secret: rest.try_into().ok()? };
        Some((SessionId(i64::from_be_bytes(*number)), secrets))
    }

    /// The token as the client gets it.
    #[must_use]
    pub fn token(&self, id: SessionId) -> String {
        let bytes = [&id.0.to_be_bytes()[..], &self.family, &self.secret].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What is stored of the session's secret.
    #[must_use]
    pub fn family_hash(&self) -> TokenHash {
        Sha256::digest(self.family).into()
    }

    /// What is stored of the link.
    #[must_use]
    pub fn secret_hash(&self) -> TokenHash {
        Sha256::digest(self.secret).into()
    }

    /// Of all that the client sent: what another has made up of a part of it has another.
    #[must_use]
    pub fn token_hash(&self, id: SessionId) -> TokenHash {
        Sha256::digest(self.token(id)).into()
    }

    /// The successor: the same to whoever has this one and the salt.
    #[must_use]
    pub fn successor(&self, salt: Salt) -> Self {
        // Filled up to a block, as RFC 2104 has it: such a key cannot be refused.
        let mut key = [0; BLOCK_BYTES];
        for (byte, of_secret) in key.iter_mut().zip(self.secret) {
            *byte = of_secret;
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

/// A salt for the next link.
///
/// # Errors
/// If the system gives no random bytes.
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
    fn a_token_is_read_as_it_was_written() {
        for id in [1, 4711, i64::MAX] {
            let generated = RefreshSecrets::generate().unwrap();
            let (read, secrets) = RefreshSecrets::parse(&generated.token(SessionId(id))).unwrap();
            assert_eq!(read, SessionId(id));
            assert_eq!(secrets.family_hash(), generated.family_hash());
            assert_eq!(secrets.secret_hash(), generated.secret_hash());
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
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
    fn no_two_are_alike() {
        let [one, other] =
            [RefreshSecrets::generate().unwrap(), RefreshSecrets::generate().unwrap()];
        assert_ne!(one.family_hash(), other.family_hash());
        assert_ne!(one.secret_hash(), other.secret_hash());
        assert_ne!(generate_salt().unwrap(), generate_salt().unwrap());
    }

    /// By Python: `hmac.new(b"\x09" * 32, b"\x05" * 16, "sha256")`, and SHA-256 of that.
    #[test]
    fn the_successor_is_a_mac_of_the_salt() {
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
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", secrets()), "RefreshSecrets(…)");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }
}
