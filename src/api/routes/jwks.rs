//! The public keys with which other services verify access tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::entity_tag::{EntityTags, with_tag};
use crate::api::error::{ApiError, ApiResult};
use crate::api::json_response::{json_response_from, to_json};
use crate::api::responses::ErrorBody;
use crate::api::state::AppState;
use crate::auth::{JwkParams, PublicKey};

/// Caches may keep the key set for five minutes. An operator must publish a new key at least that
/// long before it signs (docs/keys.md).
const MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(title = "KeySet")]
pub(in crate::api) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Serialize, ToSchema)]
#[schema(
    title = "Key",
    example = json!({
        "kty": "OKP", "use": "sig", "alg": "EdDSA", "kid": "Wx2kCn0YqRk", "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    })
)]
struct Key {
    /// `RSA`, `EC` or `OKP`
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    /// The `kid` in the header of the tokens
    kid: String,
    /// `P-256` or `Ed25519`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    y: Option<String>,
    /// The modulus of an RSA key
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    n: Option<String>,
    /// The exponent of an RSA key
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    e: Option<String>,
}

/// List the public keys
///
/// Lists the public keys that verify tokens, the signing key first. Not found if tokens are signed with
/// a secret.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "listKeys",
    tag = "Keys",
    responses(
        (status = 200, description = "Successful Response", body = KeySet,
            headers(("Cache-Control" = String, description = "`public, max-age=300`"))),
        (status = 404, description = "Tokens are signed with a secret", body = ErrorBody,
            example = json!({"detail": "Not Found"})),
    )
)]
pub(in crate::api) async fn list_keys(State(app): State<Arc<AppState>>) -> ApiResult<Response> {
    let keys: Vec<Key> = app.tokens.public_keys().iter().map(Key::from).collect();
    if keys.is_empty() {
        return Err(ApiError::RouteNotFound);
    }
    let json = to_json(0, &KeySet { keys });
    let tag = EntityTags::OF_PUBLIC_KEYS.of_body(&json);
    let mut response = with_tag(json_response_from(StatusCode::OK, json), tag);
    response.headers_mut().insert(CACHE_CONTROL, MAX_AGE);
    Ok(response)
}

impl From<&PublicKey> for Key {
    fn from(public: &PublicKey) -> Self {
        let text = |number: &[u8]| Some(URL_SAFE_NO_PAD.encode(number));
        let (kty, crv) = match public.params {
            JwkParams::Rsa { .. } => ("RSA", None),
            JwkParams::P256 { .. } => ("EC", Some("P-256")),
            JwkParams::Ed25519 { .. } => ("OKP", Some("Ed25519")),
        };
        let (x, y, n, e) = match &public.params {
            JwkParams::Rsa { modulus, exponent } => (None, None, text(modulus), text(exponent)),
            JwkParams::P256 { x, y } => (text(x), text(y), None, None),
            JwkParams::Ed25519 { x } => (text(x), None, None, None),
        };
        let alg = public.algorithm.name();
        Self { kty, usage: "sig", alg, kid: public.kid.clone(), crv, x, y, n, e }
    }
}
