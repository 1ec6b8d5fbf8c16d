//! Every error that a route can return, in one table: its status, and the text that the client sees.
//! The texts are those of the reference service, including its spelling mistakes.
//!
//! Not here: the body and the headers of the response, see `error_response.rs`.

use axum::http::StatusCode;

use super::input::{JsonInteger, ValidationError, unrepresentable};
use crate::auth::{HashingError, TokenError};
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::rate_limits::{LoginLimitError, RateLimited, STREAMS_LIMIT};
use crate::store::StoreError;

/// An error that the API returns to the client.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("Not Found")]
    RouteNotFound,
    #[error("Method Not Allowed")]
    MethodNotAllowed,
    /// The client does not accept the media type of the response (RFC 9110, 12.5.1).
    #[error("Not Acceptable")]
    NotAcceptable,
    /// The request has no token.
    #[error("Not authenticated")]
    NotAuthenticated,
    /// The token is invalid, or the account does not exist or has revoked it.
    #[error("Could not validate credentials")]
    InvalidToken,
    #[error("invalid credentials")]
    InvalidLogin,
    /// `invalid_grant` of OAuth2 (RFC 6749, 5.2).
    #[error("the refresh token is not valid")]
    InvalidGrant,
    /// The link is forged, expired or used, or the account has changed since.
    #[error("the link is not valid any more")]
    InvalidLink,
    #[error("no such session")]
    NoSuchSession,
    #[error("not authorized to perform this action")]
    NotOwner,
    /// The account is no administrator. The text is that of [`ApiError::NotOwner`].
    #[error("not authorized to perform this action")]
    NotAdministrator,
    #[error("the user with the id:{0} was no found")]
    NoSuchUser(JsonInteger),
    #[error("the post with the id:{0} was no found")]
    NoSuchPost(JsonInteger),
    /// The text of the routes that change a post.
    #[error("post with id does not exist")]
    NoSuchPostToChange,
    /// The text of the vote route.
    #[error("Post with id: {0} does not exist")]
    NoSuchPostToVoteOn(JsonInteger),
    #[error("Vote does not exist")]
    NoSuchVote,
    #[error("user {} has already voted on post {}", .0.0, .1.0)]
    AlreadyVoted(UserId, PostId),
    /// The post is not, or no longer, as the request expects it (RFC 9110, 13.1).
    #[error("the post does not meet the condition")]
    PreconditionFailed,
    #[error("a user with this email already exists")]
    EmailTaken,
    /// A table that the operator has added refers to the resource, and forbids its deletion.
    #[error("other data refers to this, so it cannot be deleted")]
    Referenced(#[source] Source),
    #[error("There was an error parsing the body")]
    UnreadableBody,
    /// The text of the reference service.
    #[error("Missing boundary in multipart.")]
    MissingBoundary,
    #[error("the Host of the request is missing, repeated or invalid")]
    InvalidHost,
    #[error("the only supported transfer coding is chunked")]
    UnsupportedTransferCoding,
    #[error("the body is larger than 2 MiB")]
    BodyTooLarge,
    #[error("the request has more than 100 header fields")]
    TooManyHeaderFields,
    #[error("the request took too long to arrive")]
    RequestTimeout,
    #[error("the request does not fit")]
    Invalid(Vec<ValidationError>),
    /// The client or the caller has reached a rate limit.
    #[error("too many requests, try again later")]
    RateLimited(RateLimited),
    /// The account has this many streams open, the maximum.
    #[error("too many requests, try again later")]
    TooManyStreams(usize),
    /// A queue is full, or a limit of the client is reached.
    #[error("the service is overloaded, try again later")]
    Overloaded,
    /// The database is temporarily unreachable, or a handler reached its timeout.
    #[error("the service is temporarily unavailable, try again later")]
    Unavailable(#[source] Source),
    /// The service cannot serve requests now. Only readiness probes get this error.
    #[error("not ready: {0}")]
    NotReady(&'static str, #[source] Option<Source>),
    #[error("Internal Server Error")]
    Internal(#[source] Source),
}

/// The result of a handler.
pub(super) type ApiResult<T> = Result<T, ApiError>;

/// The cause of an error. The service logs it and never sends it to the client.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

impl ApiError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnreadableBody
            | Self::MissingBoundary
            | Self::InvalidHost
            | Self::InvalidGrant => StatusCode::BAD_REQUEST,
            Self::UnsupportedTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::NotAuthenticated | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidLogin | Self::InvalidLink | Self::NotOwner | Self::NotAdministrator => {
                StatusCode::FORBIDDEN
            }
            Self::RouteNotFound
            | Self::NoSuchUser(_)
            | Self::NoSuchPost(_)
            | Self::NoSuchSession
            | Self::NoSuchPostToChange
            | Self::NoSuchPostToVoteOn(_)
            | Self::NoSuchVote => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AlreadyVoted(..) | Self::EmailTaken | Self::Referenced(_) => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyHeaderFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited(_) | Self::TooManyStreams(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Unavailable(_) | Self::NotReady(..) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Returns the name of the limit that the request has reached.
    pub(super) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::RateLimited(limited) => Some(limited.limit),
            Self::TooManyStreams(_) => Some(STREAMS_LIMIT),
            _ => None,
        }
    }

    /// Returns the error of a store that got only this field as a text of the request.
    pub(super) fn of_field(location: &[&str], error: StoreError) -> Self {
        match error {
            StoreError::Unrepresentable(_) => Self::Invalid(vec![unrepresentable(location)]),
            error => error.into(),
        }
    }

    /// Returns an internal error with this cause.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CallerRejected => Self::InvalidToken,
            StoreError::Unrepresentable(_) => Self::Invalid(vec![unrepresentable(&["body"])]),
            StoreError::Overloaded => Self::Overloaded,
            StoreError::Referenced(source) => Self::Referenced(source),
            StoreError::Unavailable(source) => Self::Unavailable(source),
            StoreError::Internal(source) => Self::Internal(source),
        }
    }
}

impl From<RateLimited> for ApiError {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
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

/// Returns the error for a path without a route.
pub(super) async fn route_not_found() -> ApiError {
    ApiError::RouteNotFound
}

/// Returns the error for a method that the route does not support.
pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}
