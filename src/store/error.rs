//! What can go wrong in a store, whichever it is.

use std::sync::Arc;

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The account that the caller's token names does not exist (any more).
    #[error("the caller's account does not exist")]
    CallerRejected,
    /// Too much waits already; nothing was done.
    #[error("the store's queue is full")]
    Overloaded,
    /// The database cannot take this now and may later: locked, full disk, out of reach. A write
    /// may nevertheless have happened, if it is the commit whose outcome is unknown.
    #[error("the database is unavailable")]
    Unavailable(#[source] Source),
    /// Everything else: a fault of ours.
    #[error("the database failed")]
    Internal(#[source] Source),
}

impl StoreError {
    pub(super) fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The same error for each of several who share it.
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
