//! Rejects the request heads that hyper accepts and the standards of HTTP forbid: a missing,
//! repeated or invalid `Host`, and a transfer coding that this service does not decode. A proxy
//! could read such a request differently.
//!
//! Not here: the framing and the size of a request, which hyper checks. A fragment in the target is
//! dropped before this service can see it.

use std::net::Ipv6Addr;

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use axum::http::{Request, Version};
use axum::response::{IntoResponse as _, Response};

use crate::api::ApiError;

/// Checks the head.
///
/// # Errors
/// [`ApiError::InvalidHost`] (RFC 9112, 3.2 and RFC 9113, 8.3.1), and
/// [`ApiError::UnsupportedTransferCoding`] (RFC 9112, 6.1).
pub(super) fn check(request: &Request<Body>) -> Result<(), ApiError> {
    if !has_valid_host(request) {
        return Err(ApiError::InvalidHost);
    }
    if is_chunked_or_plain(request.headers()) {
        Ok(())
    } else {
        Err(ApiError::UnsupportedTransferCoding)
    }
}

/// Returns the response to a rejected head. It closes an HTTP/1 connection: what follows may have
/// another meaning for the sender.
pub(super) fn reject(error: ApiError, version: Version) -> Response {
    let mut response = error.into_response();
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn has_valid_host(request: &Request<Body>) -> bool {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let mut fields = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let host = fields.next();
    let is_repeated = fields.next().is_some();
    let are_valid = authority.is_none_or(is_host) && host.is_none_or(is_host);
    let is_named = match request.version() {
        // `:authority` or `Host`, and the same in both.
        Version::HTTP_2 => match (authority, host) {
            (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
            (None, None) => false,
            _ => true,
        },
        Version::HTTP_11 => host.is_some(),
        // HTTP/1.0 has no `Host`.
        _ => true,
    };
    is_named && are_valid && !is_repeated
}

/// Returns whether the text is `uri-host [ ":" port ]` (RFC 3986, 3.2.2). The host may be empty, and
/// there is no user information.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let (is_valid, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(Some((address, port))) => (address.parse::<Ipv6Addr>().is_ok(), port),
        Some(None) => return false,
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(name), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    is_valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Returns whether the text is a `reg-name`, which includes IPv4 addresses.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_valid {
            return false;
        }
    }
    true
}

/// Returns whether the body has no transfer coding, or only `chunked`, once.
fn is_chunked_or_plain(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    match codings.next() {
        None => true,
        Some(first) => {
            first.trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        }
    }
}
