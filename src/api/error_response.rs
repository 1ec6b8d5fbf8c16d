//! The response to an [`ApiError`]: its body, its headers, and the notes for the log.
//!
//! The extensions of the response carry the cause of an error to the access log. They are never sent.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::error::ApiError;
use super::json_response::json_response;
use super::responses::OAuthError;
use crate::error_chain::error_chain;
use crate::rate_limits::{RateLimited, STREAMS_LIMIT};

/// Seconds after which a client may retry. A full queue of hashes or writes drains in less. The
/// duration of a lock or of a full disk is unknown.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// The limit and its remaining quota (draft-ietf-httpapi-ratelimit-headers-10).
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limit that a request has reached, for the log only.
#[derive(Debug, Clone, Copy)]
pub struct LimitReached(pub &'static str);

/// The cause of a failed request, for the log only.
#[derive(Debug, Clone)]
pub struct Failure {
    pub cause: String,
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = with_body(&self);
        let status = self.status();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        match &self {
            Self::RateLimited(limited) => describe_limit(headers, limited),
            Self::TooManyStreams(count) => describe_stream_limit(headers, *count),
            _ => {}
        }
        if let Some(limit) = self.limit() {
            response.extensions_mut().insert(LimitReached(limit));
        }
        if let Self::Referenced(source)
        | Self::Unavailable(source)
        | Self::Internal(source)
        | Self::NotReady(_, Some(source)) = &self
        {
            let cause = error_chain(source.as_ref());
            response.extensions_mut().insert(Failure { cause });
        }
        response
    }
}

fn with_body(error: &ApiError) -> Response {
    let status = error.status();
    match error {
        ApiError::Invalid(errors) => json_response(status, &Detail { detail: errors }),
        ApiError::InvalidGrant => {
            json_response(status, &OAuthError::new("invalid_grant", error.to_string()))
        }
        _ => json_response(status, &Detail { detail: error.to_string() }),
    }
}

/// The limit has no window: another stream can be opened once one has ended.
fn describe_stream_limit(headers: &mut HeaderMap, count: usize) {
    headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    for (name, value) in [
        (RATE_LIMIT_POLICY, format!("\"{STREAMS_LIMIT}\";q={count}")),
        (RATE_LIMIT, format!("\"{STREAMS_LIMIT}\";r=0")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

fn describe_limit(headers: &mut HeaderMap, limited: &RateLimited) {
    let RateLimited { limit, rate, wait } = limited;
    // Rounded up, because a client that retries slightly too early is rejected again.
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
