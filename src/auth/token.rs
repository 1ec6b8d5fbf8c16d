//! Access tokens: signed JWTs with the claims of the reference service (`user_id`, `exp`) and
//! `iat`. The claim `valid_from`, the account's `tokens_valid_from` at the time of issue, is only in
//! tokens whose `iat` does not imply it: those of an account whose tokens were ever revoked, or
//! that another machine's clock created later than the token.
//! Not here: the keys, see `keys.rs`; whether the account exists and accepts the token, see
//! `store`.
//!
//! Claims are checked strictly (RFC 8725). The algorithm is pinned, the expiry must be a number in
//! the future, and there is no leeway. Tokens for another audience or purpose are rejected.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use secrecy::SecretString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use super::{Algorithm, Keys, PublicKey, TokenError};
use crate::clock::Clock;
use crate::domain::caller::ValidFromRange;
use crate::domain::user::{TokensValidFrom, UserId};

/// Maximum length in bytes of a token that is parsed. Tokens of this service have about 150 bytes.
/// The limit exists because the header is parsed before the signature is verified.
pub(super) const MAX_TOKEN_BYTES: usize = 4096;

/// Number of valid tokens in the cache, which take at most 16 MiB. A hit saves verifying the
/// signature and parsing the claims. The dates are checked each time.
const CACHE_CAPACITY: usize = 16_384;

/// Maximum length of a cached token in bytes. Even a token with a signature of RSA-4096 is shorter.
const MAX_CACHED_BYTES: usize = 1024;

/// No key of this service signed the token, or it is not valid now. The reason is only for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid token: {0}")]
pub struct InvalidToken(pub(super) &'static str);

/// A valid token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidToken {
    pub user_id: UserId,
    /// The values of `tokens_valid_from` for which the account accepts the token.
    pub valid_from_range: ValidFromRange,
    /// When the token expires.
    pub expires: Timestamp,
}

/// Issues and verifies tokens.
pub struct Tokens {
    pub(super) clock: Arc<dyn Clock>,
    lifetime: Duration,
    pub(super) keys: Keys,
    /// Claims, keyed by the whole token. The keys of a process never change, so a valid signature
    /// stays valid.
    cache: Cache<Box<str>, VerifiedClaims>,
}

impl Tokens {
    /// Signs and verifies with one secret.
    ///
    /// # Errors
    /// As in [`Tokens::with_keys`].
    pub fn new(
        secret: &SecretString,
        algorithm: Algorithm,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenError> {
        Self::with_keys(Keys::of_secret(secret, algorithm)?, lifetime, clock)
    }

    /// Signs and verifies with these keys. Issued tokens are valid for `lifetime`.
    ///
    /// # Errors
    /// [`TokenError`] if these keys cannot sign and verify a token. A trial token detects this at
    /// startup, not at the first login.
    pub fn with_keys(
        keys: Keys,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenError> {
        let tokens = Self { clock, lifetime, keys, cache: Cache::new(CACHE_CAPACITY) };
        let trial = tokens.issue(UserId(1), TokensValidFrom::default())?;
        tokens.keys.decode::<Claims>(&trial)?;
        Ok(tokens)
    }

    /// Returns the keys that the JWK set publishes. Empty if tokens are signed with a secret.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        self.keys.public()
    }

    /// Returns how long an issued token is valid.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Returns a token for the user. It is valid for the lifetime, or until the `tokens_valid_from`
    /// of the account moves.
    ///
    /// # Errors
    /// [`TokenError`] if signing fails.
    pub fn issue(
        &self,
        user_id: UserId,
        tokens_valid_from: TokensValidFrom,
    ) -> Result<String, TokenError> {
        let now = self.clock.now();
        let issued_at = now.as_second();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let is_implied = ValidFromRange::never_revoked(now).accepts(tokens_valid_from);
        let claims = IssuedClaims {
            user_id: user_id.0,
            exp: issued_at.saturating_add(lifetime),
            iat: issued_at,
            valid_from: (!is_implied).then(|| tokens_valid_from.0.as_microsecond()),
        };
        Ok(self.keys.sign(&claims)?)
    }

    /// Returns the user that the token names, and the values of `tokens_valid_from` for which the
    /// account accepts the token.
    ///
    /// # Errors
    /// [`InvalidToken`] if none of the keys signed the token, or it is not valid now.
    pub fn verify(&self, token: &str) -> Result<(UserId, ValidFromRange), InvalidToken> {
        let ValidToken { user_id, valid_from_range, .. } = self.verify_until(token)?;
        Ok((user_id, valid_from_range))
    }

    /// Like [`Tokens::verify`]. Also returns when the token expires.
    ///
    /// # Errors
    /// As [`Tokens::verify`].
    pub fn verify_until(&self, token: &str) -> Result<ValidToken, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken("too long"));
        }
        if let Some(claims) = self.cache.get(token) {
            return claims.check_dates(self.clock.now());
        }
        let claims = self.read(token)?;
        let verified = claims.check_dates(self.clock.now())?;
        if token.len() <= MAX_CACHED_BYTES {
            self.cache.insert(token.into(), claims);
        }
        Ok(verified)
    }

    /// Returns the claims of the token if one of the keys signed it.
    fn read(&self, token: &str) -> Result<VerifiedClaims, InvalidToken> {
        let decoded = self
            .keys
            .decode::<Claims>(token)
            .map_err(|_| InvalidToken("not signed by this service"))?;
        if decoded.header.crit.is_some() {
            // RFC 7515, 4.1.11: an unknown extension must be rejected.
            return Err(InvalidToken("critical extension"));
        }
        decoded.claims.read(self.lifetime)
    }
}

#[derive(Serialize)]
struct IssuedClaims {
    user_id: i64,
    exp: i64,
    iat: i64,
    /// Microseconds since 1970. Absent if `iat` implies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<i64>,
}

/// The claims that are checked. A duplicate claim, a wrong type and `null` fail to parse.
#[derive(Deserialize)]
struct Claims {
    user_id: Value,
    exp: Number,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Number>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<Number>,
    #[serde(default, deserialize_with = "present")]
    valid_from: Option<Number>,
    #[serde(default, rename = "sub", deserialize_with = "present")]
    _sub: Option<String>,
    #[serde(default, rename = "jti", deserialize_with = "present")]
    _jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    at_hash: Option<IgnoredAny>,
}

/// Rejects `null`: a claim that is present must have its type.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Claims of a token whose signature was verified.
#[derive(Clone, Copy)]
struct VerifiedClaims {
    user_id: UserId,
    valid_from_range: ValidFromRange,
    /// Seconds since 1970.
    expires: f64,
    not_before: Option<f64>,
}

impl Claims {
    fn read(&self, lifetime: Duration) -> Result<VerifiedClaims, InvalidToken> {
        if self.aud.is_some() || self.at_hash.is_some() {
            return Err(InvalidToken("for another audience or purpose"));
        }
        let expires = self.exp.as_f64().ok_or(InvalidToken("bad exp"))?;
        let not_before = match &self.nbf {
            Some(not_before) => Some(not_before.as_f64().ok_or(InvalidToken("bad nbf"))?),
            None => None,
        };
        let user_id = self.user_id.as_i64().ok_or(InvalidToken("bad user_id"))?;
        let valid_from_range = self.valid_from_range(expires, lifetime)?;
        Ok(VerifiedClaims { user_id: UserId(user_id), valid_from_range, expires, not_before })
    }

    /// Returns the values of `tokens_valid_from` for which the account accepts the token. If a fact
    /// is uncertain, the stricter case applies.
    ///
    /// A token with `iat` but without `valid_from` was issued before the tokens of the account were
    /// first revoked, and not before the account was created. A token with neither claim comes from
    /// the reference service: it was issued about one lifetime before its expiry.
    fn valid_from_range(
        &self,
        expires: f64,
        lifetime: Duration,
    ) -> Result<ValidFromRange, InvalidToken> {
        if let Some(tokens_valid_from) = &self.valid_from {
            let microseconds = tokens_valid_from.as_i64();
            let time = microseconds.and_then(|time| Timestamp::from_microsecond(time).ok());
            let time = time.ok_or(InvalidToken("bad valid_from"))?;
            return Ok(ValidFromRange::of(TokensValidFrom(time)));
        }
        if let Some(issued_at) = &self.iat {
            let issued_at = issued_at.as_f64().and_then(time).ok_or(InvalidToken("bad iat"))?;
            return Ok(ValidFromRange::never_revoked(issued_at));
        }
        let issued_at = time(expires - lifetime.as_secs_f64());
        Ok(issued_at.map_or_else(ValidFromRange::default, ValidFromRange::estimated))
    }
}

/// Returns the time of a number of seconds since 1970.
fn time(seconds: f64) -> Option<Timestamp> {
    let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}

impl VerifiedClaims {
    fn check_dates(self, now: Timestamp) -> Result<ValidToken, InvalidToken> {
        let now = SignedDuration::from_micros(now.as_microsecond()).as_secs_f64();
        if self.expires <= now {
            return Err(InvalidToken("expired"));
        }
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return Err(InvalidToken("not valid yet"));
        }
        let Self { user_id, valid_from_range, expires, .. } = self;
        let expires = time(expires).unwrap_or(Timestamp::MAX);
        Ok(ValidToken { user_id, valid_from_range, expires })
    }
}
