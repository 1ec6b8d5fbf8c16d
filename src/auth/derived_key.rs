//! Keys for one purpose each, derived from one key.

use ring::hmac::{self, HMAC_SHA256};

/// Returns HMAC-SHA-256 of the label (RFC 2104). Keys with different labels tell nothing of each
/// other, nor of the key they are derived from.
#[must_use]
pub fn derive_key(key: &[u8; 32], label: &str) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), label.as_bytes());
    let mut derived = [0; 32];
    derived.copy_from_slice(tag.as_ref());
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_depends_on_label_and_key() {
        let derived = derive_key(&[1; 32], "cursor");
        assert_eq!(derived, derive_key(&[1; 32], "cursor"));
        assert_ne!(derived, derive_key(&[1; 32], "entity tag"));
        assert_ne!(derived, derive_key(&[2; 32], "cursor"));
    }
}
