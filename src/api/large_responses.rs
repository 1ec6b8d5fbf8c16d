//! The memory budget of large responses. A response is serialized completely and then waits for its
//! client, so all large responses share one budget, and each has a read timeout.
//!
//! A handler that knows that its response is large reserves the bytes before it serializes. The
//! middleware reserves the bytes of every other large response.
//!
//! Not here: the body that keeps the permit until the client has read it, see
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
use super::json_response::{json_response_from, json_response_with_capacity, to_json};
use crate::domain::post::PostWithVotes;
use crate::store::PostList;

/// Responses up to this size in bytes are not counted: HTTP/2 buffers as much per stream anyway.
pub const LARGE_RESPONSE_BYTES: usize = 64 * 1024;

/// The budget of all large responses. Each counts from its handler until the client has read it.
#[derive(Debug, Clone)]
pub struct LargeResponses {
    /// In bytes.
    memory: Arc<Semaphore>,
    total: u32,
    read_timeout: Duration,
    /// Permits for concurrent serializations, each on a blocking thread. They use at most half of the
    /// cores, so that other requests keep the rest.
    serializers: Arc<Semaphore>,
}

/// Marks a response whose bytes all clients share. It takes no memory of its own.
#[derive(Debug, Clone)]
pub struct StaticBody;

/// The part of the budget that a response has reserved. Dropping it returns the bytes.
#[derive(Debug, Clone)]
pub struct ResponsePermit {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Default for LargeResponses {
    /// Returns a budget of 256 MiB and a read timeout of two minutes. A client must read a list of
    /// 8 MiB at 70 KB/s.
    fn default() -> Self {
        Self::new(256 * 1024 * 1024, Duration::from_mins(2))
    }
}

impl LargeResponses {
    /// Returns a budget of `total` bytes for all responses. `read_timeout` applies to each response.
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

    /// Returns the response with a list; `show` converts it to its JSON type. A small list is
    /// serialized once for all requests that share it. A large list reserves its memory before it
    /// waits for a serializer.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the budget is exhausted.
    pub async fn write<T>(
        &self,
        posts: PostList,
        show: impl Fn(&[PostWithVotes]) -> T + Send + 'static,
    ) -> Result<Response, ApiError>
    where
        T: Serialize,
    {
        let bytes = posts.byte_len();
        if bytes <= LARGE_RESPONSE_BYTES {
            let body = posts.serialize_once(|posts| to_json(bytes, &show(posts)));
            return Ok(json_response_from(StatusCode::OK, body));
        }
        let permit = self.try_acquire(self.permits_for(bytes)).ok_or(ApiError::Overloaded)?;
        let serializer =
            Arc::clone(&self.serializers).acquire_owned().await.map_err(ApiError::internal)?;
        // The permits move into the work: if the client disconnects, they are returned when it is
        // done.
        let write = move || {
            let value = show(&posts);
            let response = json_response_with_capacity(bytes, StatusCode::OK, &value);
            // A list without a limit holds its own memory permit.
            drop((value, posts, serializer));
            (response, permit)
        };
        #[expect(clippy::disallowed_methods, reason = "the serializer permits bound its queue")]
        let written = tokio::task::spawn_blocking(write).await;
        let (mut response, mut permit) = written.map_err(ApiError::internal)?;
        // The first reservation did not include field names, numbers and escapes.
        let more = self.permits_for(body_len(&response)).saturating_sub(self.permits_for(bytes));
        permit.merge(self.try_acquire(more).ok_or(ApiError::Overloaded)?);
        response.extensions_mut().insert(ResponsePermit { _permit: Arc::new(permit) });
        Ok(response)
    }

    /// Reserves memory for a response without a permit. `None` if the budget is exhausted.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<ResponsePermit> {
        let permit = self.try_acquire(self.permits_for(bytes))?;
        Some(ResponsePermit { _permit: Arc::new(permit) })
    }

    /// Returns the time in which a client must read a large response.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        self.read_timeout
    }

    /// Returns the permits for a response. A response larger than the whole budget takes all of it.
    fn permits_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total)
    }

    fn try_acquire(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.memory).try_acquire_many_owned(bytes).ok()
    }
}

/// Returns the length of the body in bytes. It is exact, because handlers do not stream responses.
#[must_use]
pub fn body_len(response: &Response) -> usize {
    let length = response.body().size_hint().exact();
    length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}
