//! `/.well-known/jwks.json`

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use post_api::auth::{Algorithm, Keys};
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, forge_with, key_files};

const PATH: &str = "/.well-known/jwks.json";

fn rsa() -> Keys {
    key_files::of(key_files::RSA, Algorithm::RS256)
}

fn p256() -> Keys {
    key_files::of(key_files::P256, Algorithm::ES256)
}

/// Signing keys, and the name of their algorithm.
type Signer = (fn() -> Keys, &'static str);

const ALL: [Signer; 3] = [(rsa, "RS256"), (p256, "ES256"), (key_files::ed25519, "EdDSA")];

async fn start(keys: fn() -> Keys) -> TestApp {
    TestApp::set_up(Setup { keys, ..Setup::default() }).await
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// Verifies the token like a client that knows only the key set.
fn verify(key: &Value, token: &str) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (message.as_bytes(), URL_SAFE_NO_PAD.decode(signature).unwrap());
    match key["kty"].as_str().unwrap() {
        "RSA" => PublicKeyComponents { n: bytes(&key["n"]), e: bytes(&key["e"]) }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            .unwrap(),
        "EC" => {
            assert_eq!(key["crv"], "P-256");
            let point = [vec![4], bytes(&key["x"]), bytes(&key["y"])].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(message, &signature).unwrap();
        }
        "OKP" => {
            assert_eq!(key["crv"], "Ed25519");
            let key = UnparsedPublicKey::new(&ED25519, bytes(&key["x"]));
            key.verify(message, &signature).unwrap();
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn login_token_is_verifiable_with_only_the_key_set() {
    for (keys, algorithm) in ALL {
        let app = start(keys).await;
        app.sign_up("ada").await;
        let response = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
        let token = response["access_token"].as_str().unwrap();
        app.with_token(token).get("/users/me").await.expect(200);

        let response = app.anonymous().get(PATH).await.expect(200);
        assert_eq!(response.header("cache-control"), "public, max-age=300");
        assert_eq!(response.header("content-type"), "application/json");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        let set = response.json();
        let key = &set["keys"][0];
        assert_eq!(set["keys"].as_array().unwrap().len(), 1);
        let head: Value =
            serde_json::from_slice(&bytes(&json!(token.split('.').next().unwrap()))).unwrap();
        let expected = json!({"typ": "JWT", "alg": algorithm, "kid": key["kid"]});
        assert_eq!(head, expected);
        assert_eq!((&key["alg"], &key["use"]), (&json!(algorithm), &json!("sig")));
        verify(key, token);
    }
}

/// The set has no private member (RFC 7518, 6.2.2 and 6.3.2).
#[tokio::test]
async fn key_set_contains_only_public_members() {
    for ((keys, _), expected) in ALL.into_iter().zip([
        ["alg", "e", "kid", "kty", "n", "use"].as_slice(),
        ["alg", "crv", "kid", "kty", "use", "x", "y"].as_slice(),
        ["alg", "crv", "kid", "kty", "use", "x"].as_slice(),
    ]) {
        let set = start(keys).await.anonymous().get(PATH).await.expect(200).json();
        assert_eq!(set.as_object().unwrap().len(), 1);
        let mut names: Vec<&String> = set["keys"][0].as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn key_set_with_hmac_secret_gets_404() {
    let app = TestApp::start().await;
    let response = app.anonymous().get(PATH).await.expect(404);
    let nowhere = app.anonymous().get("/nowhere").await.expect(404);
    assert_eq!(response.text(), nowhere.text());
    assert_eq!(response.header("cache-control"), "no-store");
}

/// A public key must not be accepted as an HMAC secret, in any encoding (algorithm confusion).
#[tokio::test]
async fn token_signed_with_key_set_values_is_rejected() {
    for (keys, _) in ALL {
        let app = start(keys).await;
        let id = app.sign_up("ada").await;
        let response = app.anonymous().get(PATH).await.expect(200);
        let set = response.json();
        let key = &set["keys"][0];
        let claims = json!({"user_id": id, "exp": 1_738_324_800 + 600}).to_string();
        let mut secrets = vec![response.text().to_owned(), key.to_string()];
        let values = key.as_object().unwrap().values();
        secrets.extend(values.map(|value| value.as_str().unwrap().to_owned()));
        for secret in secrets {
            for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": key["kid"]})] {
                let token = forge_with(&secret, &header.to_string(), &claims);
                app.with_token(&token).get("/users/me").await.expect(401);
            }
        }
    }
}
