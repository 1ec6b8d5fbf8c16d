//! Entity tags (RFC 9110, 8.8.3): texts that name one version of a response.
//!
//! A tag is a keyed hash of what it names, so the same content has the same tag, also at another
//! process and after a restore. A version column would name two contents alike after a restore, and
//! would miss the writes of other programs. Without the key no client can make a collision.
//!
//! Not here: the tags that a client sends, see `entity_tag_list.rs`.

use std::fmt::Write as _;

use axum::http::header::{ETAG, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use highway::{HighwayHash as _, HighwayHasher, Key};

use crate::domain::post::{Post, PostWithVotes};

/// Between the parts of the tag of a post. It does not occur in a hash.
const SEPARATOR: char = '.';

/// Computes tags with `HighwayHash` (128 bits).
#[derive(Clone, Copy)]
pub(super) struct EntityTags {
    key: [u64; 4],
}

impl EntityTags {
    /// For public responses that need no database: who can write them can also sign tokens.
    pub(super) const OF_PUBLIC_KEYS: Self = Self { key: [0; 4] };

    pub(super) fn new(key: &[u8; 32]) -> Self {
        let (words, _) = key.as_chunks::<8>();
        let mut key = [0; 4];
        for (word, bytes) in key.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self { key }
    }

    /// Returns the tag of a body.
    pub(super) fn of_body(&self, body: &[u8]) -> HeaderValue {
        self.of_hash(self.hash_body(body))
    }

    /// Returns the hash from which [`EntityTags::of_hash`] makes the tag of a body.
    pub(super) fn hash_body(&self, body: &[u8]) -> u128 {
        joined(HighwayHasher::new(Key(self.key)).hash128(body))
    }

    #[expect(clippy::unused_self, reason = "only these hashes are tags")]
    pub(super) fn of_hash(&self, hash: u128) -> HeaderValue {
        closed(quoted_text(hash))
    }

    /// Returns the first part of the tag of a post. It names all that the post has without votes, so
    /// a vote does not change it.
    pub(super) fn of_text(&self, post: &Post) -> String {
        URL_SAFE_NO_PAD.encode(self.hash_text(post).to_le_bytes())
    }

    fn hash_text(&self, post: &Post) -> u128 {
        let mut hasher = HighwayHasher::new(Key(self.key));
        for number in [post.id.0, post.owner_id.0, post.created_at.as_microsecond()] {
            hasher.append(&number.to_le_bytes());
        }
        let (title, content) = (post.title.as_str(), post.content.as_str());
        hasher.append(&[u8::from(post.published)]);
        // Without its length a title could continue in the content.
        hasher.append(&u64::try_from(title.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.append(title.as_bytes());
        hasher.append(content.as_bytes());
        joined(hasher.finalize128())
    }

    /// Returns the tag of a post with its votes, such as `"Vf3kQ0mXr7JH2bWc9aLpzg.17"`.
    pub(super) fn of_post(&self, found: &PostWithVotes) -> HeaderValue {
        closed(self.quoted_post(found))
    }

    /// Returns the tag of a response that has other data with the post. It begins like the tag of
    /// the post, so a client can use it as a condition too.
    pub(super) fn of_post_in_body(&self, found: &PostWithVotes, body: &[u8]) -> HeaderValue {
        let mut tag = self.quoted_post(found);
        tag.push(SEPARATOR);
        URL_SAFE_NO_PAD.encode_string(self.hash_body(body).to_le_bytes(), &mut tag);
        closed(tag)
    }

    fn quoted_post(&self, found: &PostWithVotes) -> String {
        let mut tag = quoted_text(self.hash_text(&found.post));
        // Writing to a string cannot fail.
        let _ = write!(tag, "{SEPARATOR}{}", found.votes);
        tag
    }
}

/// Returns the first part of a tag that a client sent.
pub(super) fn text_part(tag: &[u8]) -> &[u8] {
    tag.split(|byte| *byte == b'.').next().unwrap_or_default()
}

pub(super) fn with_tag(mut response: Response, tag: HeaderValue) -> Response {
    response.headers_mut().insert(ETAG, tag);
    response
}

fn joined([low, high]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Returns the start of a tag. Its capacity is enough for the votes too.
fn quoted_text(hash: u128) -> String {
    let mut tag = String::with_capacity(48);
    tag.push('"');
    URL_SAFE_NO_PAD.encode_string(hash.to_le_bytes(), &mut tag);
    tag
}

/// The tag is base64, digits and separators, so the value is always valid.
fn closed(mut tag: String) -> HeaderValue {
    tag.push('"');
    HeaderValue::from_maybe_shared(Bytes::from(tag))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::post::PostId;
    use crate::domain::text::Text;
    use crate::domain::user::UserId;

    fn tags() -> EntityTags {
        EntityTags::new(&[7; 32])
    }

    fn post() -> Post {
        Post {
            id: PostId(7),
            title: Text::from_stored("title"),
            content: Text::from_stored("content"),
            published: true,
            created_at: Timestamp::from_microsecond(5).unwrap(),
            owner_id: UserId(3),
        }
    }

    #[test]
    fn tag_of_body_depends_on_every_bit_and_the_key() {
        let tag = tags().of_body(b"[]");
        assert_eq!(tag, tags().of_body(b"[]"));
        assert_eq!(tag.len(), 24);
        for other in [b"[}".as_slice(), b"[", b"[] ", b""] {
            assert_ne!(tag, tags().of_body(other));
        }
        assert_ne!(tag, EntityTags::new(&[8; 32]).of_body(b"[]"));
    }

    #[test]
    fn tag_of_text_depends_on_every_field() {
        let tag = tags().of_text(&post());
        assert_eq!(tag, tags().of_text(&post()));
        let text = |text: &str| Text::from_stored(text);
        let later = Timestamp::from_microsecond(6).unwrap();
        for other in [
            Post { id: PostId(3), owner_id: UserId(7), ..post() },
            Post { title: text("titlec"), content: text("ontent"), ..post() },
            Post { title: text("Title"), ..post() },
            Post { content: text("content "), ..post() },
            Post { published: false, ..post() },
            Post { created_at: later, ..post() },
        ] {
            assert_ne!(tag, tags().of_text(&other), "{other:?}");
        }
    }

    #[test]
    fn tag_of_post_is_its_text_and_its_votes() {
        let text = tags().of_text(&post());
        for votes in [0, 17, -2, i64::MIN] {
            let tag = tags().of_post(&PostWithVotes { post: post(), votes });
            assert_eq!(tag, format!("\"{text}.{votes}\""));
            let sent = tag.to_str().unwrap().trim_matches('"').as_bytes();
            assert_eq!(text_part(sent), text.as_bytes());
            let in_body = tags().of_post_in_body(&PostWithVotes { post: post(), votes }, b"body");
            let body = tags().of_body(b"body").to_str().unwrap().replace('"', "");
            assert_eq!(in_body, format!("\"{text}.{votes}.{body}\""));
            let sent = in_body.to_str().unwrap().trim_matches('"').as_bytes();
            assert_eq!(text_part(sent), text.as_bytes());
        }
        assert_eq!(text_part(b""), b"");
    }

    /// The vector of the reference implementation with the key 00 01 02 … 1f.
    #[test]
    fn hash_is_highway_hash() {
        let key = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let hash = EntityTags::new(&key).hash_body(&[]);
        assert_eq!(hash, joined([0x0FED_268F_9D8F_FEC7, 0x3356_5E76_7F09_3E6F]));
    }
}
