//! The response to a write with an `Idempotency-Key`.
//!
//! Not here: the header of the request, see `input/idempotency_key.rs`.

use axum::http::header::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::IntoParams;

use super::error::{ApiError, ApiResult};
use super::input::{FieldError, ValidationError};
use crate::store::Once;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The header of every write that can be repeated, for the OpenAPI document. It has no example:
/// Swagger UI would send it with each write.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the schema of the header")]
pub(super) struct IdempotencyKeyHeader {
    /// A random key for this write, such as a UUID: 1 to 255 visible ASCII characters, with or
    /// without double quotes. If you repeat the request with the same key within 24 hours, the write
    /// happens once, and the response is that of the first request.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        pattern = r#"^("[!-~]{1,255}"|[!#-~][!-~]{0,254})$"#
    )]
    idempotency_key: String,
}

/// Whether a response repeats that of an earlier request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay(bool);

/// Returns the outcome of a write, and whether an earlier request did the write.
///
/// # Errors
/// [`ApiError::Invalid`] if the key was used for another request. A refusal of the key itself has the
/// same form, and the document of the reference service has one form for the status.
pub(super) fn outcome<T>(once: Once<T>) -> ApiResult<(T, Replay)> {
    match once {
        Once::Done(outcome) => Ok((outcome, Replay(false))),
        Once::Replayed(outcome) => Ok((outcome, Replay(true))),
        Once::KeyReused => {
            let reason = "this Idempotency-Key was used for another request";
            let error = FieldError::value_error(reason.to_owned(), reason);
            let location = vec!["header".into(), "idempotency-key".into()];
            Err(ApiError::Invalid(vec![ValidationError::new(location, error, Value::Null)]))
        }
    }
}

impl Replay {
    pub(super) fn is_replayed(self) -> bool {
        self.0
    }

    /// Returns the response, marked if it repeats an earlier one.
    pub(super) fn mark(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        if self.0 {
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
