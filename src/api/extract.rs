//! Extractors: the caller of a request, and its validated input. The contract fixes the order of the
//! checks: first the token, then the size and syntax of the body, then all fields of path, query and
//! body together.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::FutureExt as _;
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use super::input::{
    self, Body, BodyKind, FromRequestFields, JsonError, MediaType, RequestFields, invalid_json,
    parse_json, read_body,
};
use super::state::AppState;
use super::writer::CountsAsWrite;
use crate::auth::{InvalidToken, ValidToken};
use crate::domain::caller::Caller;

/// Checks the signature and the dates of the token. The SQL statement of the operation checks the
/// account. If the request is invalid, no such statement runs, so [`Valid`] checks the account.
impl FromRequestParts<Arc<AppState>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let caller = authenticate(parts, app)?;
        parts.extensions.insert(caller);
        Ok(caller)
    }
}

/// The token of a request that opens a stream or gets a ticket for one. With `CHANGES_STREAMS=0`, and
/// if the database logs no changes, the request gets 404.
pub(super) struct StreamToken(pub ValidToken);

impl FromRequestParts<Arc<AppState>> for StreamToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        if !app.changes.is_on() || !app.store.has_change_log().await? {
            return Err(ApiError::RouteNotFound);
        }
        let is_stream = parts.method != Method::POST;
        let ticket = is_stream.then(|| query_ticket(parts)).flatten();
        let token = match (authenticate_token(parts, app), ticket) {
            (Err(ApiError::NotAuthenticated), Some(ticket)) => {
                app.tokens.verify_ticket(&ticket).map_err(rejected)?
            }
            (token, _) => token?,
        };
        parts.extensions.insert(caller_of(&token, app));
        Ok(Self(token))
    }
}

/// Returns the ticket in the query. If it is repeated, the last one counts.
fn query_ticket(parts: &Parts) -> Option<String> {
    let query = input::pairs(parts.uri.query().unwrap_or_default().as_bytes());
    query.into_iter().rev().find(|(name, _)| name == "ticket").map(|(_, ticket)| ticket)
}

/// The caller of a route that also accepts anonymous requests. An invalid token counts as no token.
pub(super) struct OptionalCaller(pub Option<Caller>);

impl FromRequestParts<Arc<AppState>> for OptionalCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<AppState>,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(authenticate(parts, app).ok()))
    }
}

/// The caller of a route that the policy opens to requests without a token. A token that is sent
/// must be valid.
pub(super) struct PostReader(pub Option<Caller>);

impl FromRequestParts<Arc<AppState>> for PostReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        // Each of several headers could have a token.
        let is_single = parts.headers.get_all(AUTHORIZATION).iter().nth(1).is_none();
        match authenticate(parts, app) {
            Ok(caller) => {
                parts.extensions.insert(caller);
                Ok(Self(Some(caller)))
            }
            Err(ApiError::NotAuthenticated) if app.policy.anonymous_reads && is_single => {
                Ok(Self(None))
            }
            Err(error) => Err(error),
        }
    }
}

fn authenticate(parts: &Parts, app: &AppState) -> Result<Caller, ApiError> {
    authenticate_token(parts, app).map(|token| caller_of(&token, app))
}

/// Returns the caller that a token names.
pub(super) fn caller_of(token: &ValidToken, app: &AppState) -> Caller {
    let ValidToken { user_id, valid_from_range, .. } = *token;
    Caller { user_id, draft_visibility: app.policy.draft_visibility, valid_from_range }
}

fn authenticate_token(parts: &Parts, app: &AppState) -> Result<ValidToken, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or(ApiError::NotAuthenticated)?.as_bytes();
    let end = header.iter().position(|&byte| byte == b' ').unwrap_or(header.len());
    let (scheme, token) = header.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(ApiError::NotAuthenticated);
    }
    if headers.next().is_some() {
        // The service and a proxy in front of it could each use a different one of the two headers.
        return Err(ApiError::InvalidToken);
    }
    let token = token.strip_prefix(b" ").unwrap_or_default();
    let token = std::str::from_utf8(token).map_err(|_| ApiError::InvalidToken)?;
    app.tokens.verify_until(token).map_err(rejected)
}

fn rejected(invalid: InvalidToken) -> ApiError {
    tracing::debug!(reason = %invalid, "token rejected");
    ApiError::InvalidToken
}

/// The input of a handler, after every check that does not need the store.
pub(super) struct Valid<T>(pub T);

impl<T: FromRequestFields + 'static> FromRequest<Arc<AppState>> for Valid<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().copied();
        let counts_as_write = parts.extensions.get::<CountsAsWrite>().is_some();
        let error = match read_input(parts, body, app).await {
            Ok(input) => return Ok(Self(input)),
            Err(error) => error,
        };
        // An invalid token takes precedence over any error of the request.
        if let Some(caller) = caller {
            app.store.find_caller(caller).await?;
            if counts_as_write {
                app.rate_limits.count_write(caller.user_id, 0);
            }
        }
        Err(error)
    }
}

async fn read_input<T: FromRequestFields + 'static>(
    parts: Parts,
    body: axum::body::Body,
    app: &Arc<AppState>,
) -> Result<T, ApiError> {
    let body = match T::body(&app.policy, &parts.headers) {
        BodyKind::Ignored => Bytes::new(),
        BodyKind::Json | BodyKind::Form => read_body(&parts, body).await?,
    };
    let state = Arc::clone(app);
    app.large_work.run(body.len(), move || read_fields(&parts, body, &state)).await?
}

/// Reads all fields. The parsed body exists only in here.
fn read_fields<T: FromRequestFields>(
    parts: &Parts,
    body: Bytes,
    app: &AppState,
) -> Result<T, ApiError> {
    let body = match T::body(&app.policy, &parts.headers) {
        BodyKind::Ignored => Body::Absent,
        BodyKind::Json => read_json(parts, &body)?,
        BodyKind::Form => read_form(parts, body)?,
    };
    let mut request = RequestFields {
        policy: &app.policy,
        headers: &parts.headers,
        path_parameter: path_parameter(parts),
        query: input::pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        body,
        errors: Vec::new(),
    };
    let input = T::read(&mut request);
    let errors = request.errors;
    match input {
        Some(input) if errors.is_empty() => Ok(input),
        _ => Err(ApiError::Invalid(errors)),
    }
}

fn read_json(parts: &Parts, body: &Bytes) -> Result<Body, ApiError> {
    if body.is_empty() {
        return Ok(Body::Absent);
    }
    if !matches!(MediaType::of(&parts.headers), MediaType::Json | MediaType::Absent) {
        return Ok(Body::Text(std::str::from_utf8(body).ok().map(str::to_owned)));
    }
    match parse_json(body) {
        Ok(value) => Ok(Body::Json(value)),
        Err(JsonError::Unreadable) => Err(ApiError::UnreadableBody),
        Err(JsonError::Syntax { position, message }) => {
            Err(ApiError::Invalid(vec![invalid_json(position, message)]))
        }
    }
}

fn read_form(parts: &Parts, body: Bytes) -> Result<Body, ApiError> {
    match MediaType::of(&parts.headers) {
        MediaType::UrlEncoded => Ok(Body::Form(input::pairs(&body))),
        MediaType::Multipart => {
            // The whole body is there, so the parser never waits.
            let fields = input::multipart(&parts.headers, body).now_or_never();
            fields.unwrap_or(Err(ApiError::UnreadableBody)).map(Body::Form)
        }
        _ => Ok(Body::Absent),
    }
}

/// Returns the last segment of the path, decoded. In this API every path parameter is the last
/// segment. Bytes that are not UTF-8 become U+FFFD: the parameter is then invalid, and the error
/// names it.
fn path_parameter(parts: &Parts) -> Cow<'_, str> {
    let encoded = parts.uri.path().rsplit('/').next().unwrap_or_default();
    percent_decode_str(encoded).decode_utf8_lossy()
}
