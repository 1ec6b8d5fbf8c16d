//! Wraps the body of a request. Bytes that the handler reads count against the limits of the client.
//! Bytes that it leaves unread are drained, so that an early response reaches the client and the
//! connection stays usable.
//!
//! Not here: the maximum size and the timeout of a body, see `api/input/body.rs`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::api::MAX_BODY_BYTES;
use crate::client_limits::RequestPermit;

/// Maximum number of bytes of a body that a client may send over HTTP/2 before the handler reads
/// them. It counts from the head of the request.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;

/// Maximum number of unread bytes that are drained: four bodies of the maximum size. If a client
/// sends more, the server closes the connection, and the client may miss the response.
const MAX_DRAIN_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Maximum time for draining.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the number of bytes of the body that may arrive before the handler reads them.
pub(super) fn unread_bytes(body: &Body) -> usize {
    let announced = http_body::Body::size_hint(body).upper().unwrap_or(u64::MAX);
    usize::try_from(announced.min(STREAM_WINDOW.into())).unwrap_or(usize::MAX)
}

/// Wraps the body of the request, which holds the permit too. Dropping the body drains the unread
/// rest, unless the client waits for `100 Continue`: reading would then ask the client to send the
/// rest.
pub(super) fn track_and_drain(request: Request<Body>, permit: &RequestPermit) -> Request<Body> {
    if http_body::Body::is_end_stream(request.body()) {
        return request;
    }
    let is_sending = !request.headers().contains_key(EXPECT);
    let permit = permit.clone();
    request.map(|body| Body::new(TrackedBody { body: Some(body), permit, is_sending }))
}

struct TrackedBody {
    body: Option<Body>,
    permit: RequestPermit,
    /// Whether the client sends the body: it does not wait for `100 Continue`, or a read has sent
    /// that.
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
            // After the end or an error there are no bytes to drain.
            self.body = None;
            return Poll::Ready(frame);
        };
        let counted = self.permit.add_body(frame.data_ref().map_or(0, Bytes::len));
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
        let permit = self.permit.clone();
        // Without a runtime there is no connection to drain.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(body)).await;
                drop(permit);
            });
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
