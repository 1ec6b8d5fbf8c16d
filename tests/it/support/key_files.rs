//! Private keys, made by OpenSSL as docs/settings.md says. They sign for tests alone.

use post_api::auth::{Algorithm, KeyPair, Keys};

pub const RSA: &str = include_str!("../data/keys/rsa_2048.pem");
pub const STRONG_RSA: &str = include_str!("../data/keys/rsa_3072.pem");
pub const P256: &str = include_str!("../data/keys/p256.pem");
pub const ED25519: &str = include_str!("../data/keys/ed25519.pem");

/// What signs with the last of them.
pub fn ed25519() -> Keys {
    of(ED25519, Algorithm::EdDSA)
}

pub fn of(pem: &str, algorithm: Algorithm) -> Keys {
    Keys::of_pairs(&KeyPair::read_all(pem, algorithm).unwrap(), algorithm).unwrap()
}
