//! The errors of every store.

use std::sync::Arc;

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's account does not exist, or does not accept their token.
    #[error("the caller's account does not exist or does not accept the token")]
    CallerRejected,
    /// The queue is full; nothing was done.
    #[error("the store's queue is full")]
    Overloaded,
    /// The database failed in a way that may pass: locked, full disk, unreachable. A write may have
    /// been applied, because the outcome of a commit can be unknown.
    #[error("the database is unavailable")]
    Unavailable(#[source] Source),
    /// Everything else: a fault of the service.
    #[error("the database failed")]
    Internal(#[source] Source),
}

impl StoreError {
    pub(super) fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Returns an error of the same kind for each of several requests that share it.
    pub(super) fn shared(error: &Arc<Self>) -> Self {
        match error.as_ref() {
            Self::CallerRejected => Self::CallerRejected,
            Self::Overloaded => Self::Overloaded,
            Self::Unavailable(_) => Self::unavailable(Arc::clone(error)),
            Self::Internal(_) => Self::internal(Arc::clone(error)),
        }
    }

    pub(super) fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}
