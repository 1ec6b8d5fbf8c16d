//! How much work and memory one list or search may cost.

use std::time::Duration;

/// Number of characters in a trigram. The index cannot serve a search for a shorter text: such a
/// search scans the titles.
pub const TRIGRAM_LENGTH: usize = 3;

/// A search reads titles newest first, and ends after this many misses. A title without a match is
/// one miss, and one more for each full 1,000 bytes.
///
/// No index bounds the work of two kinds of searches: for fewer than [`TRIGRAM_LENGTH`] characters,
/// and for a text that occurs in no title although its trigrams occur in many. With this limit,
/// both cost the same on a million posts as on a thousand. [`SEARCH_TIMEOUT`] has the exceptions.
pub const MAX_SEARCH_MISSES: u32 = 1000;

/// In PostgreSQL a search with a limit ends after this time in two places that count no misses: the
/// trigram index, which does not return the newest titles first, and the caller's drafts. The
/// search then returns what it finds within [`MAX_SEARCH_MISSES`].
///
/// In SQLite, [`MAX_SEARCH_MISSES`] applies to the trigram index too. The number of drafts bounds
/// the search of own drafts for at least [`TRIGRAM_LENGTH`] characters.
pub const SEARCH_TIMEOUT: Duration = Duration::from_millis(500);

/// Maximum number of matches that a search can skip. A search that is to skip more finds nothing.
pub const MAX_SEARCH_SKIP: u64 = 10_000;

/// In PostgreSQL a list that skips more posts is long work: the database passes over all of them.
/// As many posts as the longest list with a limit has.
pub const MAX_SHORT_SKIP: u64 = 1000;

/// A list with a limit ends early after this many bytes of titles and contents, and the next page
/// continues there. The first post is always in the list, even if it is larger.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of votes that a page of a caller's votes reads. Those on posts that the caller can
/// no longer see are left out, and with this limit any number of them costs the same.
pub const MAX_VOTES_READ: u32 = 2000;
