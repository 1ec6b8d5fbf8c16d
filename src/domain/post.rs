//! Posts and drafts.

use std::fmt;
use std::sync::Arc;

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
    /// Returns the post that has this content.
    #[must_use]
    pub fn to_post(&self, id: PostId, created_at: Timestamp, owner_id: UserId) -> Post {
        let Self { title, content, published } = self.clone();
        Post { id, title, content, published, created_at, owner_id }
    }

    /// Returns the size of the texts in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.title.as_str().len() + self.content.as_str().len()
    }
}

/// New values for some parts of a post. A part that is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostUpdate {
    pub title: Option<Text>,
    pub content: Option<Text>,
    pub published: Option<bool>,
}

impl PostUpdate {
    /// Returns the size of the new texts in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let texts = [&self.title, &self.content];
        texts.into_iter().flatten().map(|text| text.as_str().len()).sum()
    }
}

impl From<PostContent> for PostUpdate {
    fn from(content: PostContent) -> Self {
        let PostContent { title, content, published } = content;
        Self { title: Some(title), content: Some(content), published: Some(published) }
    }
}

/// A condition that a post must meet before it is changed. It must depend on the post only.
#[derive(Clone)]
pub struct Precondition(Arc<dyn Fn(&Post) -> bool + Send + Sync>);

impl Precondition {
    #[must_use]
    pub fn new(condition: impl Fn(&Post) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(condition))
    }

    #[must_use]
    pub fn is_met_by(&self, post: &Post) -> bool {
        (self.0)(post)
    }
}

impl fmt::Debug for Precondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Precondition(..)")
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
