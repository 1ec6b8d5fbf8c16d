//! The keys that sign and verify tokens. One key signs and all keys verify, so keys can be rotated
//! while tokens of the old key are in use.
//! Not here: claims and expiry, see `token.rs`.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, TokenData, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::key_pair::KID_LENGTH;
use super::provider;
use super::{Algorithm, KeyPair, PublicKey};

/// The `kid` of a secret is a MAC of this label. It never equals the signature of a token, because
/// the signed text of a token contains a dot.
const KID_LABEL: &[u8] = b"post-api: the name of a key";

/// Makes the hash in [`Keys::pseudonym_key`] differ from any other hash of the signing key.
const PSEUDONYM_LABEL: &[u8] = b"post-api: the key of pseudonyms";

/// Makes the hash in [`Keys::mail_link_key`] differ from any other hash of the signing key.
const MAIL_LINK_LABEL: &[u8] = b"post-api: the key of links in mails";

/// A token cannot be signed with these keys.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct TokenError(#[from] Error);

/// The keys of a process: one signs, all verify.
pub struct Keys {
    header: Header,
    validation: Validation,
    signing: EncodingKey,
    verifying: Vec<VerifyingKey>,
    public: Vec<PublicKey>,
}

struct VerifyingKey {
    kid: String,
    key: DecodingKey,
}

impl Keys {
    /// Returns the keys for one secret. Its tokens have no `kid`: their header equals that of the
    /// reference service, byte for byte.
    ///
    /// # Errors
    /// [`TokenError`] if the algorithm does not sign with a secret.
    pub fn of_secret(secret: &SecretString, algorithm: Algorithm) -> Result<Self, TokenError> {
        let mut keys = Self::of_secrets(std::slice::from_ref(secret), algorithm)?;
        keys.header.kid = None;
        Ok(keys)
    }

    /// Returns the keys for several secrets. The first one signs, and its tokens carry its `kid`.
    ///
    /// # Errors
    /// [`TokenError`] if there is no secret, or the algorithm does not sign with a secret.
    pub fn of_secrets(secrets: &[SecretString], algorithm: Algorithm) -> Result<Self, TokenError> {
        provider::install();
        let bytes = || secrets.iter().map(|secret| secret.expose_secret().as_bytes());
        let first = bytes().next().ok_or(no_key())?;
        let kid = |secret| secret_kid(&EncodingKey::from_secret(secret), algorithm);
        let verifying = bytes()
            .map(|secret| {
                Ok(VerifyingKey { kid: kid(secret)?, key: DecodingKey::from_secret(secret) })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let signing = EncodingKey::from_secret(first);
        Ok(Self::new(algorithm, signing, verifying, Vec::new()))
    }

    /// Returns the `kid` of a secret. It reveals no more about the secret than the signature of a
    /// token.
    ///
    /// # Errors
    /// [`TokenError`] if the algorithm does not sign with a secret.
    pub fn kid_of(secret: &SecretString, algorithm: Algorithm) -> Result<String, TokenError> {
        provider::install();
        let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
        Ok(secret_kid(&key, algorithm)?)
    }

    /// Returns the keys for key pairs. The first one signs, and its tokens carry its `kid`.
    ///
    /// # Errors
    /// [`TokenError`] if there is no key pair.
    pub fn of_pairs(pairs: &[KeyPair], algorithm: Algorithm) -> Result<Self, TokenError> {
        provider::install();
        let signing = pairs.first().ok_or(no_key())?.signing.clone();
        let public: Vec<_> = pairs.iter().map(|pair| pair.public.clone()).collect();
        let verifying = pairs
            .iter()
            .map(|pair| VerifyingKey { kid: pair.public.kid.clone(), key: pair.verifying.clone() });
        Ok(Self::new(algorithm, signing, verifying.collect(), public))
    }

    fn new(
        algorithm: Algorithm,
        signing: EncodingKey,
        verifying: Vec<VerifyingKey>,
        public: Vec<PublicKey>,
    ) -> Self {
        let algorithm = algorithm.into();
        let mut validation = Validation::new(algorithm);
        // `Tokens` checks the audience, and the dates by the clock of the service.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let kid = verifying.first().map(|first| first.kid.clone());
        let header = Header { kid, ..Header::new(algorithm) };
        Self { header, validation, signing, verifying, public }
    }

    /// Returns the keys that the JWK set publishes. Empty if tokens are signed with a secret.
    #[must_use]
    pub fn public(&self) -> &[PublicKey] {
        &self.public
    }

    /// Returns the key from which pseudonyms of accounts are derived. It is the same in every
    /// process with the same signing key, and reveals nothing about the signing key.
    #[must_use]
    pub fn pseudonym_key(&self) -> [u8; 32] {
        self.derive(PSEUDONYM_LABEL)
    }

    /// Returns the key of the links in mails. It is the same in every process with the same signing
    /// key, which may also be a private key. If another key signs, earlier links are invalid.
    #[must_use]
    pub fn mail_link_key(&self) -> [u8; 32] {
        self.derive(MAIL_LINK_LABEL)
    }

    fn derive(&self, label: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(label);
        hash.update(self.signing.as_bytes());
        hash.finalize().into()
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        jsonwebtoken::encode(&self.header, claims, &self.signing)
    }

    /// Returns the token's claims if one of the keys signed it.
    pub(super) fn decode<C: DeserializeOwned>(&self, token: &str) -> Result<TokenData<C>, Error> {
        let mut outcome = Err(ErrorKind::InvalidSignature.into());
        for candidate in self.candidates(token)? {
            outcome = jsonwebtoken::decode(token, &candidate.key, &self.validation);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Returns the key with the `kid` of the token. Returns all keys if the `kid` is missing or
    /// unknown: tokens of the reference service have no `kid`, and other issuers may choose any.
    fn candidates(&self, token: &str) -> Result<&[VerifyingKey], Error> {
        let all = self.verifying.as_slice();
        if all.len() == 1 {
            return Ok(all);
        }
        let kid = jsonwebtoken::decode_header(token)?.kid;
        let found = all.iter().find(|key| Some(&key.kid) == kid.as_ref());
        Ok(found.map_or(all, std::slice::from_ref))
    }
}

fn secret_kid(secret: &EncodingKey, algorithm: Algorithm) -> Result<String, Error> {
    let mut kid = jsonwebtoken::crypto::sign(KID_LABEL, secret, algorithm.into())?;
    kid.truncate(KID_LENGTH);
    Ok(kid)
}

fn no_key() -> Error {
    ErrorKind::InvalidKeyFormat.into()
}
