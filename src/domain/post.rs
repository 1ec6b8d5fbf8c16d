//! Posts and drafts.

use jiff::Timestamp;

use super::text::Text;
use super::user::UserId;

/// The number of a post: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostId(pub i64);

/// What an author writes: all that PUT replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostContent {
    pub title: Text,
    pub content: Text,
    pub published: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub id: PostId,
    pub title: Text,
    pub content: Text,
    /// A post that is not published is a draft.
    pub published: bool,
    pub created_at: Timestamp,
    pub owner_id: UserId,
}

impl Post {
    /// Bytes of its texts: nearly all that it takes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.title.as_str().len() + self.content.as_str().len()
    }
}

/// A post as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostWithVotes {
    pub post: Post,
    /// Upvotes minus downvotes.
    pub votes: i64,
}
