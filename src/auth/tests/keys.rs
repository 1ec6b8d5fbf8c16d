//! Several keys at once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::tokens::{NOW, Stopped};
use crate::auth::{Algorithm, Keys, Tokens};
use crate::domain::user::{TokensValidFrom, UserId};

const OLD: &str = "the old secret, of more than thirty-two bytes";
const NEW: &str = "the new secret, of more than thirty-two bytes";
const STRANGE: &str = "a stranger's secret of more than thirty-two bytes";

fn tokens_of(keys: Keys) -> Tokens {
    Tokens::with_keys(keys, Duration::from_mins(30), Arc::new(Stopped)).unwrap()
}

/// As `SECRET_KEY` gives it.
fn single(secret: &str) -> Tokens {
    tokens_of(Keys::of_secret(&SecretString::from(secret), Algorithm::HS256).unwrap())
}

/// As `SECRET_KEYS` gives them.
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
fn with_one_secret_the_header_is_that_of_the_reference_to_the_byte() {
    let token = single(OLD).issue(UserId(7), TokensValidFrom::default()).unwrap();
    let expected = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    assert_eq!(token.split('.').next().unwrap(), expected);
}

#[test]
fn of_several_the_first_signs_and_is_named() {
    for (secrets, other) in [([OLD, NEW], NEW), ([NEW, OLD], OLD)] {
        let token = several(&secrets).issue(UserId(7), TokensValidFrom::default()).unwrap();
        assert!(single(secrets[0]).verify(&token).is_ok());
        assert!(single(other).verify(&token).is_err());
        let kid = kid_of(&several(&secrets));
        assert_eq!(header(&token), json!({"typ": "JWT", "alg": "HS256", "kid": kid}));
        assert_eq!(kid, kid_of(&several(&secrets[..1])), "it depends on the secret alone");
        assert_eq!(kid.len(), 11);
    }
    assert_ne!(kid_of(&several(&[OLD])), kid_of(&several(&[NEW])));
}

/// A name that says nothing of the secret: no hash of it alone, which could be looked up.
#[test]
fn a_name_is_no_plain_hash() {
    use sha2::{Digest as _, Sha256};
    let kid = kid_of(&several(&[OLD]));
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(OLD));
    assert!(!hash.starts_with(&kid) && !OLD.contains(&kid), "{kid}");
}

#[test]
fn whoever_names_a_key_means_it_and_any_other_name_is_nobody_s() {
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
        (STRANGE, None, false),
        (STRANGE, Some(new.as_str()), false),
        (STRANGE, Some("anything"), false),
    ] {
        let token = forge(secret, kid);
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{secret:?} {kid:?}");
        // What is remembered is no other.
        assert_eq!(tokens.verify(&token).is_ok(), is_valid, "{secret:?} {kid:?}, again");
    }
}

#[test]
fn what_is_no_token_is_none_for_several_keys_too() {
    let tokens = several(&[NEW, OLD]);
    for token in ["", ".", "a.b.c", "..", &format!("x.{}", forge(OLD, None))] {
        assert!(tokens.verify(token).is_err(), "{token:?}");
    }
}

#[test]
fn no_key_is_no_service() {
    assert!(Keys::of_secrets(&[], Algorithm::HS256).is_err());
    assert!(Keys::of_pairs(&[], Algorithm::EdDSA).is_err());
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let secret = SecretString::from(OLD);
        assert!(Keys::of_secret(&secret, algorithm).is_err(), "{algorithm:?}");
    }
}

/// Every replica in turn goes from one step to the next. At each moment each of them signs a token, and
/// tells how many of those that are in use somewhere are refused by one of them.
fn refused_while(steps: &[fn() -> Tokens]) -> usize {
    const REPLICAS: usize = 3;
    let mut replicas: Vec<Tokens> = (0..REPLICAS).map(|_| steps[0]()).collect();
    let mut refused = 0;
    for pair in steps.windows(2) {
        // Those of the step before have not ended, those of the steps before that have.
        let mut in_use: Vec<String> = replicas
            .iter()
            .map(|replica| replica.issue(UserId(7), TokensValidFrom::default()).unwrap())
            .collect();
        for place in 0..REPLICAS {
            replicas[place] = pair[1]();
            in_use.extend(
                replicas
                    .iter()
                    .map(|replica| replica.issue(UserId(7), TokensValidFrom::default()).unwrap()),
            );
            let is_refused =
                |token: &&String| replicas.iter().any(|replica| replica.verify(token).is_err());
            refused += in_use.iter().filter(is_refused).count();
        }
    }
    refused
}

/// The README's drill: no token is lost at any moment, on any replica.
#[test]
fn a_key_is_changed_under_load_without_a_token_lost() {
    let drill: [fn() -> Tokens; 4] =
        [|| single(OLD), || several(&[OLD, NEW]), || several(&[NEW, OLD]), || several(&[NEW])];
    assert_eq!(refused_while(&drill), 0);
    // And on to the next one.
    let again: [fn() -> Tokens; 4] =
        [|| several(&[NEW]), || several(&[NEW, OLD]), || several(&[OLD, NEW]), || single(OLD)];
    assert_eq!(refused_while(&again), 0);
    let hasty: [fn() -> Tokens; 2] = [|| single(OLD), || several(&[NEW, OLD])];
    assert!(refused_while(&hasty) > 0, "without the first step some are lost");
    let hastier: [fn() -> Tokens; 2] = [|| several(&[OLD, NEW]), || several(&[NEW])];
    assert!(refused_while(&hastier) > 0, "without the last but one as well");
}

#[test]
fn a_key_that_was_taken_away_opens_nothing() {
    let token = several(&[OLD, NEW]).issue(UserId(7), TokensValidFrom::default()).unwrap();
    assert!(several(&[NEW, OLD]).verify(&token).is_ok());
    assert!(several(&[NEW]).verify(&token).is_err());
    assert!(single(NEW).verify(&token).is_err());
}
