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
