//! Posts and drafts.

use jiff::Timestamp;

use super::text::Text;
use super::user::UserId;

/// A post's ID: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostId(pub i64);

/// The part of a post that its author writes and PUT replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostContent {
    pub title: Text,
    pub content: Text,
    pub published: bool,
}

impl PostContent {
    /// Returns the size of the texts in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.title.as_str().len() + self.content.as_str().len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub id: PostId,
    pub title: Text,
    pub content: Text,
    /// `false` for a draft.
    pub published: bool,
    pub created_at: Timestamp,
    pub owner_id: UserId,
}

impl Post {
    /// Returns the size of the texts in bytes. They are most of the post.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.title.as_str().len() + self.content.as_str().len()
    }
}

/// A post and its vote count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostWithVotes {
    pub post: Post,
    /// Upvotes minus downvotes.
    pub votes: i64,
}
