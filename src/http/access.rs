//! One log line for each request, another for one that failed, and the id that ties both to its
//! client's own logs.
//!
//! The line has the path without its query, and no header: neither tokens nor search texts nor
//! addresses of e-mail get into the log.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use axum::response::Response;

use super::client::Client;
use super::error::{Failure, LimitReached};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a client's own that is taken over.
const LONGEST_ID: usize = 64;

/// What the line says of a request whose client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// A request that is under way. Its line is written when it ends, in whatever way.
pub(super) struct RequestLog {
    log: bool,
    status: u16,
    began: Instant,
    method: Method,
    uri: Uri,
    client: Option<IpAddr>,
    id: HeaderValue,
}

impl RequestLog {
    pub(super) fn begin(
        request: &Request<Body>,
        Client(client): Client,
        log: bool,
        ids: &RequestIds,
    ) -> Self {
        let own_id = request.headers().get(REQUEST_ID).and_then(accept_id);
        Self {
            log,
            status: CLIENT_LEFT,
            began: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            client,
            id: own_id.unwrap_or_else(|| ids.make()),
        }
    }

    pub(super) fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    fn client_text(&self) -> String {
        self.client.map(|client| client.to_string()).unwrap_or_default()
    }

    /// Marks the response with the id, and logs why it is none.
    pub(super) fn end(mut self, response: &mut Response) {
        self.status = response.status().as_u16();
        if let Some(Failure { cause }) = response.extensions_mut().remove() {
            tracing::error!(
                request = self.id_text(),
                status = self.status,
                cause,
                "a request failed"
            );
        }
        if let Some(LimitReached(limit)) = response.extensions_mut().remove() {
            tracing::warn!(
                event = "rate_limited",
                limit,
                client = %self.client_text(),
                request = self.id_text(),
                "a request was refused for its rate"
            );
        }
        response.headers_mut().insert(REQUEST_ID, self.id.clone());
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.log {
            return;
        }
        let microseconds = self.began.elapsed().as_micros();
        tracing::info!(
            target: "access",
            client = %self.client_text(),
            method = %self.method,
            path = self.uri.path(),
            status = self.status,
            microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX),
            request = self.id_text(),
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

/// Request IDs that this process gives out: none twice, and those of another process begin elsewhere.
pub(super) struct RequestIds {
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        // Without random bytes ids are not unique, which harms nothing but the reading of logs.
        Self { next: AtomicU64::new(getrandom::u64().unwrap_or_default()) }
    }

    fn make(&self) -> HeaderValue {
        // An odd step comes to every number before it comes to one again; this one is far.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = self.next.fetch_add(STEP, Ordering::Relaxed);
        HeaderValue::from_str(&format!("{number:016x}"))
            .unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}
