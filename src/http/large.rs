//! Answers that are large, which are written whole and then wait for their client. All of them
//! together have a bound, and each has a time.
//!
//! Not here: connections that stand still (`stalled`). A client of HTTP/2 can keep its connection
//! moving and yet give no answer any room.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::error::ApiError;

/// What is no larger is not counted: a connection has so much for each of its streams anyway.
pub(super) const LARGE: u32 = 64 * 1024;

/// What is handed on at once, and cannot be taken back: the largest frame of HTTP/2.
const PIECE: usize = 16 * 1024;

/// The room that large answers have, from their handler until they are read.
#[derive(Debug, Clone)]
pub struct LargeAnswers {
    /// In bytes.
    room: Arc<Semaphore>,
    together: u32,
    time: Duration,
}

/// Marks an answer whose bytes exist once, however many read them.
#[derive(Clone)]
pub(super) struct KeptOnce;

impl Default for LargeAnswers {
    /// A list of 8 MiB must be read at 70 KB a second.
    fn default() -> Self {
        Self::new(256 * 1024 * 1024, Duration::from_mins(2))
    }
}

impl LargeAnswers {
    /// So many bytes for all of them, and so long for each to be read.
    #[must_use]
    pub fn new(together: u32, time: Duration) -> Self {
        let room = usize::try_from(together).unwrap_or(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(room)), together, time }
    }

    /// Gives a large answer its share of the room, or refuses it.
    pub(super) fn admit(&self, method: &Method, response: Response) -> Response {
        let length = response.body().size_hint().exact().unwrap_or(0);
        if length <= u64::from(LARGE) || response.extensions().get::<KeptOnce>().is_some() {
            return response;
        }
        // One that is larger than the room may have all of it.
        let share = u32::try_from(length).unwrap_or(u32::MAX).min(self.together);
        match Arc::clone(&self.room).try_acquire_many_owned(share) {
            Ok(share) => response.map(|body| {
                let held = Held { body, rest: Bytes::new(), _share: share };
                Body::new(LargeBody::new(held, length, self.time))
            }),
            Err(_) if method.is_safe() || !response.status().is_success() => {
                ApiError::Overloaded.into_response()
            }
            // What was done must not be denied: the client learns as much as if it had been cut off.
            Err(_) => response.map(|_| Body::new(LargeBody::taken_back(length))),
        }
    }
}

/// An answer that was not read in its time.
#[derive(Debug, thiserror::Error)]
#[error("the answer was taken back")]
struct TakenBack;

/// Whoever has to write it asks a body for nothing while its client gives it no room. So what it
/// holds is where a timer finds it as well.
struct LargeBody {
    held: Arc<Mutex<Option<Held>>>,
    left: u64,
    timer: Option<AbortHandle>,
}

struct Held {
    body: Body,
    /// What has come out of the body.
    rest: Bytes,
    _share: OwnedSemaphorePermit,
}

impl LargeBody {
    fn new(held: Held, length: u64, time: Duration) -> Self {
        let held = Arc::new(Mutex::new(Some(held)));
        let same = Arc::clone(&held);
        let end = tokio::time::sleep(time);
        let timer = tokio::spawn(async move {
            end.await;
            *lock(&same) = None;
        });
        Self { held, left: length, timer: Some(timer.abort_handle()) }
    }

    fn taken_back(length: u64) -> Self {
        Self { held: Arc::default(), left: length, timer: None }
    }

    fn give_back(&mut self) {
        *lock(&self.held) = None;
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

fn lock(held: &Mutex<Option<Held>>) -> MutexGuard<'_, Option<Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    /// A copy, because a part of the whole would keep the whole.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, axum::Error>> {
        while self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let frame = frame.unwrap_or_else(|| Err(axum::Error::new(TakenBack)))?;
            self.rest = frame.into_data().unwrap_or_default();
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Ok(Bytes::copy_from_slice(&piece)))
    }
}

impl http_body::Body for LargeBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match lock(&self.held).as_mut() {
            Some(held) => ready!(held.poll_piece(context)),
            None => Err(axum::Error::new(TakenBack)),
        };
        let length = piece.as_ref().map_or(self.left, |piece| piece.len().try_into().unwrap_or(0));
        self.left = self.left.saturating_sub(length);
        if self.left == 0 {
            self.give_back();
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for LargeBody {
    fn drop(&mut self) {
        self.give_back();
    }
}
