//! Pairs of keys, as they are given: PKCS#8 in PEM, one block after the other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use sha2::{Digest as _, Sha256};

use super::Algorithm;
use super::keys::KID_LENGTH;
use super::signatures::{JwkParams, PrivateKey};

/// What begins a block of PEM, whatever is in it.
const PEM_BEGIN: &str = "-----BEGIN ";

/// Fewest bits of an RSA key (RFC 7518, 3.3).
const MIN_RSA_BITS: usize = 2048;

/// Bits of one that is worth 128 bits of strength, as the keys of the other algorithms are; 2048 are
/// worth 112 (NIST SP 800-57 part 1, table 2).
const STRONG_RSA_BITS: usize = 3072;

/// A key that signs, and the one that verifies. `Debug` does not show the first.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    pub(super) public: PublicKey,
}

/// A key that anybody may know, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub params: JwkParams,
}

/// Why keys cannot be used. Does not repeat any of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    #[error("holds no key in PEM")]
    NoPem,
    #[error("holds something else than PKCS#8 keys (`-----BEGIN PRIVATE KEY-----`)")]
    NotPkcs8,
    #[error("key {number} is none for {algorithm:?}: {reason}")]
    Rejected { number: usize, algorithm: Algorithm, reason: String },
    #[error("key {number} has {bits} bits, RS256 needs {least} or more", least = MIN_RSA_BITS)]
    TooShort { number: usize, bits: usize },
    #[error("key {0} stands there twice")]
    Duplicate(usize),
}

impl KeyPair {
    /// Every pair of the text, in its order.
    ///
    /// # Errors
    /// [`KeyPairError`] if there is none, or one of them cannot be used.
    pub fn read_all(pem: &str, algorithm: Algorithm) -> Result<Vec<Self>, KeyPairError> {
        let blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| KeyPairError::NoPem)?;
        let is_pkcs8 = |(kind, _): &(SectionKind, Vec<u8>)| *kind == SectionKind::PrivateKey;
        // Blocks of a kind that is not known are left out by the reader.
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

    /// The bits of a key that is worth less than 128 bits of strength.
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

/// Of a number without leading zero bytes.
fn count_bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    number.len() * 8 - usize::try_from(unused).unwrap_or_default()
}
