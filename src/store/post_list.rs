//! The result of listing or searching posts.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Result;
use super::list_memory::ListPermit;
use super::page_limits::PAGE_BYTES;
use crate::domain::page::{Page, PageEnd};
use crate::domain::post::PostWithVotes;

/// The posts of a page. Concurrent requests for the same page share one list and its serialization.
#[derive(Debug, Clone)]
pub struct PostList(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    posts: ReservedPosts,
    serialized: OnceLock<SerializedList>,
}

/// The JSON of a list, and a hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerializedList {
    pub json: Bytes,
    pub hash: u128,
}

/// Posts with the memory that they have reserved.
#[derive(Debug, Default)]
pub(super) struct ReservedPosts {
    posts: Vec<PostWithVotes>,
    /// `None` for a list with a limit.
    memory: Option<ListPermit>,
    /// The ID of the last entry that was looked at, if the list ended after entries without a match.
    pub(super) stopped_at: Option<i64>,
}

/// Memory of a post besides its texts, in bytes: its fields, its place in a vector that doubles its
/// size, and the headers of both texts.
const POST_OVERHEAD: usize = 256;

/// Freeing more posts would block other requests for milliseconds.
const MAX_POSTS_FREED_AT_ONCE: usize = 10_000;

impl ReservedPosts {
    pub(super) fn new(memory: Option<ListPermit>) -> Self {
        Self { posts: Vec::new(), memory, stopped_at: None }
    }

    /// Adds a post and reserves its memory.
    ///
    /// # Errors
    /// [`super::StoreError::Overloaded`] if the budget of lists without a limit is exhausted.
    pub(super) fn push(&mut self, post: PostWithVotes) -> Result<()> {
        if let Some(memory) = &mut self.memory {
            memory.reserve(post.post.byte_len() + POST_OVERHEAD)?;
        }
        self.posts.push(post);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    /// Turns the posts around, after a page was read from its end.
    pub(super) fn reverse(&mut self) {
        self.posts.reverse();
    }
}

impl Drop for ReservedPosts {
    fn drop(&mut self) {
        if self.posts.len() > MAX_POSTS_FREED_AT_ONCE
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // The memory budget bounds the number of these lists.
            let posts = (std::mem::take(&mut self.posts), self.memory.take());
            runtime.spawn_blocking(move || drop(posts));
        }
    }
}

impl PostList {
    /// Returns the size of all titles and contents in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.iter().map(|found| found.post.byte_len()).sum()
    }

    /// Returns what ended the page.
    #[must_use]
    pub fn end(&self, page: &Page) -> PageEnd {
        let is_full = page.limit.is_some_and(|limit| {
            usize::try_from(limit).is_ok_and(|limit| self.len() >= limit)
                || self.byte_len() >= PAGE_BYTES
        });
        match self.0.posts.stopped_at {
            _ if is_full => PageEnd::Full,
            Some(id) => PageEnd::StoppedAt(id),
            None => PageEnd::EndOfList,
        }
    }

    /// Returns the serialized list. Only the first call runs `serialize`, so each caller must pass
    /// the same format.
    pub fn serialize_once(
        &self,
        serialize: impl FnOnce(&[PostWithVotes]) -> SerializedList,
    ) -> SerializedList {
        self.0.serialized.get_or_init(|| serialize(self)).clone()
    }
}

impl From<Vec<PostWithVotes>> for PostList {
    fn from(posts: Vec<PostWithVotes>) -> Self {
        ReservedPosts { posts, memory: None, stopped_at: None }.into()
    }
}

impl From<ReservedPosts> for PostList {
    fn from(posts: ReservedPosts) -> Self {
        Self(Arc::new(Shared { posts, serialized: OnceLock::new() }))
    }
}

impl Deref for PostList {
    type Target = [PostWithVotes];

    fn deref(&self) -> &[PostWithVotes] {
        &self.0.posts.posts
    }
}

/// Collects the posts of a page, within its limit and [`PAGE_BYTES`].
pub(super) struct PageBuilder {
    limit: Option<usize>,
    bytes: usize,
    posts: ReservedPosts,
}

impl PageBuilder {
    pub(super) fn new(page: &Page) -> Self {
        let limit = page.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self { limit, bytes: 0, posts: ReservedPosts::default() }
    }

    /// Whether another post may be added to the page.
    pub(super) fn accepts_more(&self) -> bool {
        // A page without a limit asks for all posts of any size.
        self.limit.is_none_or(|limit| self.posts.posts.len() < limit && self.bytes < PAGE_BYTES)
    }

    pub(super) fn push(&mut self, found: PostWithVotes) {
        self.bytes += found.post.byte_len();
        self.posts.posts.push(found);
    }

    /// Notes the ID of the last entry that was looked at, after entries without a match.
    pub(super) fn stop_at(&mut self, id: i64) {
        self.posts.stopped_at = Some(id);
    }

    pub(super) fn into_posts(self) -> ReservedPosts {
        self.posts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_list_is_serialized_once() {
        let list = PostList::from(Vec::new());
        let same = list.clone();
        let mut times = 0;
        for list in [list, same] {
            let json = list.serialize_once(|_| {
                times += 1;
                SerializedList { json: Bytes::from_static(b"[]"), hash: 7 }
            });
            assert_eq!((json.json.as_ref(), json.hash), (b"[]".as_slice(), 7));
        }
        assert_eq!(times, 1);
    }
}
