//! Tokens of every algorithm, and every checked claim.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::auth::{Algorithm, Tokens};
use crate::clock::Clock;
use crate::domain::caller::ValidFromRange;
use crate::domain::user::{TokensValidFrom, UserId};

pub(super) const NOW: i64 = 1_738_324_800;

const SECRET: &str = "the same for all algorithms";

const ALGORITHMS: [(Algorithm, &str, usize); 3] = [
    (Algorithm::HS256, "HS256", 32),
    (Algorithm::HS384, "HS384", 48),
    (Algorithm::HS512, "HS512", 64),
];

/// A clock that always returns [`NOW`].
pub(super) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }
}

/// A clock that returns the second that the test sets.
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

fn tokens(algorithm: Algorithm, secret: &str) -> Tokens {
    let lifetime = Duration::from_mins(30);
    Tokens::new(&SecretString::from(secret), algorithm, lifetime, Arc::new(StoppedClock)).unwrap()
}

/// Returns the user of a token with these claims, if the service accepts it.
fn verified(claims: &Value) -> Option<UserId> {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), claims, &key).unwrap();
    tokens.verify(&token).ok().map(|(user_id, _)| user_id)
}

#[test]
fn secret_verifies_only_its_own_algorithm() {
    for (algorithm, name, length) in ALGORITHMS {
        let token = tokens(algorithm, SECRET).issue(UserId(7), TokensValidFrom::default()).unwrap();
        let part = |number| URL_SAFE_NO_PAD.decode(token.split('.').nth(number).unwrap()).unwrap();
        let json = |number| serde_json::from_slice::<Value>(&part(number)).unwrap();
        assert_eq!(json(0)["alg"], name);
        assert_eq!(json(1), json!({"user_id": 7, "exp": NOW + 1800, "iat": NOW}));
        assert_eq!(part(2).len(), length);
        for (other, ..) in ALGORITHMS {
            let verified = tokens(other, SECRET).verify(&token).ok();
            let expected = (UserId(7), ValidFromRange::never_revoked(at(NOW)));
            assert_eq!(verified, (other == algorithm).then_some(expected), "{name}");
        }
        assert!(tokens(algorithm, "another for each of them").verify(&token).is_err(), "{name}");
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The other claims imply the value of an account that has never revoked its tokens.
#[test]
fn token_of_account_that_never_revoked_has_no_further_claim() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let never = Some(ValidFromRange::never_revoked(at(NOW)));
    for tokens_valid_from in [
        TokensValidFrom::default(),
        TokensValidFrom::of_new_account(at(1)),
        TokensValidFrom::of_new_account(at(NOW)),
    ] {
        let token = tokens.issue(UserId(7), tokens_valid_from).unwrap();
        assert_eq!(claims(&token), json!({"user_id": 7, "exp": NOW + 1800, "iat": NOW}));
        let range = tokens.verify(&token).ok().map(|(_, range)| range);
        assert_eq!(range, never);
        assert!(range.unwrap().accepts(tokens_valid_from), "{tokens_valid_from:?}");
    }
}

/// The account was created by a machine whose clock is ahead.
#[test]
fn token_that_seems_older_than_its_account_carries_tokens_valid_from() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let tokens_valid_from = TokensValidFrom::of_new_account(at(NOW + 1));
    let token = tokens.issue(UserId(7), tokens_valid_from).unwrap();
    assert_eq!(claims(&token)["valid_from"], json!(-1_000_000 * (NOW + 1)));
    assert_eq!(tokens.verify(&token).unwrap().1, ValidFromRange::of(tokens_valid_from));
}

fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[test]
fn token_of_account_that_revoked_carries_tokens_valid_from() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let tokens_valid_from =
        TokensValidFrom(Timestamp::from_microsecond(NOW * 1_000_000 - 7).unwrap());
    let token = tokens.issue(UserId(7), tokens_valid_from).unwrap();
    let valid_from = NOW * 1_000_000 - 7;
    let expected = json!({"user_id": 7, "exp": NOW + 1800, "iat": NOW, "valid_from": valid_from});
    assert_eq!(claims(&token), expected);
    // The first call parses the token, the second one reads the cache.
    for _ in 0..2 {
        assert_eq!(
            tokens.verify(&token).unwrap(),
            (UserId(7), ValidFromRange::of(tokens_valid_from))
        );
    }
}

#[test]
fn uncertain_valid_from_is_read_strictly() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let valid_from_range = |claims: Value| {
        let token = encode(&Header::default(), &claims, &key).unwrap();
        tokens.verify(&token).ok().map(|(_, valid_from_range)| valid_from_range)
    };
    let never = |issued_at| Some(ValidFromRange::never_revoked(at(issued_at)));
    let exp = NOW + 600;
    // A token of the reference service was issued one lifetime before it expires.
    let issued = Some(ValidFromRange::estimated(at(exp - 1800)));
    assert_eq!(valid_from_range(json!({"user_id": 7, "exp": exp})), issued);
    let fraction = Timestamp::from_microsecond((exp - 1800) * 1_000_000 + 500_000).unwrap();
    let with_fraction = valid_from_range(
        json!({"user_id": 7, "exp": f64::from(i32::try_from(exp).unwrap()) + 0.5}),
    );
    assert_eq!(with_fraction, Some(ValidFromRange::estimated(fraction)));
    // A token of this service, issued before the tokens of the account were first revoked.
    for iat in [NOW, NOW + 4711, -1] {
        let range = valid_from_range(json!({"user_id": 7, "exp": exp, "iat": iat}));
        assert_eq!(range, never(iat), "{iat}");
    }
    let with_fraction = json!({"user_id": 7, "exp": exp, "iat": 7.9});
    assert_eq!(valid_from_range(with_fraction), never(7));
    // Times beyond the last possible timestamp.
    let unknown = Some(ValidFromRange::default());
    assert_eq!(valid_from_range(json!({"user_id": 7, "exp": 1e300})), unknown);
    assert_eq!(valid_from_range(json!({"user_id": 7, "exp": exp, "iat": 1e300})), None);
    for tokens_valid_from in
        [json!("0"), json!(1.5), json!(null), json!(true), json!(u64::MAX), json!(i64::MAX)]
    {
        assert_eq!(
            valid_from_range(json!({"user_id": 7, "exp": exp, "valid_from": tokens_valid_from})),
            None,
            "{tokens_valid_from}"
        );
    }
}

#[test]
fn signature_is_verified_to_its_last_byte() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let token = tokens.issue(UserId(7), TokensValidFrom::default()).unwrap();
    // The valid token is in the cache. Tokens that differ in one byte must not match it.
    tokens.verify(&token).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for index in 0..signature.len() {
        let mut other = signature.clone();
        other[index] ^= 1;
        let other = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
        assert!(tokens.verify(&other).is_err(), "byte {index}");
    }
    let shorter = URL_SAFE_NO_PAD.encode(&signature[..31]);
    assert!(tokens.verify(&format!("{message}.{shorter}")).is_err());
}

#[test]
fn dates_are_checked_to_the_second() {
    let claims = |exp: i64| json!({"user_id": 7, "exp": exp});
    assert_eq!(verified(&claims(NOW + 1)), Some(UserId(7)));
    assert_eq!(verified(&claims(NOW)), None);
    assert_eq!(verified(&claims(NOW - 1)), None);
    let claims = |nbf: i64| json!({"user_id": 7, "exp": NOW + 60, "nbf": nbf});
    assert_eq!(verified(&claims(NOW - 1)), Some(UserId(7)));
    assert_eq!(verified(&claims(NOW)), Some(UserId(7)));
    assert_eq!(verified(&claims(NOW + 1)), None);
}

#[test]
fn cached_token_expires() {
    let clock = Arc::new(ManualClock(AtomicI64::new(NOW)));
    let lifetime = Duration::from_mins(30);
    let secret = SecretString::from(SECRET);
    let tokens = Tokens::new(&secret, Algorithm::HS256, lifetime, clock.clone()).unwrap();
    // The long token is not cached.
    for claim in ["short".to_owned(), "long".repeat(200)] {
        let claims = json!({"user_id": 7, "nbf": NOW + 10, "exp": NOW + 20, "x": claim});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::default(), &claims, &key).unwrap();
        for (now, is_valid) in
            [(9, false), (10, true), (19, true), (20, false), (10, true), (9, false)]
        {
            clock.0.store(NOW + now, Ordering::Relaxed);
            assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{now}");
        }
    }
}

#[test]
fn claim_of_wrong_type_or_purpose_is_rejected() {
    for (name, value) in [
        ("user_id", json!("7")),
        ("user_id", json!(7.5)),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("nbf", Value::Null),
        ("iat", json!("now")),
        ("iat", Value::Null),
        ("sub", json!(7)),
        ("jti", json!(7)),
        ("aud", json!("posts")),
        ("aud", Value::Null),
        ("at_hash", json!("x")),
    ] {
        let mut claims = json!({"user_id": 7, "exp": NOW + 60, "sub": "7", "jti": "x", "iat": NOW});
        assert_eq!(verified(&claims), Some(UserId(7)));
        claims[name] = value;
        assert_eq!(verified(&claims), None, "{claims}");
    }
    assert_eq!(verified(&json!({"user_id": 7})), None);
    assert_eq!(verified(&json!({"exp": NOW + 60})), None);
}

#[test]
fn token_above_4096_bytes_is_rejected() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for (length, is_valid) in [(4095, true), (4096, true), (4097, false), (4098, false)] {
        // Varying only the claims does not reach every token length in base64, so the `kid` varies
        // too.
        let lengths = (0..4).flat_map(|kid| (2900..3000).map(move |claim| (kid, claim)));
        let mut candidates = lengths.map(|(kid, claim)| {
            let header = Header { kid: Some("k".repeat(kid)), ..Header::default() };
            let claims = json!({"user_id": 7, "exp": NOW + 60, "x": "x".repeat(claim)});
            encode(&header, &claims, &key).unwrap()
        });
        let token = candidates.find(|token| token.len() == length).unwrap();
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{length}");
    }
}
