//! The keys of the tokens: one signs, all verify, so that a new key can take over while tokens of the
//! old one are still in use. Not here: what a token says, and until when it is valid (`token`).

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, TokenData, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::provider;
use super::{Algorithm, KeyPair, PublicKey, TokenError};

/// Characters of a key's name, of six bits each.
pub(super) const KID_LENGTH: usize = 11;

/// What a secret's name is made from. No token is signed over it: those have a dot.
const KID_LABEL: &[u8] = b"post-api: the name of a key";

/// What [`Keys::pseudonym_key`] is made from besides the key, so that it is no other hash of it.
const PSEUDONYM_LABEL: &[u8] = b"post-api: the key of pseudonyms";

/// One signs, all verify.
pub struct Keys {
    header: Header,
    validation: Validation,
    signing: EncodingKey,
    verifying: Vec<VerifyingKey>,
    public: Vec<PublicKey>,
}

struct VerifyingKey {
    /// As a token's `kid` names it.
    kid: String,
    key: DecodingKey,
}

impl Keys {
    /// One secret. Its tokens name no key: they look as those of the reference, to the byte.
    ///
    /// # Errors
    /// [`TokenError`] if the algorithm does not sign with a secret.
    pub fn of_secret(secret: &SecretString, algorithm: Algorithm) -> Result<Self, TokenError> {
        let mut keys = Self::of_secrets(std::slice::from_ref(secret), algorithm)?;
        keys.header.kid = None;
        Ok(keys)
    }

    /// Secrets, the first of which signs. Its tokens name it.
    ///
    /// # Errors
    /// [`TokenError`] if there is none, or the algorithm does not sign with a secret.
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

    /// The name by which tokens tell which secret signed them. It gives away nothing of the secret.
    ///
    /// # Errors
    /// [`TokenError`] if the algorithm does not sign with a secret.
    pub fn kid_of(secret: &SecretString, algorithm: Algorithm) -> Result<String, TokenError> {
        provider::install();
        let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
        Ok(secret_kid(&key, algorithm)?)
    }

    /// Pairs of keys, the first of which signs. Its tokens name it.
    ///
    /// # Errors
    /// [`TokenError`] if there is none.
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
        // Whoever reads the claims looks at them, by our clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let kid = verifying.first().map(|first| first.kid.clone());
        let header = Header { kid, ..Header::new(algorithm) };
        Self { header, validation, signing, verifying, public }
    }

    /// What others may verify tokens with; empty if only who could sign them can.
    #[must_use]
    pub fn public(&self) -> &[PublicKey] {
        &self.public
    }

    /// A key for names that stand for something else: the same in every process that signs alike, and of
    /// no use for anything but that.
    #[must_use]
    pub fn pseudonym_key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(PSEUDONYM_LABEL);
        hash.update(self.signing.as_bytes());
        hash.finalize().into()
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        jsonwebtoken::encode(&self.header, claims, &self.signing)
    }

    /// What the token says, if one of the keys signed it.
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

    /// The key that the token names; all of them if that is none of ours, as others may name theirs
    /// as they like.
    fn candidates(&self, token: &str) -> Result<&[VerifyingKey], Error> {
        let all = self.verifying.as_slice();
        if all.len() == 1 {
            return Ok(all);
        }
        let named = jsonwebtoken::decode_header(token)?.kid;
        let found = all.iter().find(|key| Some(&key.kid) == named.as_ref());
        Ok(found.map_or(all, std::slice::from_ref))
    }
}

/// Tells no more of the secret than the signature of any token does.
fn secret_kid(secret: &EncodingKey, algorithm: Algorithm) -> Result<String, Error> {
    let mut kid = jsonwebtoken::crypto::sign(KID_LABEL, secret, algorithm.into())?;
    kid.truncate(KID_LENGTH);
    Ok(kid)
}

fn no_key() -> Error {
    ErrorKind::InvalidKeyFormat.into()
}
