//! Request bodies: read up to a bound, and what nobody read drained up to another, so that an
//! early answer reaches its client and the connection stays usable.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::body_memory::{BodyMemory, MemoryLimitExceeded, MemoryPermit};
use super::error::ApiError;

/// The largest body that is read: 2 MiB.
const MAXIMUM_BODY: usize = 2 * 1024 * 1024;

/// A body that was refused unread is still taken in up to here. A client that is cut off while it
/// sends may never see the answer; one that sends more than this is cut off.
const MAXIMUM_DRAIN: usize = 4 * MAXIMUM_BODY;

/// How long a body may take to arrive: 70 KiB/s at its largest.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How long draining may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The whole body.
pub(super) async fn read_body(parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAXIMUM_BODY) {
        return Err(ApiError::BodyTooLarge);
    }
    let reading = Limited::new(body, MAXIMUM_BODY).collect();
    match tokio::time::timeout(BODY_TIME, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge),
        Ok(Err(error)) if is_for_want_of_room(error.as_ref()) => Err(ApiError::Overloaded),
        // Cut short or badly chunked: nobody is left to read the answer.
        Ok(Err(_)) => Err(ApiError::UnreadableBody),
        Err(_) => Err(ApiError::RequestTimeout),
    }
}

/// The library has wrapped it, perhaps more than once.
fn is_for_want_of_room(error: &(dyn Error + 'static)) -> bool {
    error.is::<MemoryLimitExceeded>() || error.source().is_some_and(is_for_want_of_room)
}

/// Wraps the body so that what is read of it has room, until the share is dropped that comes with it;
/// and so that its unread rest is drained when it is dropped: unless its client waits to be asked for
/// it, and nobody did. To drain it would be to ask.
pub(super) fn track_and_drain(
    request: Request<Body>,
    body_memory: &BodyMemory,
) -> (Request<Body>, Option<Arc<MemoryPermit>>) {
    if http_body::Body::is_end_stream(request.body()) {
        return (request, None);
    }
    let under_way = !request.headers().contains_key(EXPECT);
    let share = Arc::new(body_memory.open());
    let same = Arc::clone(&share);
    let taken = |body| Body::new(TrackedBody { body: Some(body), share: same, under_way });
    (request.map(taken), Some(share))
}

struct TrackedBody {
    body: Option<Body>,
    share: Arc<MemoryPermit>,
    /// The client sends it, on its own or because it was asked to.
    under_way: bool,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Whoever reads asks.
        self.under_way = true;
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        let Some(Ok(frame)) = frame else {
            // Nothing is left to drain after the end or an error.
            self.body = None;
            return Poll::Ready(frame);
        };
        let room = self.share.take(frame.data_ref().map_or(0, Bytes::len));
        Poll::Ready(Some(room.map(|()| frame).map_err(axum::Error::new)))
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
        if !self.under_way || http_body::Body::is_end_stream(&body) {
            return;
        }
        // Outside of a runtime nothing can be drained, and nobody is connected.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    let mut taken = 0;
    while taken <= MAXIMUM_DRAIN
        && let Some(Ok(frame)) = body.frame().await
    {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}
