//! Cursors: positions in a list that clients give back to the service.
//!
//! A cursor is sealed, so that it reveals nothing of a post that the caller does not see, such as the
//! draft at which a search ended, and so that no client depends on its content.
//!
//! Not here: the `Link` header, which gives cursors to clients.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::Cache;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac::{self, HMAC_SHA256};

use super::error::ApiError;
use crate::auth::derive_key;
use crate::domain::page::Position;

/// The first byte of the content.
const VERSION: u8 = 1;

/// Version, direction, and two numbers of a position.
const CONTENT_LENGTH: usize = 1 + 1 + 8 + 8;

/// Maximum number of cursors that are kept, and of bytes in the name of their list. Together they
/// take half a mebibyte.
const MAX_SEALED: usize = 1024;
const MAX_SEALED_NAME: usize = 64;

/// Seals and opens cursors with ChaCha20-Poly1305 (RFC 8439).
pub(super) struct Cursors {
    key: LessSafeKey,
    nonces: hmac::Key,
    /// The cursors of the last positions: most requests are for the first pages of a few lists.
    sealed: Cache<Vec<u8>, Arc<str>>,
}

impl Cursors {
    /// # Errors
    /// [`ApiError::Internal`] if the cipher does not accept a key of its own length.
    pub(super) fn new(key: &[u8; 32]) -> Result<Self, ApiError> {
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, &derive_key(key, "seal"))
            .map_err(|_| ApiError::internal("the key of cursors is unusable"))?;
        let nonces = hmac::Key::new(HMAC_SHA256, &derive_key(key, "nonce"));
        Ok(Self { key: LessSafeKey::new(sealing), nonces, sealed: Cache::new(MAX_SEALED) })
    }

    /// Returns the cursor of a position: about 62 characters that need no encoding in a URL. Only a
    /// list with the same name opens it. The same position gives the same cursor, so that equal
    /// pages have equal links.
    ///
    /// # Errors
    /// [`ApiError::Internal`] if the cipher fails, which it does only for gigabytes.
    pub(super) fn seal(&self, list: &str, position: Position) -> Result<Arc<str>, ApiError> {
        let mut content = Vec::with_capacity(CONTENT_LENGTH + list.len());
        content.extend([VERSION, u8::from(position.is_backward)]);
        content.extend(position.key.to_be_bytes());
        content.extend(position.id.to_be_bytes());
        content.extend(list.as_bytes());
        if let Some(cursor) = self.sealed.get(&content) {
            return Ok(cursor);
        }
        let cursor = self.seal_content(list, content.get(..CONTENT_LENGTH).unwrap_or_default())?;
        if list.len() <= MAX_SEALED_NAME {
            self.sealed.insert(content, Arc::clone(&cursor));
        }
        Ok(cursor)
    }

    fn seal_content(&self, list: &str, content: &[u8]) -> Result<Arc<str>, ApiError> {
        let nonce = self.nonce(list, content);
        let mut content = content.to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(sealing, Aad::from(list.as_bytes()), &mut content)
            .map_err(|_| ApiError::internal("a cursor cannot be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &content].concat()).into())
    }

    /// Returns the position of a cursor of this list. Returns `None` for every other text.
    pub(super) fn open(&self, list: &str, cursor: &str) -> Option<Position> {
        let mut sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let content = self.key.open_in_place(nonce, Aad::from(list.as_bytes()), sealed).ok()?;
        let (&[version, is_backward], numbers) = content.split_first_chunk::<2>()?;
        let (&key, id) = numbers.split_first_chunk::<8>()?;
        let position = Position {
            is_backward: is_backward == 1,
            key: i64::from_be_bytes(key),
            id: i64::from_be_bytes(id.try_into().ok()?),
        };
        (version == VERSION).then_some(position)
    }

    /// A nonce that depends on all that is sealed cannot seal two contents.
    fn nonce(&self, list: &str, content: &[u8]) -> [u8; NONCE_LEN] {
        let mut mac = hmac::Context::with_key(&self.nonces);
        mac.update(content);
        mac.update(list.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        for (byte, signed) in nonce.iter_mut().zip(mac.sign().as_ref()) {
            *byte = *signed;
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position = Position { is_backward: true, key: -5, id: i64::MAX };

    fn cursors() -> Cursors {
        Cursors::new(&[7; 32]).unwrap()
    }

    #[test]
    fn cursor_returns_its_position() {
        for is_backward in [true, false] {
            let position = Position { is_backward, ..POSITION };
            let cursor = cursors().seal("posts", position).unwrap();
            assert_eq!(cursors().open("posts", &cursor), Some(position));
            assert_eq!(cursor, cursors().seal("posts", position).unwrap());
        }
    }

    #[test]
    fn cursor_of_another_list_or_key_is_rejected() {
        let cursor = cursors().seal("posts", POSITION).unwrap();
        assert_eq!(cursors().open("posts?owner=1", &cursor), None);
        assert_eq!(Cursors::new(&[8; 32]).unwrap().open("posts", &cursor), None);
    }

    #[test]
    fn changed_cursor_is_rejected() {
        let cursor = cursors().seal("posts", POSITION).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cursors().open("posts", &URL_SAFE_NO_PAD.encode(changed)), None, "{bit}");
        }
        for text in ["", "=", "é", cursor.get(..cursor.len() - 2).unwrap(), &format!("{cursor}AA")]
        {
            assert_eq!(cursors().open("posts", text), None, "{text}");
        }
    }
}
