//! Every refusal there is, in one table: its status, and the text that the client sees. The
//! texts are the reference's, its slips included.
//!
//! The cause of a fault of ours goes with the answer as far as the log (`access`), and is never sent.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::coerce::JsonInteger;
use super::json::json_response;
use super::validate::ValidationError;
use crate::auth::{HashingError, TokenError};
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::error_chain::error_chain;
use crate::rate_limits::{LoginLimitError, RateLimited};
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("Not Found")]
    RouteNotFound,
    #[error("Method Not Allowed")]
    MethodNotAllowed,
    /// No token.
    #[error("Not authenticated")]
    NotAuthenticated,
    /// A token that proves nothing.
    #[error("Could not validate credentials")]
    InvalidToken,
    #[error("invalid credentials")]
    InvalidLogin,
    /// As OAuth2 names it (RFC 6749, 5.2).
    #[error("the refresh token is not valid")]
    InvalidGrant,
    #[error("no such session")]
    NoSuchSession,
    #[error("not authorized to perform this action")]
    NotOwner,
    #[error("the user with the id:{0} was no found")]
    NoSuchUser(JsonInteger),
    #[error("the post with the id:{0} was no found")]
    NoSuchPost(JsonInteger),
    /// As the routes that change a post say it.
    #[error("post with id does not exist")]
    NoSuchPostToChange,
    /// As the vote route says it.
    #[error("Post with id: {0} does not exist")]
    NoSuchPostToVoteOn(JsonInteger),
    #[error("Vote does not exist")]
    NoSuchVote,
    #[error("user {} has already voted on post {}", .0.0, .1.0)]
    AlreadyVoted(UserId, PostId),
    #[error("a user with this email already exists")]
    EmailTaken,
    #[error("There was an error parsing the body")]
    UnreadableBody,
    #[error("the body is larger than 2 MiB")]
    BodyTooLarge,
    #[error("the request took too long to arrive")]
    RequestTimeout,
    #[error("the request does not fit")]
    Invalid(Vec<ValidationError>),
    /// This client or caller has done too much of it lately.
    #[error("too many requests, try again later")]
    RateLimited(RateLimited),
    /// Too much waits already.
    #[error("the service is overloaded, try again later")]
    Overloaded,
    /// The database may be back later.
    #[error("the service is temporarily unavailable, try again later")]
    Unavailable(#[source] Source),
    /// Nothing can be served now; for whoever sends requests here.
    #[error("not ready: {0}")]
    NotReady(&'static str, #[source] Option<Source>),
    #[error("Internal Server Error")]
    Internal(#[source] Source),
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Seconds after which a client may try again. A full queue of hashing is worked off in less, and
/// so is one of writes on a disk that keeps up; how long a lock or a full disk lasts is not known.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// Which limit there is, and what is left of it (draft-ietf-httpapi-ratelimit-headers-10).
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl ApiError {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnreadableBody | Self::InvalidGrant => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidLogin | Self::NotOwner => StatusCode::FORBIDDEN,
            Self::RouteNotFound
            | Self::NoSuchUser(_)
            | Self::NoSuchPost(_)
            | Self::NoSuchSession
            | Self::NoSuchPostToChange
            | Self::NoSuchPostToVoteOn(_)
            | Self::NoSuchVote => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AlreadyVoted(..) | Self::EmailTaken => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Unavailable(_) | Self::NotReady(..) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Its name in RFC 6749, 5.2.
    fn grant_error(&self) -> Option<&'static str> {
        matches!(self, Self::InvalidGrant).then_some("invalid_grant")
    }

    /// A fault of ours that nothing more is known about.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

/// A refusal for clients of OAuth2 too.
#[derive(Serialize)]
struct OAuthError {
    error: &'static str,
    detail: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match &self {
            Self::Invalid(faults) => json_response(status, &Detail { detail: faults }),
            refusal => match refusal.grant_error() {
                Some(error) => {
                    json_response(status, &OAuthError { error, detail: refusal.to_string() })
                }
                None => json_response(status, &Detail { detail: refusal.to_string() }),
            },
        };
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if let Self::RateLimited(refused) = &self {
            describe_limit(headers, refused);
            response.extensions_mut().insert(LimitReached(refused.limit));
        }
        if let Self::Unavailable(source)
        | Self::Internal(source)
        | Self::NotReady(_, Some(source)) = &self
        {
            response.extensions_mut().insert(Failure::of(source.as_ref()));
        }
        response
    }
}

fn describe_limit(headers: &mut HeaderMap, refused: &RateLimited) {
    let RateLimited { limit, rate, wait } = refused;
    // Who comes back a moment too early is refused again.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let (count, period) = (rate.count(), rate.period().as_secs());
    for (name, value) in [
        (RETRY_AFTER, seconds.to_string()),
        (RATE_LIMIT_POLICY, format!("\"{limit}\";q={count};w={period}")),
        (RATE_LIMIT, format!("\"{limit}\";r=0;t={seconds}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Which limit a request was refused for, for the log alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitReached(pub(super) &'static str);

/// Why a request failed, for the log alone.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) cause: String,
}

impl Failure {
    fn of(source: &(dyn std::error::Error + 'static)) -> Self {
        Self { cause: error_chain(source) }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CallerRejected => Self::InvalidToken,
            StoreError::Overloaded => Self::Overloaded,
            StoreError::Unavailable(source) => Self::Unavailable(source),
            StoreError::Internal(source) => Self::Internal(source),
        }
    }
}

impl From<RateLimited> for ApiError {
    fn from(refused: RateLimited) -> Self {
        Self::RateLimited(refused)
    }
}

impl From<LoginLimitError> for ApiError {
    fn from(refused: LoginLimitError) -> Self {
        match refused {
            LoginLimitError::RateLimited(refused) => refused.into(),
            LoginLimitError::Store(error) => error.into(),
        }
    }
}

impl From<HashingError> for ApiError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Overloaded => Self::Overloaded,
            HashingError::Failed => Self::internal(error),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::internal(error)
    }
}

pub async fn route_not_found() -> ApiError {
    ApiError::RouteNotFound
}

pub async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}
