//! The query for a list of posts.

/// A part of the list of posts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Maximum number of posts; `None` means all.
    pub limit: Option<u32>,
    /// Number of posts to leave out at the start.
    pub skip: u64,
    /// Keeps only titles that contain this text in their first 1,000 characters. The match is
    /// literal and case-sensitive.
    pub search: Option<String>,
    pub scope: PostScope,
}

/// The posts that a list covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostScope {
    /// The posts that every user can see.
    #[default]
    Public,
    /// The caller's own drafts.
    OwnDrafts,
}

/// A place between two entries of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Whether the page ends here, instead of beginning here.
    pub is_backward: bool,
    /// The value that the list is ordered by first, such as a time in microseconds.
    pub key: i64,
    /// The ID of the entry, which orders entries with equal values.
    pub id: i64,
}
