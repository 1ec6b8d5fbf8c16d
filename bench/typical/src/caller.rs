//! The caller of a request: the claims of a verified bearer token.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use crate::routes::{ApiError, App};

/// A user, and the values of `tokens_valid_from` for which the account accepts the token. The
/// statement of the request checks the account.
#[derive(Clone, Copy)]
pub struct Caller {
    pub user_id: i64,
    pub earliest: DateTime<Utc>,
    pub latest: DateTime<Utc>,
}

/// Verifies tokens that are signed with the secret of the service.
pub struct TokenKey {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    user_id: i64,
    iat: i64,
    /// Microseconds since 1970.
    valid_from: Option<i64>,
}

impl TokenKey {
    pub fn of_secret(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        Self { key: DecodingKey::from_secret(secret.as_bytes()), validation }
    }

    fn verify(&self, token: &str) -> Option<Caller> {
        let Claims { user_id, iat, valid_from } =
            decode(token, &self.key, &self.validation).ok()?.claims;
        let (earliest, latest) = match valid_from {
            Some(time) => (time, time),
            // An account whose tokens were never revoked has the negative time of its creation.
            None => (iat.checked_neg()?.checked_mul(1_000_000)?, 0),
        };
        let time = DateTime::from_timestamp_micros;
        Some(Caller { user_id, earliest: time(earliest)?, latest: time(latest)? })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).ok_or(ApiError::NotAuthenticated)?;
        let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        token.and_then(|token| app.key.verify(token)).ok_or(ApiError::InvalidToken)
    }
}
