//! The body of a request, as the routes see it: what they read is counted against the memory budget,
//! and what they leave unread is drained, so that an early response reaches its client and the
//! connection stays usable.
//!
//! Not here: how large a body may be and how long it may take, see `api/input/body.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::body_memory::{BodyMemory, MemoryPermit};
use crate::api::MAX_BODY_BYTES;

/// Unread bytes that are drained: four of the largest bodies. A client that sends more is cut off,
/// and may not see the response.
const MAX_DRAIN_BYTES: usize = 4 * MAX_BODY_BYTES;

/// How long draining may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Wraps the body of the request. The memory that it takes is released when the returned permit and
/// the body are dropped. The unread rest is drained on drop, unless the client waits for
/// `100 Continue`: to read would be to ask for the rest.
pub(super) fn track_and_drain(
    request: Request<Body>,
    memory: &BodyMemory,
) -> (Request<Body>, Option<Arc<MemoryPermit>>) {
    if http_body::Body::is_end_stream(request.body()) {
        return (request, None);
    }
    let is_sending = !request.headers().contains_key(EXPECT);
    let permit = Arc::new(memory.open());
    let same = Arc::clone(&permit);
    let track = |body| Body::new(TrackedBody { body: Some(body), permit: same, is_sending });
    (request.map(track), Some(permit))
}

struct TrackedBody {
    body: Option<Body>,
    permit: Arc<MemoryPermit>,
    /// Whether the client sends the body: without being asked, or because a read has asked for it.
    is_sending: bool,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The first read sends `100 Continue`.
        self.is_sending = true;
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        let Some(Ok(frame)) = frame else {
            // Nothing is left to drain after the end or an error.
            self.body = None;
            return Poll::Ready(frame);
        };
        let counted = self.permit.take(frame.data_ref().map_or(0, Bytes::len));
        Poll::Ready(Some(counted.map(|()| frame).map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else {
            return;
        };
        if !self.is_sending || http_body::Body::is_end_stream(&body) {
            return;
        }
        // Without a runtime there is no connection to drain.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while drained <= MAX_DRAIN_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}
