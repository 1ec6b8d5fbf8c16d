//! Cross-origin resource sharing (CORS, Fetch standard), by default without credentials.
//!
//! The layer of tower-http does not fit the contract: it treats every `OPTIONS` as a preflight, and
//! sends `*` to requests without an `Origin`.

use axum::body::Body;
use axum::http::Method;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN,
};
use axum::response::Response;

/// Maximum length in bytes of the requested headers that a preflight repeats. A client that reads no
/// response head makes the process hold it.
const MAX_ECHO_BYTES: usize = 1024;

/// Every header of a response that a client needs, apart from those that the Fetch standard always
/// exposes. A test compares them with the OpenAPI document.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "allow, content-disposition, etag, idempotent-replayed, link, location, ratelimit, \
     ratelimit-policy, retry-after, www-authenticate, x-accel-buffering, x-request-id",
);

/// The origins whose pages may read the responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    Any,
    /// Only these, as browsers write them: `https://app.example.org`.
    Listed(Vec<HeaderValue>),
    /// Only these, and their pages may send cookies and other credentials of the browser.
    ListedWithCredentials(Vec<HeaderValue>),
}

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin")]
pub struct InvalidOrigin(pub String);

impl AllowedOrigins {
    /// Parses `*`, or origins separated by commas.
    ///
    /// # Errors
    /// [`InvalidOrigin`] with the first text that is not an origin.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let texts = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let parse = |origin: &str| match HeaderValue::from_str(origin) {
            Ok(value) if is_origin(origin) => Ok(value),
            _ => Err(InvalidOrigin(origin.to_owned())),
        };
        texts.map(parse).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Allows the listed origins to send credentials. Returns `None` for [`Self::Any`]: the Fetch
    /// standard forbids credentials together with `*`.
    #[must_use]
    pub fn with_credentials(self) -> Option<Self> {
        match self {
            Self::Any => None,
            Self::Listed(origins) | Self::ListedWithCredentials(origins) => {
                Some(Self::ListedWithCredentials(origins))
            }
        }
    }
}

/// The CORS part of a request.
pub(super) struct CorsRequest {
    origin: HeaderValue,
    /// Whether the browser asks for permission before it sends the actual request.
    is_preflight: bool,
    requested_headers: Option<HeaderValue>,
}

impl CorsRequest {
    /// Returns `None` for a request without an `Origin`.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(ORIGIN)?.clone();
        let is_preflight =
            method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let requested_headers = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let requested_headers = requested_headers.filter(|echo| echo.len() <= MAX_ECHO_BYTES);
        Some(Self { origin, is_preflight, requested_headers: requested_headers.cloned() })
    }

    /// Returns the response to a preflight, or `None` if the request is not one.
    pub(super) fn answer_preflight(&self) -> Option<Response> {
        if !self.is_preflight {
            return None;
        }
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
        );
        // The requested headers are echoed, because `*` does not include `Authorization`.
        if let Some(requested) = &self.requested_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// Allows the origin to read the response, if the settings allow the origin.
    pub(super) fn allow(&self, origins: &AllowedOrigins, headers: &mut HeaderMap) {
        let allowed = match origins {
            AllowedOrigins::Any => HeaderValue::from_static("*"),
            AllowedOrigins::Listed(listed) | AllowedOrigins::ListedWithCredentials(listed) => {
                if !listed.contains(&self.origin) {
                    return;
                }
                self.origin.clone()
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if matches!(origins, AllowedOrigins::ListedWithCredentials(_)) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Accepts `scheme://host` and `scheme://host:port` in lower case, without a path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let in_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let in_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    let has_both = !scheme.is_empty() && !host.is_empty();
    has_both
        && scheme.bytes().all(in_scheme)
        && host.bytes().all(in_host)
        && has_port_as_sent(scheme, host)
}

/// Browsers write a port without leading zeros, and leave out the default port of the scheme.
fn has_port_as_sent(scheme: &str, host: &str) -> bool {
    // An IPv6 address is in brackets, and has colons itself.
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let Some((_, port)) = after_address.split_once(':') else {
        return true;
    };
    let is_default = matches!((scheme, port), ("http", "80") | ("https", "443"));
    !is_default && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
}
