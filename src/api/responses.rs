//! Parts of responses that several routes share: timestamps in the format of the reference service,
//! the bodies of errors, and their descriptions in the OpenAPI document.

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use utoipa::{IntoResponses, ToSchema};

use super::json_response::Json;
use crate::domain::caller::Caller;

/// Writes RFC 3339 in UTC with six decimal places, or without any if they are zero. This is Python's
/// `isoformat` with `Z`.
pub(super) fn serialize_timestamp<S: Serializer>(
    timestamp: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    const WITH_FRACTION: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    const WITHOUT_FRACTION: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    let has_fraction = timestamp.subsec_microsecond() != 0 || timestamp.subsec_millisecond() != 0;
    let printer = if has_fraction { WITH_FRACTION } else { WITHOUT_FRACTION };
    serializer.serialize_str(&printer.timestamp_to_string(timestamp))
}

/// Returns 201 with the new resource and its path.
pub(super) fn created(location: &str, body: impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Lets caches keep a response with published posts, if they ask each time whether it is current:
/// every cache if the client sent no token, and otherwise the client's own.
pub(super) fn revalidated(mut response: Response, caller: Option<Caller>) -> Response {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
    const PUBLIC: HeaderValue = HeaderValue::from_static("public, no-cache");
    let value = if caller.is_some() { PRIVATE } else { PUBLIC };
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}

/// An error: one sentence.
#[derive(Serialize, ToSchema)]
#[schema(as = Refusal, title = "Refusal")]
pub(super) struct ErrorBody {
    detail: String,
}

/// An error of the login. If the refresh token is rejected, it has the fields of OAuth2 (RFC 6749,
/// 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = LoginRefusal, title = "LoginRefusal")]
pub(super) struct OAuthError {
    /// `invalid_grant`
    #[schema(required = false)]
    error: &'static str,
    #[schema(required = false)]
    error_description: String,
    detail: String,
}

impl OAuthError {
    /// Returns the error with this code. Like all other errors it has a `detail`.
    pub(super) fn new(error: &'static str, detail: String) -> Self {
        Self { error, error_description: detail.clone(), detail }
    }
}

/// The errors of all fields of a request.
#[derive(Serialize, ToSchema)]
#[schema(title = "HTTPValidationError")]
pub(super) struct HTTPValidationError {
    #[schema(required = false)]
    detail: Vec<ValidationError>,
}

/// The error of one field.
#[derive(Serialize, ToSchema)]
#[schema(title = "ValidationError")]
pub(super) struct ValidationError {
    /// The location: `body`, `query`, `path` or `header`, then the name of the field, or the character of a JSON text.
    #[schema(value_type = Vec<LocationPart>)]
    loc: Vec<String>,
    #[schema(example = "Field required")]
    msg: String,
    #[schema(rename = "type", example = "missing")]
    #[serde(rename = "type")]
    kind: String,
    /// The value that was sent. Secrets are masked.
    #[schema(value_type = Value, required = false)]
    input: String,
    /// The parameters of the message.
    #[schema(value_type = HashMap<String, Value>, required = false)]
    ctx: String,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of the validation")]
pub(super) enum LocationPart {
    Name(String),
    Position(i64),
}

/// Errors of every operation that needs a token.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum TokenErrors {
    /// The token is absent or invalid
    #[response(status = 401,
        headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        examples(
            ("Absent" = (value = json!({"detail": "Not authenticated"}))),
            ("Invalid" = (value = json!({"detail": "Could not validate credentials"})))
        ))]
    Unauthorized(ErrorBody),
}

/// Errors of every operation with a body, but the login.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum BodyErrors {
    /// The body is not UTF-8, or nested too deep
    #[response(status = 400, example = json!({"detail": "There was an error parsing the body"}))]
    Unreadable(ErrorBody),
}

/// Errors of every operation with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum BodyLimitErrors {
    /// The body took longer than 30 seconds to arrive
    #[response(status = 408, example = json!({"detail": "the request took too long to arrive"}))]
    Late(ErrorBody),
    /// The body is larger than 2 MiB
    #[response(status = 413, example = json!({"detail": "the body is larger than 2 MiB"}))]
    TooLarge(ErrorBody),
}

/// Errors of every operation with input. The document adds an example about a field of the operation.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the validation")]
pub(super) enum ValidationErrors {
    /// A parameter or a field is invalid
    #[response(status = 422)]
    Invalid(HTTPValidationError),
}

/// Errors of every change of a post.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum PostChangeErrors {
    /// The post belongs to another user
    #[response(status = 403, example = json!({"detail": "not authorized to perform this action"}))]
    NotOwner(ErrorBody),
    /// No such post
    #[response(status = 404, example = json!({"detail": "post with id does not exist"}))]
    NotFound(ErrorBody),
    /// The post does not meet `If-Match` or `If-None-Match`; nothing changed
    #[response(status = 412, example = json!({"detail": "the post does not meet the condition"}))]
    Failed(ErrorBody),
}

/// Errors of every operation with a link of a mail.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum LinkErrors {
    /// The link is forged, expired or used, or the account has changed since
    #[response(status = 403, example = json!({"detail": "the link is not valid any more"}))]
    InvalidLink(ErrorBody),
}

/// Errors of every operation that needs mails.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum MailOffErrors {
    /// The service sends no mail
    #[response(status = 404, example = json!({"detail": "Not Found"}))]
    MailOff(ErrorBody),
}

/// Errors of every operation with a rate limit.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum RateLimitErrors {
    /// The rate limit is reached: try again later
    #[response(status = 429,
        headers(
            ("Retry-After" = i64, description = "Seconds to wait"),
            ("RateLimit" = String, description = "The limit, what remains of it, and the seconds to wait"),
            ("RateLimit-Policy" = String, description = "The limit, its quota and its window in seconds")
        ),
        example = json!({"detail": "too many requests, try again later"}))]
    RateLimited(ErrorBody),
}

/// Failures that every operation may have.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(super) enum Failures {
    /// An internal error
    #[response(status = 500, example = json!({"detail": "Internal Server Error"}))]
    Internal(ErrorBody),
    /// The service is overloaded, or the database is unreachable: try again later
    #[response(status = 503,
        headers(("Retry-After" = i64, description = "Seconds to wait")),
        examples(
            ("Overloaded" = (value = json!({"detail": "the service is overloaded, try again later"}))),
            ("Unavailable" = (value = json!({
                "detail": "the service is temporarily unavailable, try again later"
            })))
        ))]
    Unavailable(ErrorBody),
}
