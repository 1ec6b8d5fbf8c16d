//! What a handler is given: who asks, and values that fit. The order of checks is the contract's:
//! the token first, then the body's size and syntax, then path, query and body together.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::AppState;
use super::body::read_body;
use super::error::ApiError;
use super::form::{self, MediaType};
use super::json::{self, JsonError};
use super::validate::{
    Body, BodyKind, FromRequestFields, RequestFields, ValidationError, invalid_json,
};
use crate::domain::caller::Caller;

/// The token's signature and dates are checked here; whether its account exists, by the store
/// when it does the work, or by [`Valid`] when there is none to do.
impl FromRequestParts<Arc<AppState>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let caller = authenticate(parts, app)?;
        parts.extensions.insert(caller);
        Ok(caller)
    }
}

/// A caller who may write now. Whoever has written too often is told so before anything else of the
/// request is read.
pub struct Writer(pub Caller);

impl FromRequestParts<Arc<AppState>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        app.rate_limits.write(caller)?;
        Ok(Self(caller))
    }
}

/// A caller where none is needed: a token that is not valid counts as none.
pub struct OptionalCaller(pub Option<Caller>);

impl FromRequestParts<Arc<AppState>> for OptionalCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<AppState>,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(authenticate(parts, app).ok()))
    }
}

fn authenticate(parts: &Parts, app: &AppState) -> Result<Caller, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next().ok_or(ApiError::NotAuthenticated)?.as_bytes();
    let end = header.iter().position(|&byte| byte == b' ').unwrap_or(header.len());
    let (scheme, token) = header.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(ApiError::NotAuthenticated);
    }
    if headers.next().is_some() {
        // Which of two counts is anybody's guess, and a proxy may guess differently.
        return Err(ApiError::InvalidToken);
    }
    let token = token.strip_prefix(b" ").unwrap_or_default();
    let token = std::str::from_utf8(token).map_err(|_| ApiError::InvalidToken)?;
    let (user_id, valid_from_range) = app.tokens.verify(token).map_err(|invalid| {
        tracing::debug!(reason = %invalid, "a token was refused");
        ApiError::InvalidToken
    })?;
    Ok(Caller { user_id, drafts: app.policy.drafts, valid_from_range })
}

/// The input, after every check that needs no store.
pub struct Valid<T>(pub T);

impl<T: FromRequestFields> FromRequest<Arc<AppState>> for Valid<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let refusal = match read_input(&parts, body, app).await {
            Ok(input) => return Ok(Self(input)),
            Err(refusal) => refusal,
        };
        // A token of nobody outranks any fault of the request.
        if let Some(caller) = parts.extensions.get::<Caller>() {
            app.store.find_caller(*caller).await?;
        }
        Err(refusal)
    }
}

async fn read_input<T: FromRequestFields>(
    parts: &Parts,
    body: axum::body::Body,
    app: &AppState,
) -> Result<T, ApiError> {
    let body = match T::body(&app.policy) {
        BodyKind::Ignored => Body::Absent,
        BodyKind::Json => read_json(parts, &read_body(parts, body).await?)?,
        BodyKind::Form => read_form(parts, read_body(parts, body).await?).await?,
    };
    let mut request = RequestFields {
        policy: &app.policy,
        headers: &parts.headers,
        path_parameter: path_parameter(parts),
        query: form::pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        body,
        faults: Vec::new(),
    };
    let input = T::read(&mut request);
    let faults: Vec<ValidationError> = request.faults;
    match input {
        Some(input) if faults.is_empty() => Ok(input),
        _ => Err(ApiError::Invalid(faults)),
    }
}

fn read_json(parts: &Parts, body: &Bytes) -> Result<Body, ApiError> {
    if body.is_empty() {
        return Ok(Body::Absent);
    }
    if !matches!(MediaType::of(&parts.headers), MediaType::Json | MediaType::Absent) {
        return Ok(Body::Text(std::str::from_utf8(body).ok().map(str::to_owned)));
    }
    match json::parse(body) {
        Ok(value) => Ok(Body::Json(value)),
        Err(JsonError::Unreadable) => Err(ApiError::UnreadableBody),
        Err(JsonError::Syntax { position, message }) => {
            Err(ApiError::Invalid(vec![invalid_json(position, message)]))
        }
    }
}

async fn read_form(parts: &Parts, body: Bytes) -> Result<Body, ApiError> {
    match MediaType::of(&parts.headers) {
        MediaType::UrlEncoded => Ok(Body::Form(form::pairs(&body))),
        MediaType::Multipart => Ok(Body::Form(form::multipart(&parts.headers, body).await?)),
        _ => Ok(Body::Absent),
    }
}

/// The one parameter that a path of ours can have, and then has at its end, decoded; bytes that are
/// not UTF-8 become U+FFFD, so that they are a fault of the value and not of the request.
fn path_parameter(parts: &Parts) -> Cow<'_, str> {
    let encoded = parts.uri.path().rsplit('/').next().unwrap_or_default();
    percent_decode_str(encoded).decode_utf8_lossy()
}
