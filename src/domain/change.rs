//! Changes of posts, as the database logs them while somebody listens.
//!
//! A row of the log says which post changed and how, never its text. Who reads the log looks at the
//! posts as they are now.

use super::post::PostId;
use super::user::UserId;

/// The place of a change in the log. Places of one [`ChangeEpoch`] are ordered as the changes
/// became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChangePosition {
    /// The transaction that made the change. 0 on an embedded database, whose numbers suffice.
    pub transaction: i64,
    /// The number of the row in the log.
    pub number: i64,
}

/// One life of the log. A new one begins if nobody listened for a time: then changes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeEpoch(pub i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub position: ChangePosition,
    pub subject: ChangeSubject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeSubject {
    Post {
        id: PostId,
        kind: PostChangeKind,
    },
    /// The tokens of the account were revoked, or the account was disabled, closed or deleted.
    TokensRevoked(UserId),
}

/// What happened to a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostChangeKind {
    Created,
    /// Title, content or the published state changed.
    Updated {
        was_published: bool,
    },
    Deleted {
        was_published: bool,
    },
    /// The count of votes changed.
    Votes,
}

/// The registration of a process that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    pub epoch: ChangeEpoch,
    /// From here on every change is in the log, once [`Changes::end`] has reached this place.
    /// Transactions that were open at the registration may have logged nothing.
    pub start: ChangePosition,
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub epoch: ChangeEpoch,
    /// In the order of their positions.
    pub changes: Vec<Change>,
    /// Where the next part begins: no change before this place will ever be added.
    pub end: ChangePosition,
    /// The last change that was deleted because of its age. A reader that continues from an earlier
    /// place misses changes.
    pub forgotten: ChangePosition,
}
