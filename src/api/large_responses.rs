//! The memory budget of large responses: a response is written whole and then waits for its client,
//! so all of them together have a bound, and each has a time to be read.
//!
//! A handler that knows that its response is large reserves the bytes before it writes them. The
//! middleware reserves them for every other response.
//!
//! Not here: the body that holds the permit until the client has read it, see
//! `server/response_body.rs`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use http_body::Body as _;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::json_response::{json_of, json_response_of, json_response_with};
use crate::domain::post::PostWithVotes;
use crate::store::PostList;

/// Responses up to this many bytes are not counted: HTTP/2 buffers as much per stream anyway.
pub const LARGE_RESPONSE_BYTES: usize = 64 * 1024;

/// The budget of all large responses, from their handler until they are read.
#[derive(Debug, Clone)]
pub struct LargeResponses {
    /// In bytes.
    memory: Arc<Semaphore>,
    total: u32,
    read_timeout: Duration,
    /// Serializations at the same time, each on a blocking thread: half of the cores, so that other
    /// requests keep the rest.
    serializers: Arc<Semaphore>,
}

/// Marks a response whose bytes exist once, however many clients read them.
#[derive(Debug, Clone)]
pub struct StaticBody;

/// The part of the budget that a response has already reserved.
#[derive(Debug, Clone)]
pub struct ResponsePermit {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Default for LargeResponses {
    /// Returns a budget of 256 MiB and two minutes: a list of 8 MiB must be read at 70 KB/s.
    fn default() -> Self {
        Self::new(256 * 1024 * 1024, Duration::from_mins(2))
    }
}

impl LargeResponses {
    /// Returns a budget of `total` bytes for all responses, and `read_timeout` for each to be read.
    #[must_use]
    pub fn new(total: u32, read_timeout: Duration) -> Self {
        let permits = usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            memory: Arc::new(Semaphore::new(permits)),
            total,
            read_timeout,
            serializers: Arc::new(Semaphore::new((cores / 2).max(1))),
        }
    }

    /// Returns the response with a list, as `show` presents it. A small list is serialized once for
    /// all requests that share it. A large one reserves its memory before it waits for a serializer.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the budget is exhausted.
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
            let body = posts.serialize_once(|posts| json_of(bytes, &show(posts)));
            return Ok(json_response_with(StatusCode::OK, body));
        }
        let value = show(&posts);
        drop(posts);
        let permit = self.try_acquire(self.share(bytes)).ok_or(ApiError::Overloaded)?;
        let serializer =
            Arc::clone(&self.serializers).acquire_owned().await.map_err(ApiError::internal)?;
        // The permits travel with the work: if the client leaves, they return when it is done.
        let write = move || {
            let response = json_response_of(bytes, StatusCode::OK, &value);
            drop((value, serializer));
            (response, permit)
        };
        #[expect(clippy::disallowed_methods, reason = "the serializer permits bound it")]
        let written = tokio::task::spawn_blocking(write).await;
        let (mut response, mut permit) = written.map_err(ApiError::internal)?;
        // Field names, numbers and escapes were not known before.
        let more = self.share(body_len(&response)).saturating_sub(self.share(bytes));
        permit.merge(self.try_acquire(more).ok_or(ApiError::Overloaded)?);
        response.extensions_mut().insert(ResponsePermit { _permit: Arc::new(permit) });
        Ok(response)
    }

    /// Reserves memory for a response that has none yet. `None` if the budget is exhausted.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<ResponsePermit> {
        let permit = self.try_acquire(self.share(bytes))?;
        Some(ResponsePermit { _permit: Arc::new(permit) })
    }

    /// The time in which a client must read a large response.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        self.read_timeout
    }

    /// A response larger than the whole budget may have all of it.
    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total)
    }

    fn try_acquire(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.memory).try_acquire_many_owned(bytes).ok()
    }
}

/// Returns the length of the body in bytes. Every response of a handler is whole, so it is exact.
#[must_use]
pub fn body_len(response: &Response) -> usize {
    let length = response.body().size_hint().exact();
    length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}
