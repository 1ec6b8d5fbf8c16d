//! Bearer tokens: signed JWTs, as the reference makes them (`user_id`, `exp`) plus
//! `iat`, and for accounts whose tokens were ended before `valid_from`: the mark under which this one was
//! issued. Not here: the keys (`keys`), whether the user still exists, and which mark is the present one.
//!
//! Claims are read strictly (RFC 8725): one pinned algorithm, an expiry that is a number and
//! lies ahead, no leeway, and no claim that would mean the token is for somebody else.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use secrecy::SecretString;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use super::{Algorithm, Keys, PublicKey};
use crate::clock::Clock;
use crate::domain::caller::ValidFromRange;
use crate::domain::user::{TokensValidFrom, UserId};

/// Bytes of a token that are looked at: ours have some 150, and a stranger's header is parsed before
/// its signature.
const MAX_TOKEN_BYTES: usize = 4096;

/// Tokens that are remembered once they were found valid, and bytes of the longest of them, which is
/// above that of an RSA key of 4096 bits: 16 MiB together at most. One of these is known by all of its
/// bytes; what it is spared is the signature and the reading of its claims. Its dates are looked at
/// each time.
const CACHE_CAPACITY: usize = 16_384;
const MAX_CACHED_BYTES: usize = 1024;

/// The token is not one of ours, or not valid now. Why is nobody's business but the log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid token: {0}")]
pub struct InvalidToken(&'static str);

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct TokenError(#[from] jsonwebtoken::errors::Error);

/// Issues and verifies tokens.
pub struct Tokens {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    keys: Keys,
    /// By the whole token. The keys do not change, so that what one of them signed stays signed.
    cache: Cache<Box<str>, VerifiedClaims>,
}

impl Tokens {
    /// With one secret.
    ///
    /// # Errors
    /// As [`Tokens::with_keys`].
    pub fn new(
        secret: &SecretString,
        algorithm: Algorithm,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenError> {
        Self::with_keys(Keys::of_secret(secret, algorithm)?, lifetime, clock)
    }

    /// # Errors
    /// [`TokenError`] if a token cannot be signed and verified with these keys: found out at the
    /// start instead of at the first login.
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

    /// What others may verify tokens with; empty if only who could sign them can.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        self.keys.public()
    }

    /// How long a token is good.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A token for the user, valid from now for the lifetime, as long as the mark of the account does
    /// not move.
    ///
    /// # Errors
    /// [`TokenError`] if signing fails.
    pub fn issue(
        &self,
        user_id: UserId,
        tokens_valid_from: TokensValidFrom,
    ) -> Result<String, TokenError> {
        let issued_at = self.clock.now().as_second();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let has_moved = tokens_valid_from != TokensValidFrom::default();
        let claims = IssuedClaims {
            user_id: user_id.0,
            exp: issued_at.saturating_add(lifetime),
            iat: issued_at,
            valid_from: has_moved.then(|| tokens_valid_from.0.as_microsecond()),
        };
        Ok(self.keys.sign(&claims)?)
    }

    /// The user that the token names, and how far it reaches.
    ///
    /// # Errors
    /// [`InvalidToken`] for everything that is not a token of ours, valid now.
    pub fn verify(&self, token: &str) -> Result<(UserId, ValidFromRange), InvalidToken> {
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

    /// What the token says, if it was signed with a key of ours.
    fn read(&self, token: &str) -> Result<VerifiedClaims, InvalidToken> {
        let decoded = self
            .keys
            .decode::<Claims>(token)
            .map_err(|_| InvalidToken("not signed by this service"))?;
        if decoded.header.crit.is_some() {
            // RFC 7515, 4.1.11: an extension that is not understood must be refused.
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
    /// In microseconds since 1970. Not there while the account's mark has never moved: the token is then
    /// as it always was.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<i64>,
}

/// The claims that matter. One that stands twice, or has the wrong type, fails to parse; so does
/// a null, which is not the same as an absent one.
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

/// A claim that is there must have its type.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What a token of ours says.
#[derive(Clone, Copy)]
struct VerifiedClaims {
    user_id: UserId,
    valid_from_range: ValidFromRange,
    /// In seconds since 1970.
    expires: f64,
    not_before: Option<f64>,
}

impl Claims {
    fn read(&self, lifetime: Duration) -> Result<VerifiedClaims, InvalidToken> {
        if self.aud.is_some() || self.at_hash.is_some() {
            return Err(InvalidToken("meant for another purpose"));
        }
        let expires = self.exp.as_f64().ok_or(InvalidToken("no expiry"))?;
        let not_before = match &self.nbf {
            Some(not_before) => Some(not_before.as_f64().ok_or(InvalidToken("no beginning"))?),
            None => None,
        };
        let user_id = self.user_id.as_i64().ok_or(InvalidToken("no user"))?;
        let valid_from_range = self.valid_from_range(expires, lifetime)?;
        Ok(VerifiedClaims { user_id: UserId(user_id), valid_from_range, expires, not_before })
    }

    /// What is not known for sure is taken for the worse. A token that says when it was issued and not
    /// under which mark is one of ours from before the account's mark first moved. One that says neither
    /// is the reference's: it was issued a lifetime before it expires, in that second.
    fn valid_from_range(
        &self,
        expires: f64,
        lifetime: Duration,
    ) -> Result<ValidFromRange, InvalidToken> {
        if let Some(tokens_valid_from) = &self.valid_from {
            let tokens_valid_from = tokens_valid_from
                .as_i64()
                .and_then(|tokens_valid_from| Timestamp::from_microsecond(tokens_valid_from).ok());
            let tokens_valid_from = tokens_valid_from.ok_or(InvalidToken("no mark"))?;
            return Ok(ValidFromRange::of(TokensValidFrom(tokens_valid_from)));
        }
        if self.iat.is_some() {
            return Ok(ValidFromRange::default());
        }
        let issued_at = SignedDuration::try_from_secs_f64(expires - lifetime.as_secs_f64());
        let issued_at = issued_at.ok().and_then(|since| Timestamp::from_duration(since).ok());
        Ok(issued_at.map_or_else(ValidFromRange::default, ValidFromRange::issued_at))
    }
}

impl VerifiedClaims {
    fn check_dates(self, now: Timestamp) -> Result<(UserId, ValidFromRange), InvalidToken> {
        let now = SignedDuration::from_micros(now.as_microsecond()).as_secs_f64();
        if self.expires <= now {
            return Err(InvalidToken("expired"));
        }
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return Err(InvalidToken("not valid yet"));
        }
        Ok((self.user_id, self.valid_from_range))
    }
}
