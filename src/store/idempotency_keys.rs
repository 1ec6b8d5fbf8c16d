//! The part of a write with an idempotency key that a store keeps. A retry has the same values as
//! the first request, so its reply follows from these values and the [`Effect`].
//!
//! Not here: the statements, see `idempotency_keys.rs` of each store.

use jiff::Timestamp;

use super::stored_text::readable_text;
use super::{Result, StoreError, VoteOutcome};
use crate::domain::idempotency_key::{Digest, Fingerprint, IdempotencyKey};
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes};
use crate::domain::text::Text;
use crate::domain::user::UserId;

/// Maximum size in bytes of the texts that are kept with a key: what one write counts for
/// `RATE_LIMIT_WRITES`. Otherwise an empty update of a large post would keep as much as the post.
pub(super) const KEPT_TEXT_BYTES: usize = 64 * 1024;

/// The change that a write made to its post, vote or account. The codes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Changed,
    Deleted,
}

impl Outcome {
    pub(super) fn code(self) -> i16 {
        match self {
            Self::Created => 1,
            Self::Changed => 2,
            Self::Deleted => 3,
        }
    }

    /// # Errors
    /// [`StoreError::Internal`] for a code that this version does not write.
    pub(super) fn from_code(code: i64) -> Result<Self> {
        [Self::Created, Self::Changed, Self::Deleted]
            .into_iter()
            .find(|outcome| i64::from(outcome.code()) == code)
            .ok_or_else(|| StoreError::internal(format!("{code} is no outcome of a write")))
    }
}

/// The part of a write's reply that its request does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) outcome: Outcome,
    /// `None` for an account.
    pub(super) post_id: Option<PostId>,
    /// When the post or the account was created. A reply without a time has none, and then this is
    /// the time of the write.
    pub(super) at: Timestamp,
    /// `None` except for an update of a post.
    pub(super) kept: Option<KeptParts>,
}

/// The parts of a post that its update did not say, as the update left them. Longer texts than
/// [`KEPT_TEXT_BYTES`] are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptParts {
    pub(super) parts: PostUpdate,
    pub(super) votes: i64,
}

impl KeptParts {
    /// Returns the parts in their stored form: a JSON array of title, content, published and votes,
    /// with null for a part that the update has.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if they cannot be written.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let PostUpdate { title, content, published } = &self.parts;
        let texts = [title, content].map(|text| text.as_ref().map(Text::as_str));
        serde_json::to_vec(&(texts[0], texts[1], published, self.votes))
            .map_err(StoreError::internal)
    }

    fn from_json(json: &[u8]) -> Result<Self> {
        let (title, content, published, votes): (Option<String>, Option<String>, _, _) =
            serde_json::from_str(&readable_text(json)).map_err(StoreError::internal)?;
        let [title, content] = [title, content].map(|text| text.map(Text::from_stored));
        Ok(Self { parts: PostUpdate { title, content, published }, votes })
    }
}

impl Effect {
    pub(super) fn of_creation(post: &Post) -> Self {
        let (post_id, at) = (Some(post.id), post.created_at);
        Self { outcome: Outcome::Created, post_id, at, kept: None }
    }

    pub(super) fn of_update(update: &PostUpdate, updated: &PostWithVotes) -> Self {
        let PostWithVotes { post, votes } = updated;
        let mut parts = PostUpdate {
            title: update.title.is_none().then(|| post.title.clone()),
            content: update.content.is_none().then(|| post.content.clone()),
            published: update.published.is_none().then_some(post.published),
        };
        if parts.byte_len() > KEPT_TEXT_BYTES {
            (parts.title, parts.content) = (None, None);
        }
        let kept = Some(KeptParts { parts, votes: *votes });
        Self { outcome: Outcome::Changed, post_id: Some(post.id), at: post.created_at, kept }
    }

    pub(super) fn of_deletion(post_id: PostId, now: Timestamp) -> Self {
        Self { outcome: Outcome::Deleted, post_id: Some(post_id), at: now, kept: None }
    }

    pub(super) fn of_sign_up(created_at: Timestamp) -> Self {
        Self { outcome: Outcome::Created, post_id: None, at: created_at, kept: None }
    }

    /// Returns the effect that a row has kept.
    ///
    /// # Errors
    /// [`StoreError::Internal`] for values that this version does not write.
    pub(super) fn from_stored(
        outcome: i64,
        post_id: Option<i64>,
        at: Timestamp,
        reply: Option<&[u8]>,
    ) -> Result<Self> {
        Ok(Self {
            outcome: Outcome::from_code(outcome)?,
            post_id: post_id.map(PostId),
            at,
            kept: reply.map(KeptParts::from_json).transpose()?,
        })
    }

    /// Returns the effect of a vote, or `None` if the vote changed nothing.
    pub(super) fn of_vote(vote: VoteOutcome, post_id: PostId, now: Timestamp) -> Option<Self> {
        let outcome = match vote {
            VoteOutcome::Added => Outcome::Created,
            VoteOutcome::Changed => Outcome::Changed,
            VoteOutcome::Withdrawn => Outcome::Deleted,
            VoteOutcome::AlreadyCast | VoteOutcome::NotCast | VoteOutcome::NoSuchPost => {
                return None;
            }
        };
        Some(Self { outcome, post_id: Some(post_id), at: now, kept: None })
    }

    /// Returns the outcome of a vote with this effect.
    pub(super) fn vote(&self) -> VoteOutcome {
        match self.outcome {
            Outcome::Created => VoteOutcome::Added,
            Outcome::Changed => VoteOutcome::Changed,
            Outcome::Deleted => VoteOutcome::Withdrawn,
        }
    }

    /// Returns the post that was created.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the row has no post.
    pub(super) fn created_post(&self, content: &PostContent, owner_id: UserId) -> Result<Post> {
        let id = self.post_id.ok_or_else(missing_part)?;
        Ok(content.to_post(id, self.at, owner_id))
    }

    /// Whether [`Effect::updated_post`] needs the post as it is now.
    pub(super) fn lacks_text(&self, update: &PostUpdate) -> bool {
        let kept = self.kept.as_ref().map(|kept| &kept.parts);
        let lacks = |new: &Option<Text>, kept: Option<&Text>| new.is_none() && kept.is_none();
        lacks(&update.title, kept.and_then(|parts| parts.title.as_ref()))
            || lacks(&update.content, kept.and_then(|parts| parts.content.as_ref()))
    }

    /// Returns the post as the update left it. A text that was too long to be kept is that of
    /// `current`.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if a part is missing everywhere.
    pub(super) fn updated_post(
        &self,
        update: &PostUpdate,
        owner_id: UserId,
        current: Option<&Post>,
    ) -> Result<PostWithVotes> {
        // An update of all parts, written by an older version, has kept none.
        let (nothing, none) = (PostUpdate::default(), 0);
        let (parts, votes) =
            self.kept.as_ref().map_or((&nothing, &none), |kept| (&kept.parts, &kept.votes));
        let text = |new: &Option<Text>, kept: &Option<Text>, current: Option<&Text>| {
            new.as_ref().or(kept.as_ref()).or(current).cloned().ok_or_else(missing_part)
        };
        let post = Post {
            id: self.post_id.ok_or_else(missing_part)?,
            title: text(&update.title, &parts.title, current.map(|post| &post.title))?,
            content: text(&update.content, &parts.content, current.map(|post| &post.content))?,
            published: update.published.or(parts.published).ok_or_else(missing_part)?,
            created_at: self.at,
            owner_id,
        };
        Ok(PostWithVotes { post, votes: *votes })
    }
}

fn missing_part() -> StoreError {
    StoreError::internal("a kept write has not kept its whole response")
}

/// A row of the table.
pub(super) struct KeptKey {
    pub(super) fingerprint: Option<Digest>,
    pub(super) effect: Result<Effect>,
    pub(super) expires_at: Timestamp,
}

/// The write for which an account has used a key until now.
pub(super) enum EarlierUse {
    /// Nothing, or nothing that is still kept.
    None,
    /// The same request had this effect.
    SameRequest(Effect),
    OtherRequest,
}

impl KeptKey {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Compares the row with a request at this time.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the row cannot be read.
    pub(super) fn judge(self, key: &IdempotencyKey, now: Timestamp) -> Result<EarlierUse> {
        if self.is_expired(now) {
            Ok(EarlierUse::None)
        } else if self.fingerprint.map(Fingerprint) == Some(key.fingerprint) {
            self.effect.map(EarlierUse::SameRequest)
        } else {
            Ok(EarlierUse::OtherRequest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_every_outcome_is_read_again() {
        for outcome in [Outcome::Created, Outcome::Changed, Outcome::Deleted] {
            assert_eq!(Outcome::from_code(i64::from(outcome.code())).unwrap(), outcome);
        }
        for code in [0, 4, -1, i64::MAX] {
            assert!(matches!(Outcome::from_code(code), Err(StoreError::Internal(_))), "{code}");
        }
    }

    #[test]
    fn only_a_vote_with_an_effect_is_kept() {
        use VoteOutcome::{Added, AlreadyCast, Changed, NoSuchPost, NotCast, Withdrawn};
        for vote in [Added, Changed, Withdrawn] {
            let effect = Effect::of_vote(vote, PostId(7), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(effect.vote(), vote);
        }
        for vote in [AlreadyCast, NotCast, NoSuchPost] {
            assert_eq!(Effect::of_vote(vote, PostId(7), Timestamp::UNIX_EPOCH), None);
        }
    }

    #[test]
    fn kept_parts_are_read_again() {
        let texts = [None, Some(""), Some("\" \\ \n \u{1} \u{10ffff}")];
        let published = [None, Some(false), Some(true)];
        for (text, published) in texts.into_iter().zip(published) {
            let text = text.map(Text::from_stored);
            let parts = PostUpdate { title: text.clone(), content: text, published };
            for votes in [0, 17, i64::MIN] {
                let kept = KeptParts { parts: parts.clone(), votes };
                assert_eq!(KeptParts::from_json(&kept.to_json().unwrap()).unwrap(), kept);
            }
        }
        for json in ["", "[]", "[null,null,null]", "[1,null,null,0]", "[null,null,null,0.5]"] {
            let read = KeptParts::from_json(json.as_bytes());
            assert!(matches!(read, Err(StoreError::Internal(_))), "{json}");
        }
    }

    #[test]
    fn replay_of_an_update_needs_every_part() {
        let text = || Some(Text::from_stored("text"));
        let whole = PostUpdate { title: text(), content: text(), published: Some(true) };
        let kept = |parts| Effect {
            kept: Some(KeptParts { parts, votes: 3 }),
            ..Effect::of_deletion(PostId(7), Timestamp::UNIX_EPOCH)
        };
        let effect = kept(PostUpdate { title: None, ..whole.clone() });
        let title = PostUpdate { title: text(), ..PostUpdate::default() };
        let found = effect.updated_post(&title, UserId(1), None).unwrap();
        assert_eq!((found.post.id, found.votes), (PostId(7), 3));
        assert!(!effect.lacks_text(&title) && effect.lacks_text(&PostUpdate::default()));
        assert!(effect.updated_post(&PostUpdate::default(), UserId(1), None).is_err());
        assert!(kept(PostUpdate::default()).updated_post(&title, UserId(1), None).is_err());
        // An older version has kept nothing with an update of all parts.
        let nothing = Effect::of_deletion(PostId(7), Timestamp::UNIX_EPOCH);
        assert_eq!(nothing.updated_post(&whole, UserId(1), None).unwrap().votes, 0);
        assert!(nothing.updated_post(&title, UserId(1), None).is_err());
    }

    #[test]
    fn long_texts_are_not_kept_and_are_those_of_now() {
        let text = |bytes: usize| Text::from_stored("x".repeat(bytes));
        let published = PostUpdate { published: Some(false), ..PostUpdate::default() };
        for (bytes, is_kept) in [(KEPT_TEXT_BYTES - 1, true), (KEPT_TEXT_BYTES, false)] {
            let post = Post {
                id: PostId(7),
                title: text(1),
                content: text(bytes),
                published: false,
                created_at: Timestamp::UNIX_EPOCH,
                owner_id: UserId(1),
            };
            let updated = PostWithVotes { post, votes: 3 };
            let effect = Effect::of_update(&published, &updated);
            assert_eq!(effect.lacks_text(&published), !is_kept);
            let now = Post { title: text(2), content: text(3), ..updated.post.clone() };
            let replayed = effect.updated_post(&published, UserId(1), Some(&now)).unwrap();
            let expected = if is_kept { (1, bytes) } else { (2, 3) };
            let post = replayed.post;
            assert_eq!((post.title.as_str().len(), post.content.as_str().len()), expected);
            assert_eq!(replayed.votes, 3);
        }
    }
}
