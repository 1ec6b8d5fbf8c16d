//! How much work and memory one list or search may cost.

/// Characters of a trigram. The index cannot serve a search for a shorter text, which scans the
/// titles instead.
pub const TRIGRAM_LENGTH: usize = 3;

/// Titles without a match after which a search ends, newest first. A title counts once, and once
/// more for each full 1,000 bytes; matches do not count.
///
/// No index bounds a search for less than [`TRIGRAM_LENGTH`] characters, or for a text whose pieces
/// many titles contain but whose whole none does. With this limit both cost the same on a million
/// posts as on a thousand. A search of own drafts for at least [`TRIGRAM_LENGTH`] characters has no
/// limit: the number of drafts bounds its work.
pub const MAX_SEARCH_MISSES: u32 = 1000;

/// Maximum number of matches that a search skips. Each further match counts as a miss.
pub const MAX_SEARCH_SKIP: u64 = 10_000;

/// Bytes of titles and contents after which a list with a limit ends early; the next page continues
/// there. The first post is always in the list, even if it is larger.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
