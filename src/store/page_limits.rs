//! How much work and memory one list or search may cost.

/// Number of characters in a trigram. The index cannot serve a search for a shorter text: such a
/// search scans the titles.
pub const TRIGRAM_LENGTH: usize = 3;

/// A search reads titles newest first, and ends after this many misses. A title without a match is
/// one miss, and one more for each full 1,000 bytes.
///
/// No index bounds the work of two kinds of searches: for fewer than [`TRIGRAM_LENGTH`] characters,
/// and for a text that occurs in no title although its trigrams occur in many. With this limit,
/// both cost the same on a million posts as on a thousand. It does not apply to PostgreSQL's
/// trigram index, nor to a search of own drafts for at least [`TRIGRAM_LENGTH`] characters: the
/// number of drafts bounds the work of that search.
pub const MAX_SEARCH_MISSES: u32 = 1000;

/// Maximum number of matches that a search can skip. A search that is to skip more finds nothing.
pub const MAX_SEARCH_SKIP: u64 = 10_000;

/// A list with a limit ends early after this many bytes of titles and contents, and the next page
/// continues there. The first post is always in the list, even if it is larger.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
