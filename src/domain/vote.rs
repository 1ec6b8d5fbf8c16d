//! Votes: one user's opinion of one post.

use super::post::PostId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    /// Returns what the vote adds to the count of the post: 1 or -1.
    #[must_use]
    pub fn value(self) -> i64 {
        match self {
            Self::Up => 1,
            Self::Down => -1,
        }
    }

    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// A change of the caller's vote on a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub post_id: PostId,
    /// `None` withdraws the vote.
    pub direction: Option<Direction>,
}
