//! Signatures with key pairs for `jsonwebtoken`. They use `ring`, which TLS needs anyway.
//! Not here: which keys are strong enough, see `key_pair.rs`.

use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::{JwtSigner, JwtVerifier};
use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};
use signature::{Error, Signer, Verifier};

/// A private key that `ring` can sign with.
pub(super) enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// The parameters of a public key in a JWK (RFC 7518, 6; RFC 8037, 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwkParams {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256 { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl PrivateKey {
    /// Reads a PKCS#8 key. The error says why the key is rejected.
    pub(super) fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, String> {
        let read = match algorithm {
            Algorithm::RS256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| Self::Rsa(pair.into())),
            Algorithm::ES256 => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_pkcs8(kind, pkcs8, &SystemRandom::new())
                    .map(|pair| Self::P256(pair.into()))
            }
            // Files of OpenSSL contain no public key to check the private key against.
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                .map(|pair| Self::Ed25519(pair.into())),
            _ => return Err("the algorithm does not sign with a key pair".to_owned()),
        };
        read.map_err(|rejected: KeyRejected| rejected.to_string())
    }

    /// Returns the public key in the format that [`SignatureVerifier`] accepts.
    pub(super) fn public_bytes(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::P256(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    pub(super) fn jwk_params(&self) -> JwkParams {
        match self {
            Self::Rsa(pair) => {
                let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                JwkParams::Rsa { modulus: components.n, exponent: components.e }
            }
            Self::P256(_) => {
                // An uncompressed point (SEC 1, 2.3.3) is a marker byte, then two numbers of equal
                // length.
                let point = self.public_bytes().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                JwkParams::P256 { x: x.to_vec(), y: y.to_vec() }
            }
            Self::Ed25519(_) => JwkParams::Ed25519 { x: self.public_bytes().to_vec() },
        }
    }
}

impl Signer<Vec<u8>> for PrivateKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| Error::new())?;
                Ok(signature)
            }
            Self::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for PrivateKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}

/// A public key with its algorithm.
pub(super) struct SignatureVerifier {
    algorithm: Algorithm,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl SignatureVerifier {
    /// Returns `None` if the algorithm does not sign with a key pair.
    pub(super) fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let kind: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDSA => &ED25519,
            _ => return None,
        };
        Some(Self { algorithm, key: UnparsedPublicKey::new(kind, bytes.to_vec()) })
    }
}

impl Verifier<Vec<u8>> for SignatureVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        self.key.verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for SignatureVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
