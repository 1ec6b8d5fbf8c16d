//! The token response of OAuth2 (RFC 6749, 5.1), which several routes return.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// How an access token is sent (RFC 6750).
pub(super) const TOKEN_TYPE: &str = "bearer";

/// An access token, to be sent as `Authorization: Bearer …`.
#[derive(Serialize, ToSchema)]
#[schema(title = "Token", example = json!({"access_token": "eyJ0eXAi…", "token_type": "bearer"}))]
#[expect(clippy::struct_field_names, reason = "OAuth2 defines the names")]
pub(super) struct Token {
    access_token: String,
    token_type: &'static str,
    /// The lifetime of the access token in seconds. Only present with a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in: Option<u64>,
    /// Present if `scope` contained `offline_access`. Valid once: the response to its exchange has the
    /// next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

impl Token {
    pub(super) fn new(access_token: String) -> Self {
        Self { access_token, token_type: TOKEN_TYPE, expires_in: None, refresh_token: None }
    }

    /// Returns the response with a refresh token, which continues a session.
    pub(super) fn with_refresh_token(
        access_token: String,
        refresh_token: String,
        lifetime: Duration,
    ) -> Self {
        Self {
            expires_in: Some(lifetime.as_secs()),
            refresh_token: Some(refresh_token),
            ..Self::new(access_token)
        }
    }
}
