//! Pairs of keys.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::tokens::{NOW, Stopped};
use crate::auth::{Algorithm, JwkParams, KeyPair, KeyPairError, Keys, Tokens};
use crate::domain::user::{TokensValidFrom, UserId};

/// Made by OpenSSL as docs/settings.md says, for tests alone.
const RSA: &str = include_str!("../../../tests/it/data/keys/rsa_2048.pem");
const STRONG_RSA: &str = include_str!("../../../tests/it/data/keys/rsa_3072.pem");
const P256: &str = include_str!("../../../tests/it/data/keys/p256.pem");
const ED25519: &str = include_str!("../../../tests/it/data/keys/ed25519.pem");

/// The same that cannot be used; the second is of two primes that are just small enough.
const RSA_1024: &str = include_str!("../../../tests/it/data/keys/rsa_1024.pem");
const RSA_2047: &str = include_str!("../../../tests/it/data/keys/rsa_2047.pem");
const P384: &str = include_str!("../../../tests/it/data/keys/p384.pem");
const SEC1: &str = include_str!("../../../tests/it/data/keys/sec1.pem");
const ENCRYPTED: &str = include_str!("../../../tests/it/data/keys/encrypted.pem");

const ALL: [(Algorithm, &str); 3] =
    [(Algorithm::RS256, RSA), (Algorithm::ES256, P256), (Algorithm::EdDSA, ED25519)];

const HMACS: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

fn read(pem: &str, algorithm: Algorithm) -> Vec<KeyPair> {
    KeyPair::read_all(pem, algorithm).unwrap()
}

fn tokens(pem: &str, algorithm: Algorithm) -> Tokens {
    let keys = Keys::of_pairs(&read(pem, algorithm), algorithm).unwrap();
    Tokens::with_keys(keys, Duration::from_mins(30), Arc::new(Stopped)).unwrap()
}

fn part(token: &str, number: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.split('.').nth(number).unwrap()).unwrap()
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&part(token, 0)).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn another(algorithm: Algorithm) -> String {
    let random = SystemRandom::new();
    let pkcs8 = match algorithm {
        Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random).unwrap(),
        _ => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap(),
    };
    pem("PRIVATE KEY", pkcs8.as_ref())
}

#[test]
fn only_short_keys_of_rsa_are_weak() {
    for (algorithm, pem, weak) in [
        (Algorithm::RS256, RSA, Some(2048)),
        (Algorithm::RS256, STRONG_RSA, None),
        (Algorithm::ES256, P256, None),
        (Algorithm::EdDSA, ED25519, None),
    ] {
        assert_eq!(read(pem, algorithm)[0].weak_bits(), weak, "{algorithm:?}");
    }
}

#[test]
fn every_algorithm_signs_and_keeps_to_itself() {
    for (algorithm, text) in ALL {
        let ours = tokens(text, algorithm);
        let token = ours.issue(UserId(7), TokensValidFrom::default()).unwrap();
        let kid = &ours.public_keys()[0].kid;
        let expected = json!({"typ": "JWT", "alg": algorithm.name(), "kid": kid});
        assert_eq!(header(&token), expected);
        assert_eq!(ours.verify(&token).unwrap().0, UserId(7));
        for (other, text) in ALL.into_iter().filter(|(other, _)| *other != algorithm) {
            assert!(tokens(text, other).verify(&token).is_err(), "{algorithm:?} by {other:?}");
        }
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for place in [0, 1, signature.len() / 2, signature.len() - 1] {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(changed));
            assert!(ours.verify(&forged).is_err(), "{algorithm:?}, byte {place}");
        }
        let shorter = URL_SAFE_NO_PAD.encode(&signature[..signature.len() - 1]);
        for forged in [format!("{message}."), format!("{message}.{shorter}")] {
            assert!(ours.verify(&forged).is_err(), "{algorithm:?}");
        }
    }
}

#[test]
fn of_several_the_first_signs_and_all_verify() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let (old, new) = (another(algorithm), another(algorithm));
        let both = tokens(&format!("{new}{old}"), algorithm);
        let token = both.issue(UserId(7), TokensValidFrom::default()).unwrap();
        assert_eq!(both.public_keys().len(), 2);
        assert_eq!(header(&token)["kid"], both.public_keys()[0].kid.as_str());
        assert!(tokens(&new, algorithm).verify(&token).is_ok());
        assert!(tokens(&old, algorithm).verify(&token).is_err());
        let before = tokens(&old, algorithm).issue(UserId(7), TokensValidFrom::default()).unwrap();
        assert!(both.verify(&before).is_ok());
        assert!(tokens(&another(algorithm), algorithm).verify(&before).is_err());
    }
}

/// In every form that a public key is handed around in.
fn forms(pair: &KeyPair) -> Vec<Vec<u8>> {
    let der = pair.verifying.try_get_as_bytes().unwrap().to_vec();
    let mut forms = vec![
        pem("PUBLIC KEY", &der).into_bytes(),
        pem("PUBLIC KEY", &der).trim_end().as_bytes().to_vec(),
        pem("RSA PUBLIC KEY", &der).into_bytes(),
        STANDARD.encode(&der).into_bytes(),
        URL_SAFE_NO_PAD.encode(&der).into_bytes(),
        pair.public.kid.clone().into_bytes(),
    ];
    match &pair.public.params {
        JwkParams::Rsa { modulus, .. } => forms.push(modulus.clone()),
        JwkParams::P256 { x, y } => forms.push([x.as_slice(), y].concat()),
        JwkParams::Ed25519 { x } => forms.push(x.clone()),
    }
    forms.push(der);
    forms
}

/// Whoever knows the public key must not be able to sign with it as with a secret.
#[test]
fn a_public_key_is_no_secret() {
    let claims = json!({"user_id": 7, "exp": NOW + 60});
    for (algorithm, text) in ALL {
        let ours = tokens(text, algorithm);
        let pair = &read(text, algorithm)[0];
        for secret in forms(pair) {
            for hmac in HMACS {
                for kid in [None, Some(pair.public.kid.clone())] {
                    let header = Header { kid, ..Header::new(hmac.into()) };
                    let token = encode(&header, &claims, &EncodingKey::from_secret(&secret));
                    assert!(ours.verify(&token.unwrap()).is_err(), "{algorithm:?} by {hmac:?}");
                }
            }
        }
    }
}

/// The other way round: a service with a secret takes no token of a pair, not even of one that the token
/// brings along.
#[test]
fn a_secret_takes_no_token_of_a_pair() {
    for (algorithm, text) in ALL {
        let token = tokens(text, algorithm).issue(UserId(7), TokensValidFrom::default()).unwrap();
        for (hmac, secret) in HMACS.into_iter().flat_map(|hmac| {
            forms(&read(text, algorithm)[0]).into_iter().map(move |secret| (hmac, secret))
        }) {
            let Ok(secret) = String::from_utf8(secret) else { continue };
            let secret = SecretString::from(secret);
            let lifetime = Duration::from_mins(30);
            let ours = Tokens::new(&secret, hmac, lifetime, Arc::new(Stopped)).unwrap();
            assert!(ours.verify(&token).is_err(), "{algorithm:?} by {hmac:?}");
        }
    }
}

/// A header that says another algorithm than the signature is of, or none, or brings a key.
#[test]
fn a_header_chooses_nothing() {
    for (algorithm, text) in ALL {
        let ours = tokens(text, algorithm);
        let token = ours.issue(UserId(7), TokensValidFrom::default()).unwrap();
        let mut parts = token.split('.');
        let (claims, signature) = (parts.nth(1).unwrap(), parts.next().unwrap());
        for alg in ["none", "None", "HS256", "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA"] {
            let forged = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
            for signature in [signature, ""] {
                let token = format!("{forged}.{claims}.{signature}");
                assert!(ours.verify(&token).is_err(), "{algorithm:?} as {alg}");
            }
        }
        let own = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let forged = json!({"alg": algorithm.name(), "jwk": own}).to_string();
        let token = format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(forged));
        assert!(ours.verify(&token).is_err(), "{algorithm:?} with a key of its own");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_refused_with_a_reason() {
    use Algorithm::{ES256, EdDSA, RS256};
    let twice = format!("{ED25519}{ED25519}");
    let certificate = format!("{ED25519}{}", pem("CERTIFICATE", b"none"));
    let (cut, _) = ED25519.split_at(ED25519.len() / 2);
    for (text, algorithm, said) in [
        ("", EdDSA, "holds no key in PEM"),
        ("no sense", RS256, "holds no key in PEM"),
        (cut, EdDSA, "holds no key in PEM"),
        (SEC1, ES256, "holds something else than PKCS#8 keys"),
        (ENCRYPTED, EdDSA, "holds something else than PKCS#8 keys"),
        (certificate.as_str(), EdDSA, "holds something else than PKCS#8 keys"),
        (RSA_1024, RS256, "key 1 is none for RS256: TooSmall"),
        (RSA_2047, RS256, "key 1 has 2047 bits, RS256 needs 2048 or more"),
        (P384, ES256, "key 1 is none for ES256: "),
        (P256, EdDSA, "key 1 is none for EdDSA: "),
        (P256, RS256, "key 1 is none for RS256: "),
        (RSA, ES256, "key 1 is none for ES256: "),
        (ED25519, RS256, "key 1 is none for RS256: "),
        (twice.as_str(), EdDSA, "key 2 stands there twice"),
    ] {
        let unusable = KeyPair::read_all(text, algorithm).unwrap_err();
        let told = unusable.to_string();
        assert!(told.starts_with(said), "{algorithm:?}: {told}");
    }
    let unusable = KeyPair::read_all(ED25519, Algorithm::HS256).unwrap_err();
    assert!(matches!(unusable, KeyPairError::Rejected { .. }), "{unusable}");
}

#[test]
fn what_is_printed_of_a_pair_is_public() {
    for (algorithm, text) in ALL {
        let pair = &read(text, algorithm)[0];
        let printed = format!("{pair:?} {pair:#?}");
        let private: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let private = STANDARD.decode(private).unwrap();
        // The end of the form is private, but for a curve's, which has its point there.
        let start = if algorithm == Algorithm::ES256 { 40 } else { private.len() - 16 };
        let secret = &private[start..start + 16];
        assert!(printed.contains("[redacted]"), "{printed}");
        assert!(!printed.contains(&format!("{secret:?}").replace(['[', ']'], "")), "{printed}");
    }
}
