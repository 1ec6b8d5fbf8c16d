//! Headers that every answer carries (OWASP REST Security and HTTP Headers cheat sheets). A page
//! that needs a wider policy brings its own, which stays.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Nothing keeps answers that hold tokens or addresses.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const DEFAULTS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    ),
    (CACHE_CONTROL, NO_STORE),
];

/// Browsers come back within TLS alone, for two years (OWASP HTTP Headers and HSTS cheat sheets). Not
/// `preload`: to be on the browsers' lists is for the owner of a domain to ask for.
const SECURE: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Without TLS of our own nothing is promised for the next time: a proxy before us does it itself.
pub(super) fn complete(headers: &mut HeaderMap, is_secure: bool) {
    if is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, SECURE);
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
}
