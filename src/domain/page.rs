//! Which posts a list is to hold.

/// A part of the list of posts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// At most so many; `None` is all.
    pub limit: Option<u32>,
    /// Left out at the start.
    pub skip: u64,
    /// Only titles that contain this text literally, case counting.
    pub search: Option<String>,
    pub shelf: Shelf,
}

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shelf {
    /// What everybody sees.
    #[default]
    Public,
    /// The caller's own drafts.
    OwnDrafts,
}

/// Searches for fewer characters than this cannot use an index of trigrams: they look at the
/// newest [`SHORT_SEARCH_BOUND`] posts of the shelf only.
pub const TRIGRAM: usize = 3;

/// How many posts a search for fewer than [`TRIGRAM`] characters looks at.
pub const SHORT_SEARCH_BOUND: u32 = 10_000;
