//! Idempotency keys: if a client repeats a write with the key of the first request, the write
//! happens once.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

/// Maximum number of characters of a key.
const MAX_KEY_CHARACTERS: usize = 255;

/// How long a key is kept after its write.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Maximum number of expired keys that each write with a key deletes. A write adds one key, so
/// expired keys do not accumulate.
pub const EXPIRED_KEYS_DELETED: i64 = 4;

/// The first 16 bytes of a SHA-256.
pub type Digest = [u8; 16];

/// The key of a request, and the fingerprint of the request. Two requests with the same key are the
/// same request only if their fingerprints are equal, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The digest of the text of the key.
    pub digest: Digest,
    pub fingerprint: Fingerprint,
}

impl IdempotencyKey {
    /// Returns the digest of a key from its header: 1 to 255 visible ASCII characters, as they are or
    /// in the double quotes of a structured string (RFC 9651, 3.3.3). Both forms are the same key.
    ///
    /// # Errors
    /// [`InvalidKey`] for any other text.
    pub fn parse(header: &str) -> Result<Digest, InvalidKey> {
        let text = match header.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').ok_or(InvalidKey)?,
            None => header,
        };
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=MAX_KEY_CHARACTERS).contains(&text.len()) {
            return Err(InvalidKey);
        }
        Ok(first_half(Sha256::digest(text).into()))
    }

    /// Returns when the key of a write at this time expires.
    #[must_use]
    pub fn expires_at(now: Timestamp) -> Timestamp {
        now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be 1 to 255 visible characters")]
pub struct InvalidKey;

/// A digest of the operation and the values of a request. Never of a password, or of anything
/// computed from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub Digest);

impl Fingerprint {
    /// Returns the fingerprint of an operation, such as `POST /posts`, with its values in a fixed
    /// order.
    #[must_use]
    pub fn of(operation: &str, values: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(operation.as_bytes()).chain(values.iter().copied()) {
            // With its length before each part, no two lists of parts hash the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(first_half(hash.finalize().into()))
    }
}

fn first_half(hash: [u8; 32]) -> Digest {
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<Digest, InvalidKey> {
        IdempotencyKey::parse(header)
    }

    #[test]
    fn key_of_1_to_255_visible_characters_is_accepted() {
        let longest = "k".repeat(MAX_KEY_CHARACTERS);
        for header in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "a\"b\"", "k,k", &longest] {
            assert!(parse(header).is_ok(), "{header}");
        }
        assert!(parse(&format!("\"{longest}\"")).is_ok());
        assert_ne!(parse("k"), parse("K"));
    }

    #[test]
    fn quoted_key_is_the_same_key() {
        assert_eq!(parse("\"8e03978e\""), parse("8e03978e"));
        assert_ne!(parse("\"\"8e03978e\"\""), parse("8e03978e"));
    }

    #[test]
    fn other_text_is_no_key() {
        let long = "k".repeat(MAX_KEY_CHARACTERS + 1);
        let quoted = format!("\"{long}\"");
        for header in
            ["", "\"\"", "\"", "\"k", "k k", "k, k", "clé", "k\t", "\u{7f}", &long, &quoted]
        {
            assert_eq!(parse(header), Err(InvalidKey), "{header:?}");
        }
    }

    #[test]
    fn fingerprint_depends_on_the_bounds_of_its_values() {
        let fingerprints = [
            Fingerprint::of("POST /posts", &[b"ab", b"c"]),
            Fingerprint::of("POST /posts", &[b"a", b"bc"]),
            Fingerprint::of("POST /posts", &[b"abc"]),
            Fingerprint::of("POST /posts", &[b"abc", b""]),
            Fingerprint::of("PUT /posts", &[b"abc", b""]),
        ];
        for (index, one) in fingerprints.iter().enumerate() {
            assert!(!fingerprints[index + 1..].contains(one), "{index}");
        }
    }

    #[test]
    fn key_expires_after_a_day() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(IdempotencyKey::expires_at(now).as_second(), 24 * 60 * 60);
        assert_eq!(IdempotencyKey::expires_at(Timestamp::MAX), Timestamp::MAX);
    }
}
