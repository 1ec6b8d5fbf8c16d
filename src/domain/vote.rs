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

    /// Returns the direction of a stored vote.
    #[must_use]
    pub fn of(is_up: bool) -> Self {
        if is_up { Self::Up } else { Self::Down }
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

/// A vote that a caller has cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastVote {
    pub post_id: PostId,
    pub direction: Direction,
}

/// A part of the list of a caller's votes, by descending ID of the post.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VotePage {
    pub votes: Vec<CastVote>,
    /// Where the next page begins: at the votes on posts with a smaller ID. `None` at the end.
    pub next: Option<PostId>,
}
