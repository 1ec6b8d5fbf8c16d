//! The body of a large response. It keeps its part of the memory budget until the client has read
//! it, and expires if that takes too long.
//!
//! Not here: idle connections, see `idle_timeout.rs`. That timeout is not enough for HTTP/2: a
//! client can keep a connection busy and still grant a response no flow-control window.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;

use crate::api::{
    ApiError, LARGE_RESPONSE_BYTES, LargeResponses, ResponsePermit, StaticBody, body_len,
};

/// Maximum size in bytes of a piece that the connection gets at once, after which the piece cannot
/// expire. It is the largest HTTP/2 frame that every client accepts (RFC 9113, 4.2).
const PIECE: usize = 16 * 1024;

/// Gives a large response its part of the memory budget. If the budget is exhausted, returns 503
/// instead, or for a write that has succeeded a response that is cut off.
pub(super) fn admit(budget: &LargeResponses, method: &Method, mut response: Response) -> Response {
    let length = body_len(&response);
    if length <= LARGE_RESPONSE_BYTES || response.extensions().get::<StaticBody>().is_some() {
        return response;
    }
    let reserved = response.extensions_mut().remove::<ResponsePermit>();
    match reserved.or_else(|| budget.reserve(length)) {
        Some(permit) => response.map(|body| {
            let pending = PendingBody { body, rest: Bytes::new(), _permit: permit };
            Body::new(ExpiringBody::new(pending, length, budget.read_timeout()))
        }),
        None if method.is_safe() || !response.status().is_success() => {
            ApiError::Overloaded.into_response()
        }
        // The write has succeeded, so 503 would be wrong. The client gets a response that is cut off.
        None => response.map(|_| Body::new(ExpiringBody::expired(length))),
    }
}

/// The client did not read the response in time.
#[derive(Debug, thiserror::Error)]
#[error("the response expired before it was read")]
struct ResponseExpired;

/// A body that a timer drops when the read timeout has elapsed. It needs its own timer, because
/// HTTP/2 polls a body only while the client grants a window.
struct ExpiringBody {
    /// `None` after the end or the timeout.
    pending: Arc<Mutex<Option<PendingBody>>>,
    /// Bytes that the connection has not taken.
    left: usize,
    timer: Option<AbortHandle>,
}

struct PendingBody {
    body: Body,
    /// Bytes of the last frame that the connection has not taken.
    rest: Bytes,
    _permit: ResponsePermit,
}

impl ExpiringBody {
    fn new(pending: PendingBody, length: usize, timeout: Duration) -> Self {
        let pending = Arc::new(Mutex::new(Some(pending)));
        let same = Arc::clone(&pending);
        let deadline = tokio::time::sleep(timeout);
        let timer = tokio::spawn(async move {
            deadline.await;
            *lock(&same) = None;
        });
        Self { pending, left: length, timer: Some(timer.abort_handle()) }
    }

    fn expired(length: usize) -> Self {
        Self { pending: Arc::default(), left: length, timer: None }
    }

    fn release(&mut self) {
        *lock(&self.pending) = None;
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

fn lock(pending: &Mutex<Option<PendingBody>>) -> MutexGuard<'_, Option<PendingBody>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PendingBody {
    /// Returns the next piece as a copy: a slice would keep the whole buffer alive.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, axum::Error>> {
        while self.rest.is_empty() {
            let frame = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), context));
            let frame = frame.unwrap_or_else(|| Err(axum::Error::new(ResponseExpired)))?;
            self.rest = frame.into_data().unwrap_or_default();
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Ok(Bytes::copy_from_slice(&piece)))
    }
}

impl http_body::Body for ExpiringBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match lock(&self.pending).as_mut() {
            Some(pending) => ready!(pending.poll_piece(context)),
            None => Err(axum::Error::new(ResponseExpired)),
        };
        let length = piece.as_ref().map_or(self.left, Bytes::len);
        self.left = self.left.saturating_sub(length);
        if self.left == 0 {
            self.release();
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.try_into().unwrap_or(u64::MAX))
    }
}

impl Drop for ExpiringBody {
    fn drop(&mut self) {
        self.release();
    }
}
