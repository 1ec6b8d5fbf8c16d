//! Answers that are large, which are written whole and then wait for their client. All of them
//! together have a bound, and each has a time. Whoever knows before it is written that one is large
//! has it written here.
//!
//! Not here: connections that stand still (`stalled`). A client of HTTP/2 can keep its connection
//! moving and yet give no answer any room.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::error::ApiError;
use super::json::{json_of, json_response_of, json_response_with};
use crate::domain::page::PostList;
use crate::domain::post::PostWithVotes;

/// What is no larger is not counted: a connection has so much for each of its streams anyway.
pub(super) const LARGE_RESPONSE_BYTES: usize = 64 * 1024;

/// What is handed on at once, and cannot be taken back: the largest frame of HTTP/2.
const PIECE: usize = 16 * 1024;

/// The room that large answers have, from their handler until they are read.
#[derive(Debug, Clone)]
pub struct LargeResponses {
    /// In bytes.
    room: Arc<Semaphore>,
    together: u32,
    time: Duration,
    /// Answers that may be written at the same time, each on a thread of its own: other requests have
    /// half of the cores at least.
    pens: Arc<Semaphore>,
}

/// Marks an answer whose bytes exist once, however many read them.
#[derive(Clone)]
pub(super) struct StaticBody;

/// Marks an answer that has its room.
#[derive(Clone)]
struct Budgeted;

impl Default for LargeResponses {
    /// A list of 8 MiB must be read at 70 KB a second.
    fn default() -> Self {
        Self::new(256 * 1024 * 1024, Duration::from_mins(2))
    }
}

impl LargeResponses {
    /// So many bytes for all of them, and so long for each to be read.
    #[must_use]
    pub fn new(together: u32, time: Duration) -> Self {
        let room = usize::try_from(together).unwrap_or(Semaphore::MAX_PERMITS);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            room: Arc::new(Semaphore::new(room)),
            together,
            time,
            pens: Arc::new(Semaphore::new((cores / 2).max(1))),
        }
    }

    /// The answer with a list, as `show` shows it. A small one is written once for all who are answered
    /// with it; a large one has its room before it is written, so that what waits for a pen is counted.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if there is no room for it.
    pub async fn write<T>(
        &self,
        posts: PostList,
        show: impl Fn(&[PostWithVotes]) -> T,
    ) -> Result<Response, ApiError>
    where
        T: Serialize + Send + 'static,
    {
        let bytes = posts.byte_len();
        if bytes <= LARGE_RESPONSE_BYTES {
            let body = posts.write_once(|posts| json_of(bytes, &show(posts)));
            return Ok(json_response_with(StatusCode::OK, body));
        }
        let value = show(&posts);
        drop(posts);
        let share = self.take(self.share(bytes)).ok_or(ApiError::Overloaded)?;
        let pen = Arc::clone(&self.pens).acquire_owned().await.map_err(ApiError::internal)?;
        // If the client leaves, what it writes with goes when it has written.
        let writing = move || {
            let response = json_response_of(bytes, StatusCode::OK, &value);
            drop((value, pen));
            (response, share)
        };
        #[expect(clippy::disallowed_methods, reason = "as many at a time as there are pens")]
        let written = tokio::task::spawn_blocking(writing).await.map_err(ApiError::internal);
        let (response, mut share) = written?;
        // Names, numbers and what was escaped.
        let more = self.share(length(&response)).saturating_sub(self.share(bytes));
        share.merge(self.take(more).ok_or(ApiError::Overloaded)?);
        let mut response = self.hold(response, share);
        response.extensions_mut().insert(Budgeted);
        Ok(response)
    }

    /// Gives a large answer its share of the room, or refuses it.
    pub(super) fn admit(&self, method: &Method, response: Response) -> Response {
        let marks = response.extensions();
        if length(&response) <= LARGE_RESPONSE_BYTES
            || marks.get::<StaticBody>().is_some()
            || marks.get::<Budgeted>().is_some()
        {
            return response;
        }
        match self.take(self.share(length(&response))) {
            Some(share) => self.hold(response, share),
            None if method.is_safe() || !response.status().is_success() => {
                ApiError::Overloaded.into_response()
            }
            // What was done must not be denied: the client learns as much as if it had been cut off.
            None => {
                let length = length(&response);
                response.map(|_| Body::new(LargeBody::taken_back(length)))
            }
        }
    }

    /// What is larger than the room may have all of it.
    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.together)
    }

    fn take(&self, share: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(share).ok()
    }

    fn hold(&self, response: Response, share: OwnedSemaphorePermit) -> Response {
        let length = length(&response);
        response.map(|body| {
            let held = Held { body, rest: Bytes::new(), _share: share };
            Body::new(LargeBody::new(held, length, self.time))
        })
    }
}

/// Every answer is whole before it is sent.
fn length(response: &Response) -> usize {
    let length = response.body().size_hint().exact();
    length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}

/// An answer that was not read in its time.
#[derive(Debug, thiserror::Error)]
#[error("the answer was taken back")]
struct ResponseExpired;

/// Whoever has to write it asks a body for nothing while its client gives it no room. So what it
/// holds is where a timer finds it as well.
struct LargeBody {
    held: Arc<Mutex<Option<Held>>>,
    left: usize,
    timer: Option<AbortHandle>,
}

struct Held {
    body: Body,
    /// What has come out of the body.
    rest: Bytes,
    _share: OwnedSemaphorePermit,
}

impl LargeBody {
    fn new(held: Held, length: usize, time: Duration) -> Self {
        let held = Arc::new(Mutex::new(Some(held)));
        let same = Arc::clone(&held);
        let end = tokio::time::sleep(time);
        let timer = tokio::spawn(async move {
            end.await;
            *lock(&same) = None;
        });
        Self { held, left: length, timer: Some(timer.abort_handle()) }
    }

    fn taken_back(length: usize) -> Self {
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
            let frame = frame.unwrap_or_else(|| Err(axum::Error::new(ResponseExpired)))?;
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
            None => Err(axum::Error::new(ResponseExpired)),
        };
        let length = piece.as_ref().map_or(self.left, Bytes::len);
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
        SizeHint::with_exact(self.left.try_into().unwrap_or(u64::MAX))
    }
}

impl Drop for LargeBody {
    fn drop(&mut self) {
        self.give_back();
    }
}
