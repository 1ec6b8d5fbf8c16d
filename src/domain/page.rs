//! Which posts a list is to hold.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::post::PostWithVotes;

/// A part of the list of posts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// At most so many; `None` is all.
    pub limit: Option<u32>,
    /// Left out at the start.
    pub skip: u64,
    /// Only titles that contain this text literally, case counting, in their first 1,000
    /// characters.
    pub search: Option<String>,
    pub scope: PostScope,
}

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostScope {
    /// What everybody sees.
    #[default]
    Public,
    /// The caller's own drafts.
    OwnDrafts,
}

/// Searches for fewer characters than this cannot use an index of trigrams: they look through the
/// shelf.
pub const TRIGRAM: usize = 3;

/// Titles of up to this many bytes that a search looks at in vain before it gives up, newest first;
/// a longer title counts as several, those that hold the text do not count. No index can bound a
/// search for fewer than [`TRIGRAM`] characters, nor one for a text that many titles hold in
/// pieces but none as a whole. With this bound neither costs more on a million posts than on a
/// thousand. It does not hold in one's own drafts from [`TRIGRAM`] characters on: their number
/// bounds the work.
pub const MAX_SEARCH_MISSES: u32 = 1000;

/// Hits that a search leaves out at its start; those beyond count as looked at in vain.
pub const MAX_SEARCH_SKIP: u64 = 10_000;

/// Bytes of titles and contents after which a list with a limit ends, however many posts were asked
/// for: the next page goes on from there. One post is always given.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The posts of a page. All who asked for the same at once are answered with one list, which is
/// written once.
#[derive(Debug, Clone)]
pub struct PostList(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    posts: Vec<PostWithVotes>,
    written: OnceLock<Bytes>,
}

impl PostList {
    /// Bytes of its texts.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.iter().map(|found| found.post.byte_len()).sum()
    }

    /// The list as its readers get it. Whoever asks first has it written, in the one way there is.
    pub fn write_once(&self, write: impl FnOnce(&[PostWithVotes]) -> Bytes) -> Bytes {
        self.0.written.get_or_init(|| write(self)).clone()
    }
}

impl From<Vec<PostWithVotes>> for PostList {
    fn from(posts: Vec<PostWithVotes>) -> Self {
        Self(Arc::new(Shared { posts, written: OnceLock::new() }))
    }
}

impl Deref for PostList {
    type Target = [PostWithVotes];

    fn deref(&self) -> &[PostWithVotes] {
        &self.0.posts
    }
}

/// Posts of a list as they are found, within its limit and [`PAGE_BYTES`].
pub struct PageBuilder {
    limit: Option<usize>,
    bytes: usize,
    posts: Vec<PostWithVotes>,
}

impl PageBuilder {
    #[must_use]
    pub fn new(page: &Page) -> Self {
        let limit = page.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self { limit, bytes: 0, posts: Vec::new() }
    }

    /// Whether there is room for another.
    #[must_use]
    pub fn has_room(&self) -> bool {
        // Where there is no limit all posts are asked for, whatever they weigh.
        self.limit.is_none_or(|limit| self.posts.len() < limit && self.bytes < PAGE_BYTES)
    }

    pub fn push(&mut self, found: PostWithVotes) {
        self.bytes += found.post.byte_len();
        self.posts.push(found);
    }

    #[must_use]
    pub fn into_posts(self) -> Vec<PostWithVotes> {
        self.posts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_once_for_all_who_have_it() {
        let list = PostList::from(Vec::new());
        let same = list.clone();
        let mut times = 0;
        for list in [list, same] {
            let written = list.write_once(|_| {
                times += 1;
                Bytes::from_static(b"[]")
            });
            assert_eq!(written, "[]");
        }
        assert_eq!(times, 1);
    }
}
