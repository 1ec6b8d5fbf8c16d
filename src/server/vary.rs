//! Names the header fields of the request that a response depends on, for caches (RFC 9110, 12.5.5).

use axum::http::Method;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, VARY};

/// CORS headers depend on `Origin`. A response to a request without `Origin` needs it too: without
/// it, a cache could reuse that response for a page that needs CORS headers.
const PUBLIC: HeaderValue = HeaderValue::from_static("origin");

/// A response that no cache may store, or only the cache of its client, can depend on the caller.
/// So can one that every cache revalidates: a route that needs no token shows callers more.
const PRIVATE: HeaderValue = HeaderValue::from_static("authorization, origin");

const OPTIONS: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

/// A shared response in the form that the client accepts: the handler has named `Accept-Encoding`.
const PUBLIC_FORMS: HeaderValue = HeaderValue::from_static("accept-encoding, origin");

/// Completes `Vary`. A handler whose response depends on the caller must say `private` or `no-cache` if it
/// lets caches store the response.
pub(super) fn add(method: &Method, headers: &mut HeaderMap) {
    let of_one_client = |value: &HeaderValue| {
        let starts_with = |start: &[u8]| value.as_bytes().starts_with(start);
        value == "no-store" || starts_with(b"private") || starts_with(b"public, no-cache")
    };
    let is_shared = headers.get(CACHE_CONTROL).is_some_and(|value| !of_one_client(value));
    let fields = match *method {
        Method::OPTIONS => OPTIONS,
        _ if is_shared && headers.contains_key(VARY) => PUBLIC_FORMS,
        _ if is_shared => PUBLIC,
        _ => PRIVATE,
    };
    headers.insert(VARY, fields);
}
