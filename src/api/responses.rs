//! What several resources answer: dates as the reference writes them, the bodies of refusals,
//! and their descriptions for the document.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::{IntoResponses, ToSchema};

use crate::domain::text::Text;
use crate::http::{ApiError, Json};

/// RFC 3339 in UTC with six digits of the second, or none when they are zero: Python's
/// `isoformat`, with `Z`.
pub(super) fn serialize_timestamp<S: Serializer>(
    timestamp: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let has_fraction = timestamp.subsec_microsecond() != 0 || timestamp.subsec_millisecond() != 0;
    if has_fraction {
        serializer.collect_str(&format_args!("{timestamp:.6}"))
    } else {
        serializer.collect_str(&format_args!("{timestamp:.0}"))
    }
}

pub(super) fn serialize_text<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_str())
}

/// 201 with the new thing, and where it is.
pub(super) fn created(location: &str, body: impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

pub(super) type ApiResult<T> = Result<T, ApiError>;

/// A refusal: one sentence.
#[derive(Serialize, ToSchema)]
#[schema(title = "Refusal", example = json!({"detail": "Not Found"}))]
pub(super) struct Refusal {
    detail: String,
}

/// Everything about a request that does not fit.
#[derive(Serialize, ToSchema)]
#[schema(title = "HTTPValidationError")]
pub(super) struct HTTPValidationError {
    #[schema(required = false)]
    detail: Vec<ValidationError>,
}

/// One thing that does not fit.
#[derive(Serialize, ToSchema)]
#[schema(title = "ValidationError")]
pub(super) struct ValidationError {
    /// Where: `body`, `query` or `path`, then the name, or the character of a JSON text.
    #[schema(value_type = Vec<LocationPart>)]
    loc: Vec<String>,
    #[schema(example = "Field required")]
    msg: String,
    #[schema(rename = "type", example = "missing")]
    #[serde(rename = "type")]
    kind: String,
    /// The value as it was sent; a password never is repeated.
    #[schema(value_type = Value, required = false)]
    input: String,
    /// What the message was made of.
    #[schema(value_type = Object, required = false)]
    ctx: String,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what the validation writes")]
pub(super) enum LocationPart {
    Name(String),
    Position(i64),
}

/// Refusals of every operation that needs a token.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what the error table writes")]
pub(super) enum TokenRefusals {
    /// No token, or one that is not valid (any more)
    #[response(status = 401, headers(("WWW-Authenticate" = String)))]
    Unauthorized(Refusal),
}

/// Refusals of every operation with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what the error table writes")]
pub(super) enum BodyRefusals {
    /// The body cannot be read: not UTF-8, or nested too deep
    #[response(status = 400)]
    Unreadable(Refusal),
    /// The body took too long to arrive
    #[response(status = 408)]
    Late(Refusal),
    /// The body is larger than 2 MiB
    #[response(status = 413)]
    TooLarge(Refusal),
}

/// Refusals of every operation that can be given values that do not fit.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what the validation writes")]
pub(super) enum ValidationRefusals {
    /// Validation Error
    #[response(status = 422)]
    Invalid(HTTPValidationError),
}

/// Refusals of every operation that may be asked for only so often.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what the error table writes")]
pub(super) enum RateRefusals {
    /// Too often: try again later
    #[response(status = 429, headers(
        ("Retry-After" = i64), ("RateLimit" = String), ("RateLimit-Policy" = String)
    ))]
    RateLimited(Refusal),
}

/// Answers of every operation when the fault is ours.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes what the error table writes")]
pub(super) enum Failures {
    /// A fault of the service
    #[response(status = 500)]
    Internal(Refusal),
    /// Overloaded, or the database is out of reach: try again later
    #[response(status = 503, headers(("Retry-After" = i64)))]
    Unavailable(Refusal),
}
