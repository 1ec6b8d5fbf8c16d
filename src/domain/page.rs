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

/// Searches for fewer characters than this cannot use an index of trigrams: they look through the
/// shelf.
pub const TRIGRAM: usize = 3;

/// Titles that a search looks at in vain before it gives up, newest first; those that hold the
/// text do not count. No index can bound a search for fewer than [`TRIGRAM`] characters, nor one
/// for a text that many titles hold in pieces but none as a whole. With this bound neither costs
/// more on a million posts than on a thousand. It does not hold in one's own drafts from
/// [`TRIGRAM`] characters on: their number bounds the work.
pub const SEARCH_BOUND: u32 = 1000;
