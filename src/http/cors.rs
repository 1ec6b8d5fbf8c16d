//! Cross-origin requests (the Fetch standard's CORS protocol), without credentials.
//!
//! By hand, as the contract wants what the usual layer does not do: no header without `Origin`,
//! a plain OPTIONS refused like any other method, and a preflight answered on every path.

use axum::body::Body;
use axum::http::Method;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::response::Response;

/// Which pages of other origins may read our answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    Any,
    /// These alone, as browsers write them: `https://app.example.org`.
    Listed(Vec<HeaderValue>),
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin")]
pub struct InvalidOrigin(pub String);

impl AllowedOrigins {
    /// `*`, or origins separated by commas.
    ///
    /// # Errors
    /// The first that is no origin.
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

    /// Tells caches that the answer depends on the origin: one that was made for none, too, else
    /// it is given to a page that then may not read it.
    pub(super) fn vary(&self, headers: &mut HeaderMap) {
        if matches!(self, Self::Listed(_)) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}

/// What has to be known of a request to answer it across origins.
pub(super) struct CorsRequest {
    origin: HeaderValue,
    /// Whether the browser only asks what it may do.
    is_preflight: bool,
    asked_headers: Option<HeaderValue>,
}

impl CorsRequest {
    /// `None` for a request of the same origin, or of no browser.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(ORIGIN)?.clone();
        let is_preflight =
            method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let asked_headers = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        Some(Self { origin, is_preflight, asked_headers })
    }

    /// The answer to a preflight, or `None` if the request is none.
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
        // Named rather than `*`, which does not cover Authorization.
        if let Some(asked) = &self.asked_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// Lets the origin read the response, if it may.
    pub(super) fn allow(&self, origins: &AllowedOrigins, headers: &mut HeaderMap) {
        let allowed = match origins {
            AllowedOrigins::Any => HeaderValue::from_static("*"),
            AllowedOrigins::Listed(listed) if listed.contains(&self.origin) => self.origin.clone(),
            AllowedOrigins::Listed(_) => return,
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("location, retry-after, x-request-id"),
        );
    }
}

/// `scheme://host` or `scheme://host:port`, as browsers write it: lower case, no path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let in_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let in_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    let are_there = !scheme.is_empty() && !host.is_empty();
    are_there && scheme.bytes().all(in_scheme) && host.bytes().all(in_host)
}
