//! Key pairs that the operator provides, as PKCS#8 in PEM.
//! Not here: signing and verifying, see `signatures.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use sha2::{Digest as _, Sha256};

use super::Algorithm;
use super::signatures::{JwkParams, PrivateKey};

/// Length of a `kid` in base64 characters, which have six bits each.
pub(super) const KID_LENGTH: usize = 11;

/// Start of every PEM block.
const PEM_BEGIN: &str = "-----BEGIN ";

/// Minimum length of an RSA key in bits (RFC 7518, 3.3).
const MIN_RSA_BITS: usize = 2048;

/// Length in bits of an RSA key with a security strength of 128 bits, like the keys of the other
/// algorithms. With 2048 bits the strength is 112 (NIST SP 800-57 part 1, table 2).
const STRONG_RSA_BITS: usize = 3072;

/// A private key and its public key. `Debug` does not show the private key.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    pub(super) public: PublicKey,
}

/// A public key, as the JWK set publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub params: JwkParams,
}

/// Why keys cannot be used. The error texts contain no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    #[error("holds no key in PEM")]
    NoPem,
    #[error("holds a PEM block that is not a PKCS#8 key (`-----BEGIN PRIVATE KEY-----`)")]
    NotPkcs8,
    #[error("key {number} cannot be used with {algorithm:?}: {reason}")]
    Rejected { number: usize, algorithm: Algorithm, reason: String },
    #[error("key {number} has {bits} bits, RS256 needs {MIN_RSA_BITS} or more")]
    TooShort { number: usize, bits: usize },
    #[error("key {0} is a duplicate")]
    Duplicate(usize),
}

impl KeyPair {
    /// Reads all key pairs of the text, in order.
    ///
    /// # Errors
    /// [`KeyPairError`] if there is no key, or a key cannot be used.
    pub fn read_all(pem: &str, algorithm: Algorithm) -> Result<Vec<Self>, KeyPairError> {
        let blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| KeyPairError::NoPem)?;
        let is_pkcs8 = |(kind, _): &(SectionKind, Vec<u8>)| *kind == SectionKind::PrivateKey;
        // The reader skips blocks of unknown kinds.
        if pem.matches(PEM_BEGIN).count() != blocks.len() || !blocks.iter().all(is_pkcs8) {
            return Err(KeyPairError::NotPkcs8);
        }
        let mut pairs: Vec<Self> = Vec::new();
        for (number, (_, pkcs8)) in (1..).zip(&blocks) {
            let pair = Self::read(pkcs8, algorithm, number)?;
            if pairs.iter().any(|other| other.public == pair.public) {
                return Err(KeyPairError::Duplicate(number));
            }
            pairs.push(pair);
        }
        if pairs.is_empty() { Err(KeyPairError::NoPem) } else { Ok(pairs) }
    }

    /// Returns the length in bits of a key whose strength is below 128 bits, else `None`.
    #[must_use]
    pub fn weak_bits(&self) -> Option<usize> {
        match &self.public.params {
            JwkParams::Rsa { modulus, .. } => {
                Some(count_bits(modulus)).filter(|bits| *bits < STRONG_RSA_BITS)
            }
            JwkParams::P256 { .. } | JwkParams::Ed25519 { .. } => None,
        }
    }

    fn read(pkcs8: &[u8], algorithm: Algorithm, number: usize) -> Result<Self, KeyPairError> {
        let private = PrivateKey::read(algorithm.into(), pkcs8)
            .map_err(|reason| KeyPairError::Rejected { number, algorithm, reason })?;
        let (params, bytes) = (private.jwk_params(), private.public_bytes());
        let (signing, verifying) = match &params {
            JwkParams::Rsa { modulus, .. } => {
                let bits = count_bits(modulus);
                if bits < MIN_RSA_BITS {
                    return Err(KeyPairError::TooShort { number, bits });
                }
                (EncodingKey::from_rsa_der(pkcs8), DecodingKey::from_rsa_der(bytes))
            }
            JwkParams::P256 { .. } => {
                (EncodingKey::from_ec_der(pkcs8), DecodingKey::from_ec_der(bytes))
            }
            JwkParams::Ed25519 { .. } => {
                (EncodingKey::from_ed_der(pkcs8), DecodingKey::from_ed_der(bytes))
            }
        };
        let mut kid = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        kid.truncate(KID_LENGTH);
        Ok(Self { signing, verifying, public: PublicKey { kid, algorithm, params } })
    }
}

/// Counts the significant bits of a big-endian number without leading zero bytes.
fn count_bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    number.len() * 8 - usize::try_from(unused).unwrap_or_default()
}
