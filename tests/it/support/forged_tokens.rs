//! Tokens that the service would not issue.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Sha256, Sha512};

use super::setup::SECRET;

/// Signs this header and these claims with the secret of every [`super::TestApp`].
pub fn forge(header: &Value, claims: &Value) -> String {
    forge_text(&header.to_string(), &claims.to_string())
}

/// Like [`forge`], with parts that need not be JSON.
pub fn forge_text(header: &str, claims: &str) -> String {
    forge_with(SECRET, header, claims)
}

/// Like [`forge_text`], with another key.
pub fn forge_with(key: &str, header: &str, claims: &str) -> String {
    let message = message(header, claims);
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    sign(&message, &mac.chain_update(&message).finalize().into_bytes())
}

/// Signs with the right key and a hash function that the service does not accept.
pub fn forge_with_sha512(header: &str, claims: &str) -> String {
    let message = message(header, claims);
    let mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
    sign(&message, &mac.chain_update(&message).finalize().into_bytes())
}

fn message(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn sign(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
