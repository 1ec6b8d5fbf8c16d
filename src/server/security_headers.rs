//! Security headers of every response (OWASP REST Security and HTTP Headers cheat sheets). A page
//! that needs a wider policy sets its own header first, and this module does not change it.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// No cache may store a response, because it may contain a token or an e-mail.
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

/// Makes browsers use only HTTPS for two years (OWASP HSTS cheat sheet). It has no `preload`: only
/// the owner of a domain can decide to be on the preload lists of browsers.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Adds the missing headers. Adds HSTS only if this service terminates TLS: otherwise the proxy that
/// terminates TLS must add it.
pub(super) fn complete(headers: &mut HeaderMap, is_secure: bool) {
    if is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    let defaults = DEFAULTS;
    // The middleware adds `Vary` and the request ID too. Growing later would hash all names again.
    headers.reserve(defaults.len() + 2);
    for (name, value) in defaults {
        headers.entry(name).or_insert(value);
    }
}
