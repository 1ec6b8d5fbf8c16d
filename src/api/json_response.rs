//! JSON responses, in compact UTF-8.
//!
//! Not here: JSON requests, see `input/json.rs`.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::json_text::TextFormatter;

/// Headers of most responses, with those that the server adds.
const USUAL_HEADERS: usize = 12;

/// A value as the body of a 200 response.
pub(super) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self.0)
    }
}

/// Returns a response with the value as its JSON body.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response {
    json_response_from(status, to_json(0, value))
}

/// Returns the value as JSON. `bytes` is the approximate length of its texts, and sizes the buffer.
pub(super) fn to_json(bytes: usize, value: &impl Serialize) -> Bytes {
    // Reserves space for field names and numbers too.
    let mut json = Vec::with_capacity(bytes + bytes / 4 + 128);
    append_json(&mut json, value);
    json.into()
}

/// Adds the value as JSON.
pub(super) fn append_json(json: &mut Vec<u8>, value: &impl Serialize) {
    let before = json.len();
    // Serializing cannot fail: in our types every key of a map is a string.
    let mut serializer = serde_json::Serializer::with_formatter(&mut *json, TextFormatter);
    if value.serialize(&mut serializer).is_err() {
        json.truncate(before);
    }
}

/// Returns a response with this JSON as its body.
pub(super) fn json_response_from(status: StatusCode, json: Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    // Growing for the headers of the handler and the server would hash all names again.
    response.headers_mut().reserve(USUAL_HEADERS);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
