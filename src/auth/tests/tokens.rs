//! Tokens.

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
use crate::domain::user::UserId;

pub(super) const NOW: i64 = 1_738_324_800;

const SECRET: &str = "the same for all of them";

const ALGORITHMS: [(Algorithm, &str, usize); 3] = [
    (Algorithm::HS256, "HS256", 32),
    (Algorithm::HS384, "HS384", 48),
    (Algorithm::HS512, "HS512", 64),
];

/// Shows [`NOW`].
pub(super) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }
}

/// Shows what it is set to.
struct Moving(AtomicI64);

impl Clock for Moving {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

fn tokens(algorithm: Algorithm, secret: &str) -> Tokens {
    let lifetime = Duration::from_mins(30);
    Tokens::new(&SecretString::from(secret), algorithm, lifetime, Arc::new(Stopped)).unwrap()
}

/// What the service makes of these claims, signed as its own.
fn verified(claims: &Value) -> Option<UserId> {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), claims, &key).unwrap();
    tokens.verify(&token).ok()
}

/// Each signs as it says, and knows no other's tokens.
#[test]
fn every_algorithm_keeps_to_itself() {
    for (algorithm, name, length) in ALGORITHMS {
        let token = tokens(algorithm, SECRET).issue(UserId(7)).unwrap();
        let part = |number| URL_SAFE_NO_PAD.decode(token.split('.').nth(number).unwrap()).unwrap();
        let json = |number| serde_json::from_slice::<Value>(&part(number)).unwrap();
        assert_eq!(json(0)["alg"], name);
        assert_eq!(json(1), json!({"user_id": 7, "exp": NOW + 1800, "iat": NOW}));
        assert_eq!(part(2).len(), length);
        for (other, ..) in ALGORITHMS {
            let verified = tokens(other, SECRET).verify(&token).ok();
            assert_eq!(verified, (other == algorithm).then_some(UserId(7)), "{name}");
        }
        assert!(tokens(algorithm, "another for each of them").verify(&token).is_err(), "{name}");
    }
}

#[test]
fn a_signature_counts_to_its_last_byte() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let token = tokens.issue(UserId(7)).unwrap();
    // One that was accepted before is known; those that are nearly the same are not.
    tokens.verify(&token).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for place in 0..signature.len() {
        let mut other = signature.clone();
        other[place] ^= 1;
        let other = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
        assert!(tokens.verify(&other).is_err(), "byte {place}");
    }
    let shorter = URL_SAFE_NO_PAD.encode(&signature[..31]);
    assert!(tokens.verify(&format!("{message}.{shorter}")).is_err());
}

#[test]
fn claims_hold_to_the_second() {
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
fn a_token_that_was_accepted_is_not_for_ever() {
    let clock = Arc::new(Moving(AtomicI64::new(NOW)));
    let lifetime = Duration::from_mins(30);
    let secret = SecretString::from(SECRET);
    let tokens = Tokens::new(&secret, Algorithm::HS256, lifetime, clock.clone()).unwrap();
    // The longer one is not remembered.
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
fn claims_are_of_their_types_and_for_us() {
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
fn the_longest_token_that_is_looked_at_has_4096_bytes() {
    let tokens = tokens(Algorithm::HS256, SECRET);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for (length, is_valid) in [(4095, true), (4096, true), (4097, false), (4098, false)] {
        // In base64 not every length can be had by the claims alone.
        let kids = (0..4).flat_map(|kid| (2900..3000).map(move |claim| (kid, claim)));
        let mut made = kids.map(|(kid, claim)| {
            let header = Header { kid: Some("k".repeat(kid)), ..Header::default() };
            let claims = json!({"user_id": 7, "exp": NOW + 60, "x": "x".repeat(claim)});
            encode(&header, &claims, &key).unwrap()
        });
        let token = made.find(|token| token.len() == length).unwrap();
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{length}");
    }
}
