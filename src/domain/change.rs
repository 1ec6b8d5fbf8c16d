//! Changes of posts, as the database logs them while a process listens.
//!
//! A row of the log says which post changed and how, never its text. A reader of the log looks at
//! the posts as they are now.

use super::post::{Post, PostId};
use super::user::UserId;

/// A post with longer texts, title and content together in bytes, is read without them.
pub const MAX_CHANGED_TEXT: u32 = 4096;

/// The position of a change in the log. Positions of one [`ChangeEpoch`] are ordered as the changes
/// became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChangePosition {
    /// The transaction that made the change. 0 on an embedded database, whose numbers suffice.
    pub transaction: i64,
    /// The number of the row in the log.
    pub number: i64,
}

/// A random number. A new one begins if changes may be missing, or if positions may be given again: no
/// process listened for an hour, the clock was changed, votes were truncated, the database was
/// restored, imported or moved, or another run of the server began (SQLite: of the process).
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
    /// The tokens of the account were revoked, or the account was disabled, enabled, closed or
    /// deleted.
    TokensRevoked(UserId),
}

/// The kind of a change of a post.
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
    /// From here on every change is in the log, once [`Changes::end`] has reached this position.
    /// Transactions that were open at the registration may have logged nothing.
    pub start: ChangePosition,
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub epoch: ChangeEpoch,
    /// In the order of their positions.
    pub changes: Vec<Change>,
    /// Where the next part begins: no change before this position will ever be added. No reader of
    /// this epoch can have been at a later position.
    pub end: ChangePosition,
    /// Once `end` has reached this position, the reader has every change that was committed before this
    /// read.
    pub watermark: ChangePosition,
    /// The last change that was deleted because of its age. A reader that continues from an earlier
    /// position misses changes.
    pub forgotten: ChangePosition,
}

/// A post as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPost {
    pub id: PostId,
    pub votes: i64,
    /// `None` if the texts are longer than [`MAX_CHANGED_TEXT`], or the database cannot convert them.
    pub post: Option<Post>,
}
