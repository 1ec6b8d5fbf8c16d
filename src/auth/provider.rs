//! The signing provider for `jsonwebtoken`: HMACs, and the key pairs of `signatures.rs`. The back
//! ends of the crate depend on a second C library, or on an RSA crate with an open advisory
//! (RUSTSEC-2023-0071).
//! Not here: which algorithm is accepted, see `keys.rs`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use sha2::{Sha256, Sha384, Sha512};
use signature::{Signer, Verifier};

use super::signatures::{PrivateKey, SignatureVerifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the provider of the process. Without a provider the crate panics at the first token, so
/// call this function before creating a key. A second call does nothing.
pub(super) fn install() {
    // An error means that the provider is already installed.
    let _ = PROVIDER.install_default();
}

/// An HMAC that is initialized with its key, and cloned for each message.
enum HmacKey {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl HmacKey {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        let unusable = |_| Error::from(ErrorKind::InvalidKeyFormat);
        match algorithm {
            Algorithm::HS256 => Hmac::new_from_slice(key).map(Self::Sha256).map_err(unusable),
            Algorithm::HS384 => Hmac::new_from_slice(key).map(Self::Sha384).map_err(unusable),
            Algorithm::HS512 => Hmac::new_from_slice(key).map(Self::Sha512).map_err(unusable),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::HS256,
            Self::Sha384(_) => Algorithm::HS384,
            Self::Sha512(_) => Algorithm::HS512,
        }
    }
}

impl Signer<Vec<u8>> for HmacKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(match self {
            Self::Sha256(mac) => mac.clone().chain_update(message).finalize().into_bytes().to_vec(),
            Self::Sha384(mac) => mac.clone().chain_update(message).finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.clone().chain_update(message).finalize().into_bytes().to_vec(),
        })
    }
}

impl Verifier<Vec<u8>> for HmacKey {
    /// Compares in constant time (`hmac`'s `verify_slice`), and rejects a truncated signature.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match self {
            Self::Sha256(mac) => mac.clone().chain_update(message).verify_slice(signature),
            Self::Sha384(mac) => mac.clone().chain_update(message).verify_slice(signature),
            Self::Sha512(mac) => mac.clone().chain_update(message).verify_slice(signature),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for HmacKey {
    fn algorithm(&self) -> Algorithm {
        HmacKey::algorithm(self)
    }
}

impl JwtVerifier for HmacKey {
    fn algorithm(&self) -> Algorithm {
        HmacKey::algorithm(self)
    }
}

/// Rejects a key of another family than the algorithm: a public key must never be used as the
/// secret of an HMAC.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the provider's signature")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    if key.family() == AlgorithmFamily::Hmac {
        return Ok(Box::new(HmacKey::new(*algorithm, key.as_bytes())?));
    }
    let private = PrivateKey::read(*algorithm, key.as_bytes());
    Ok(Box::new(private.map_err(|_| Error::from(ErrorKind::InvalidKeyFormat))?))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the provider's signature")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let bytes = key.try_get_as_bytes()?;
    if key.family() == AlgorithmFamily::Hmac {
        return Ok(Box::new(HmacKey::new(*algorithm, bytes)?));
    }
    let public = SignatureVerifier::new(*algorithm, bytes);
    Ok(Box::new(public.ok_or(Error::from(ErrorKind::InvalidAlgorithm))?))
}
