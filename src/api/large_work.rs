//! Work in proportion to a large body or response. It runs on blocking threads, so that short
//! requests do not wait behind it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::entity_tag::{EntityTags, with_tag};
use super::error::ApiError;
use super::json_response::{json_response_from, to_json};
use crate::client_limits::RequestPermit;
use crate::domain::post::PostWithVotes;
use crate::store::{PostList, SerializedList};

/// Work on at most so many bytes runs on the serving thread: it takes less than a millisecond.
pub(super) const SMALL_WORK_BYTES: usize = 64 * 1024;

/// Size in bytes of a post in a list without its texts.
const FIELD_BYTES: usize = 160;

/// Updates of parts of posts at the same time. The length of the post, up to 4 MiB, is known only after
/// the write, which must not fail any more.
const MAX_UPDATES: usize = 16;

/// Permits for large work.
#[derive(Debug, Clone)]
pub struct LargeWork {
    /// Each for one blocking thread. They use at most half of the cores, so that other requests keep
    /// the rest.
    threads: Arc<Semaphore>,
    updates: Arc<Semaphore>,
}

impl Default for LargeWork {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { threads, updates: Arc::new(Semaphore::new(MAX_UPDATES)) }
    }
}

impl LargeWork {
    /// Runs work on so many bytes. If the client disconnects, work that runs is finished.
    ///
    /// # Errors
    /// [`ApiError::Internal`] if the work panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= SMALL_WORK_BYTES {
            return Ok(work());
        }
        let permit = Arc::clone(&self.threads).acquire_owned().await.map_err(ApiError::internal)?;
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        #[expect(clippy::disallowed_methods, reason = "the permits bound its queue")]
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(ApiError::internal)
    }

    /// Waits for the turn of an update whose response is larger than its request. The turn ends when
    /// the permit is dropped.
    ///
    /// # Errors
    /// None: the permits are never closed.
    pub(super) async fn begin_update(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.updates.acquire().await.map_err(ApiError::internal)
    }

    /// Returns the response with a list and its entity tag; `show` converts it to its JSON type. A
    /// small list is serialized and hashed once for all requests that share it. `added` is the size
    /// in bytes of what `show` adds for this request only; `None` means that all requests get the
    /// same.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if a limit of the client is reached.
    pub(super) async fn write_list<T: Serialize>(
        &self,
        request: RequestPermit,
        posts: PostList,
        tags: EntityTags,
        added: Option<usize>,
        show: impl Fn(&[PostWithVotes]) -> T + Send + 'static,
    ) -> Result<Response, ApiError> {
        let fields = posts.len().saturating_mul(FIELD_BYTES);
        let bytes = posts.byte_len().saturating_add(fields).saturating_add(added.unwrap_or(0));
        count(&request, bytes)?;
        let write = move || {
            let serialize = |posts: &[PostWithVotes]| {
                let json = to_json(bytes, &show(posts));
                SerializedList { hash: tags.hash_body(&json), json }
            };
            let body = if added.is_none() && bytes <= SMALL_WORK_BYTES {
                posts.serialize_once(serialize)
            } else {
                serialize(&posts)
            };
            // The work may outlive the request, and then counts until here.
            drop((posts, request));
            body
        };
        let SerializedList { json, hash } = self.run(bytes, write).await?;
        Ok(with_tag(json_response_from(StatusCode::OK, json), tags.of_hash(hash)))
    }
}

/// Counts a large response before its work waits for a thread: its texts, and the JSON with them.
///
/// # Errors
/// [`ApiError::Overloaded`] if a limit of the client is reached.
pub(super) fn count(request: &RequestPermit, bytes: usize) -> Result<(), ApiError> {
    if bytes <= SMALL_WORK_BYTES {
        return Ok(());
    }
    let counted = request.set_response(bytes.saturating_mul(2));
    counted.map(|_| ()).map_err(|_| ApiError::Overloaded)
}
