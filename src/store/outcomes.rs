//! The outcomes of methods of the contract that have more than two.

use crate::domain::session::Salt;
use crate::domain::user::{TokensValidFrom, UserId};

/// The outcome of [`super::SessionStore::rotate_session`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateSession {
    /// The successor is now the current token.
    Rotated(UserId, TokensValidFrom),
    /// The rotation of the token was confirmed within [`crate::domain::session::REUSE_INTERVAL`],
    /// or by this call. Its successor exists already and was made with this salt.
    Repeated(UserId, TokensValidFrom, Salt),
    /// The rotation was confirmed earlier. The token may have been stolen, so the session was ended.
    Reused(UserId),
    /// The session does not exist, or has ended.
    NoSuchSession,
}

/// The outcome of [`super::VoteStore::cast_vote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteOutcome {
    /// The caller had no vote on the post.
    Added,
    /// The caller's vote had the opposite direction.
    Changed,
    Withdrawn,
    /// The caller's vote has this direction already; nothing changed.
    AlreadyCast,
    /// The caller has no vote to withdraw.
    NotCast,
    /// The post does not exist, or is a draft that is hidden from the caller.
    NoSuchPost,
}

/// The outcome of a change that only the author of a post may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangePost<T> {
    Changed(T),
    /// The caller is not the author; nothing changed.
    NotOwner,
    /// The post does not meet the precondition; nothing changed. Only the author gets this outcome.
    PreconditionFailed,
    /// The post does not exist, or is a draft that is hidden from the caller.
    NoSuchPost,
}
