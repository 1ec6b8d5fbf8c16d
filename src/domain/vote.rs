//! Votes: one user's stand on one post.

use super::post::PostId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    /// What the vote adds to the post's number: 1 or -1.
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

/// What a caller wants done about their vote on a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub post_id: PostId,
    /// `None` withdraws the vote.
    pub direction: Option<Direction>,
}
