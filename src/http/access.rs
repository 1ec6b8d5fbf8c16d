//! One log line for each request, and the id that ties it to its client's own logs.
//!
//! The line has the path without its query, and no header: neither tokens nor search texts nor
//! addresses of e-mail get into the log.

use std::net::SocketAddr;
use std::time::Instant;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use axum::response::Response;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a client's own that is taken over.
const LONGEST_ID: usize = 64;

/// What the line says of a request whose client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// A request that is under way. Its line is written when it ends, in whatever way.
pub(super) struct Access {
    log: bool,
    status: u16,
    began: Instant,
    method: Method,
    uri: Uri,
    client: Option<SocketAddr>,
    id: HeaderValue,
}

impl Access {
    pub(super) fn begin(request: &Request<Body>, log: bool) -> Self {
        Self {
            log,
            status: CLIENT_LEFT,
            began: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            client: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            id: request.headers().get(REQUEST_ID).and_then(accept_id).unwrap_or_else(make_id),
        }
    }

    pub(super) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Marks the response with the id.
    pub(super) fn end(mut self, response: &mut Response) {
        self.status = response.status().as_u16();
        response.headers_mut().insert(REQUEST_ID, self.id.clone());
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if !self.log {
            return;
        }
        let microseconds = self.began.elapsed().as_micros();
        tracing::info!(
            target: "access",
            client = %self.client.map(|client| client.ip().to_string()).unwrap_or_default(),
            method = %self.method,
            path = self.uri.path(),
            status = self.status,
            microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX),
            request = self.id.to_str().unwrap_or_default(),
        );
    }
}

/// A client's id is repeated only if it cannot be anything but an id.
fn accept_id(id: &HeaderValue) -> Option<HeaderValue> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = id.as_bytes();
    let accepted = (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(is_plain);
    accepted.then(|| id.clone())
}

fn make_id() -> HeaderValue {
    // Without random bytes ids are not unique, which harms nothing but the reading of logs.
    let number = getrandom::u64().unwrap_or_default();
    HeaderValue::from_str(&format!("{number:016x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("0"))
}
