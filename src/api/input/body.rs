//! Reads the body of a request, up to a maximum size and within a timeout.
//!
//! Not here: the memory of all bodies together, see `client_limits`.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::api::error::ApiError;
use crate::client_limits::LimitReached;

/// Maximum size of a body: 2 MiB.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Time limit for a body to arrive. The largest body needs about 70 KiB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the whole body.
///
/// # Errors
/// [`ApiError`] for a body that is too large, too slow, cut short, or over a limit of its client.
pub(in crate::api) async fn read_body(parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(ApiError::BodyTooLarge);
    }
    let reading = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge),
        Ok(Err(error)) if is_limit_reached(error.as_ref()) => Err(ApiError::Overloaded),
        // The body is cut short or its chunks are malformed, so the client will hardly read the
        // response.
        Ok(Err(_)) => Err(ApiError::UnreadableBody),
        Err(_) => Err(ApiError::RequestTimeout),
    }
}

/// Body types wrap the error, some of them more than once.
fn is_limit_reached(error: &(dyn Error + 'static)) -> bool {
    error.is::<LimitReached>() || error.source().is_some_and(is_limit_reached)
}
