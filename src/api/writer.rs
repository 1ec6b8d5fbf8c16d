//! A caller within the rate limit of writes. A write counts for its account after the store has
//! accepted the token, so a revoked token cannot use up the limit of its owner.
//!
//! Not here: the limit, see `rate_limits`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use super::state::AppState;
use crate::domain::caller::Caller;
use crate::store::{self, StoreError};

/// A caller that may write now. The limit is checked before the body is read.
pub(super) struct Writer {
    pub caller: Caller,
    app: Arc<AppState>,
}

/// Marks a request of a [`Writer`]: it counts as a write even if it is invalid.
#[derive(Clone, Copy)]
pub(super) struct CountsAsWrite;

impl FromRequestParts<Arc<AppState>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let writer = Self::check(caller, app).await?;
        parts.extensions.insert(CountsAsWrite);
        Ok(writer)
    }
}

impl Writer {
    /// Checks the limit of a caller. For a route on which only some requests count as writes.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if the limit is reached, and the errors of the store.
    pub(super) async fn check(caller: Caller, app: &Arc<AppState>) -> Result<Self, ApiError> {
        if let Err(limited) = app.rate_limits.check_write(caller.user_id) {
            // 401 for a revoked token takes precedence.
            app.store.find_caller(caller).await?;
            return Err(limited.into());
        }
        Ok(Self { caller, app: Arc::clone(app) })
    }

    /// Runs a write that stores this many bytes of text, and counts it.
    ///
    /// # Errors
    /// Those of the write. A write that the store rejected, or had no capacity for, does not count.
    pub(super) async fn run<T>(
        &self,
        bytes: usize,
        write: impl Future<Output = store::Result<T>>,
    ) -> store::Result<T> {
        self.run_measured(bytes, write, |_| bytes).await
    }

    /// Like [`Writer::run`], but `measure` returns the bytes of a write that succeeded. Until then
    /// `bytes` are known.
    ///
    /// # Errors
    /// Those of [`Writer::run`].
    pub(super) async fn run_measured<T>(
        &self,
        bytes: usize,
        write: impl Future<Output = store::Result<T>>,
        measure: impl FnOnce(&T) -> usize,
    ) -> store::Result<T> {
        let mut pending = PendingWrite { writer: self, bytes, is_counted: false };
        let outcome = write.await;
        pending.is_counted = true;
        let bytes = outcome.as_ref().map_or(bytes, measure);
        if !matches!(outcome, Err(StoreError::CallerRejected | StoreError::Overloaded)) {
            self.app.rate_limits.count_write(self.caller.user_id, bytes);
        }
        outcome
    }
}

/// A write whose outcome is not known yet.
struct PendingWrite<'a> {
    writer: &'a Writer,
    bytes: usize,
    is_counted: bool,
}

impl Drop for PendingWrite<'_> {
    /// Counts the write of a client that has disconnected, because the store may still do it. If
    /// the store cannot tell whether the account accepts the token, the write counts.
    fn drop(&mut self) {
        if self.is_counted {
            return;
        }
        let Writer { caller, app } = self.writer;
        let (caller, bytes, app) = (*caller, self.bytes, Arc::clone(app));
        let background = app.background.clone();
        background.detach(async move {
            let checked = app.store.find_caller(caller).await;
            if !matches!(checked, Err(StoreError::CallerRejected)) {
                app.rate_limits.count_write(caller.user_id, bytes);
            }
        });
    }
}
