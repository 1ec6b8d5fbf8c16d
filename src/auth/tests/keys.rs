//! Several keys at once, and key rotation.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::tokens::{NOW, StoppedClock};
use crate::auth::{Algorithm, Keys, Tokens};
use crate::domain::user::{TokensValidFrom, UserId};

const OLD: &str = "the old secret, of more than thirty-two bytes";
const NEW: &str = "the new secret, of more than thirty-two bytes";
const FOREIGN: &str = "a foreign secret, of more than thirty-two bytes";

fn tokens_of(keys: Keys) -> Tokens {
    Tokens::with_keys(keys, Duration::from_mins(30), Arc::new(StoppedClock)).unwrap()
}

/// As `SECRET_KEY` configures it.
fn single(secret: &str) -> Tokens {
    tokens_of(Keys::of_secret(&SecretString::from(secret), Algorithm::HS256).unwrap())
}

/// As `SECRET_KEYS` configures them.
fn several(secrets: &[&str]) -> Tokens {
    let secrets: Vec<_> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
    tokens_of(Keys::of_secrets(&secrets, Algorithm::HS256).unwrap())
}

fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

fn forge(secret: &str, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::default() };
    let claims = json!({"user_id": 7, "exp": NOW + 60});
    encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn kid_of(tokens: &Tokens) -> String {
    header(&tokens.issue(UserId(7), TokensValidFrom::default()).unwrap())["kid"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn header_with_single_secret_equals_reference_header() {
    let token = single(OLD).issue(UserId(7), TokensValidFrom::default()).unwrap();
    let expected = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    assert_eq!(token.split('.').next().unwrap(), expected);
}

#[test]
fn first_of_several_secrets_signs_with_its_kid() {
    for (secrets, other) in [([OLD, NEW], NEW), ([NEW, OLD], OLD)] {
        let token = several(&secrets).issue(UserId(7), TokensValidFrom::default()).unwrap();
        assert!(single(secrets[0]).verify(&token).is_ok());
        assert!(single(other).verify(&token).is_err());
        let kid = kid_of(&several(&secrets));
        assert_eq!(header(&token), json!({"typ": "JWT", "alg": "HS256", "kid": kid}));
        assert_eq!(kid, kid_of(&several(&secrets[..1])), "the kid depends only on the secret");
        assert_eq!(kid.len(), 11);
    }
    assert_ne!(kid_of(&several(&[OLD])), kid_of(&several(&[NEW])));
}

/// Running services identify keys by their `kid`, and accounts by pseudonyms, so neither may
/// change. Expected values from Python: `hmac.new(OLD, b"post-api: the name of a key", "sha256")`
/// in base64url, and `hashlib.sha256(b"post-api: the key of pseudonyms" + OLD)`.
#[test]
fn kid_and_pseudonym_key_of_a_secret_are_stable() {
    let secret = SecretString::from(OLD);
    assert_eq!(Keys::kid_of(&secret, Algorithm::HS256).unwrap(), "-tvz3JLjIFl");
    let keys = Keys::of_secret(&secret, Algorithm::HS256).unwrap();
    assert_eq!(keys.pseudonym_key()[..8], [0x49, 0x4f, 0x56, 0x82, 0x75, 0x76, 0xd1, 0x6b]);
}

/// A plain hash of the secret could be looked up in a table.
#[test]
fn kid_is_not_a_plain_hash() {
    use sha2::{Digest as _, Sha256};
    let kid = kid_of(&several(&[OLD]));
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(OLD));
    assert!(!hash.starts_with(&kid) && !OLD.contains(&kid), "{kid}");
}

#[test]
fn kid_selects_one_key_and_unknown_kid_selects_all() {
    let tokens = several(&[NEW, OLD]);
    let (new, old) = (kid_of(&tokens), kid_of(&several(&[OLD])));
    for (secret, kid, is_valid) in [
        (NEW, Some(new.as_str()), true),
        (OLD, Some(old.as_str()), true),
        (OLD, Some(new.as_str()), false),
        (NEW, Some(old.as_str()), false),
        (NEW, None, true),
        (OLD, None, true),
        (OLD, Some("../../dev/null"), true),
        (NEW, Some(""), true),
        (FOREIGN, None, false),
        (FOREIGN, Some(new.as_str()), false),
        (FOREIGN, Some("anything"), false),
    ] {
        let token = forge(secret, kid);
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{secret:?} {kid:?}");
        // The second time the token comes from the cache, if it is valid.
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{secret:?} {kid:?}, again");
    }
}

#[test]
fn malformed_token_is_rejected_with_several_keys() {
    let tokens = several(&[NEW, OLD]);
    for token in ["", ".", "a.b.c", "..", &format!("x.{}", forge(OLD, None))] {
        assert!(tokens.verify(token).is_err(), "{token:?}");
    }
}

#[test]
fn keys_without_a_usable_key_are_rejected() {
    assert!(Keys::of_secrets(&[], Algorithm::HS256).is_err());
    assert!(Keys::of_pairs(&[], Algorithm::EdDSA).is_err());
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let secret = SecretString::from(OLD);
        assert!(Keys::of_secret(&secret, algorithm).is_err(), "{algorithm:?}");
    }
}

/// Moves one replica after the other from each step to the next. After each move every replica
/// signs a token. Returns how many of the tokens in use were rejected by any replica.
fn rejected_during(steps: &[fn() -> Tokens]) -> usize {
    const REPLICAS: usize = 3;
    let mut replicas: Vec<Tokens> = (0..REPLICAS).map(|_| steps[0]()).collect();
    let mut rejected = 0;
    for pair in steps.windows(2) {
        // Tokens of the previous step are still valid; tokens of earlier steps have expired.
        let mut in_use: Vec<String> = replicas
            .iter()
            .map(|replica| replica.issue(UserId(7), TokensValidFrom::default()).unwrap())
            .collect();
        for index in 0..REPLICAS {
            replicas[index] = pair[1]();
            in_use.extend(
                replicas
                    .iter()
                    .map(|replica| replica.issue(UserId(7), TokensValidFrom::default()).unwrap()),
            );
            let is_rejected =
                |token: &&String| replicas.iter().any(|replica| replica.verify(token).is_err());
            rejected += in_use.iter().filter(is_rejected).count();
        }
    }
    rejected
}

/// The steps of docs/keys.md: no replica rejects a token at any moment.
#[test]
fn key_rotation_in_steps_rejects_no_token() {
    let steps: [fn() -> Tokens; 4] =
        [|| single(OLD), || several(&[OLD, NEW]), || several(&[NEW, OLD]), || several(&[NEW])];
    assert_eq!(rejected_during(&steps), 0);
    // The next rotation starts where this one ended.
    let again: [fn() -> Tokens; 4] =
        [|| several(&[NEW]), || several(&[NEW, OLD]), || several(&[OLD, NEW]), || single(OLD)];
    assert_eq!(rejected_during(&again), 0);
    let hasty: [fn() -> Tokens; 2] = [|| single(OLD), || several(&[NEW, OLD])];
    assert!(rejected_during(&hasty) > 0, "without the first step some tokens are rejected");
    let hastier: [fn() -> Tokens; 2] = [|| several(&[OLD, NEW]), || several(&[NEW])];
    assert!(rejected_during(&hastier) > 0, "and without the second step");
}

#[test]
fn removed_key_verifies_nothing() {
    let token = several(&[OLD, NEW]).issue(UserId(7), TokensValidFrom::default()).unwrap();
    assert!(several(&[NEW, OLD]).verify(&token).is_ok());
    assert!(several(&[NEW]).verify(&token).is_err());
    assert!(single(NEW).verify(&token).is_err());
}
