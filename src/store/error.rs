//! The errors of every store.

use std::sync::Arc;

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller's account does not exist, or does not accept their token.
    #[error("the caller's account does not exist or does not accept the token")]
    CallerRejected,
    /// The database cannot store a character of a text in the request; nothing was done.
    #[error("the encoding of the database lacks a character of the text")]
    Unrepresentable(#[source] Source),
    /// The queue is full; nothing was done.
    #[error("the store's queue is full")]
    Overloaded,
    /// A row cannot be deleted, because rows of a table that is not the service's refer to it.
    #[error("rows of another table refer to the row")]
    Referenced(#[source] Source),
    /// A transient failure of the database: it is locked or unreachable, or its disk is full. A
    /// write may have been applied, because the outcome of a commit can be unknown.
    #[error("the database is unavailable")]
    Unavailable(#[source] Source),
    /// Any other error, such as a bug in the service or a corrupt database.
    #[error("the database failed")]
    Internal(#[source] Source),
}

impl StoreError {
    pub(super) fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Returns an error of the same kind. Several requests share the original.
    pub(super) fn shared(error: &Arc<Self>) -> Self {
        match error.as_ref() {
            Self::CallerRejected => Self::CallerRejected,
            Self::Overloaded => Self::Overloaded,
            Self::Unrepresentable(_) => Self::unrepresentable(Arc::clone(error)),
            Self::Referenced(_) => Self::Referenced(Box::new(Arc::clone(error))),
            Self::Unavailable(_) => Self::unavailable(Arc::clone(error)),
            Self::Internal(_) => Self::internal(Arc::clone(error)),
        }
    }

    pub(super) fn unrepresentable(source: impl Into<Source>) -> Self {
        Self::Unrepresentable(source.into())
    }

    pub(super) fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}
