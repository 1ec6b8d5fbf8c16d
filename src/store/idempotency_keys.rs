//! The part of a write with an idempotency key that a store keeps. A retry has the same values as
//! the first request, so its reply follows from these values and the [`Effect`].
//!
//! Not here: the statements, see `idempotency_keys.rs` of each store.

use jiff::Timestamp;

use super::{Result, StoreError, VoteOutcome};
use crate::domain::idempotency_key::{Digest, Fingerprint, IdempotencyKey};
use crate::domain::post::{Post, PostContent, PostId};
use crate::domain::user::UserId;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) outcome: Outcome,
    /// `None` for an account.
    pub(super) post_id: Option<PostId>,
    /// When the post or the account was created. A reply without a time has none, and then this is
    /// the time of the write.
    pub(super) at: Timestamp,
}

impl Effect {
    pub(super) fn on_post(outcome: Outcome, post: &Post) -> Self {
        Self { outcome, post_id: Some(post.id), at: post.created_at }
    }

    pub(super) fn of_deletion(post_id: PostId, now: Timestamp) -> Self {
        Self { outcome: Outcome::Deleted, post_id: Some(post_id), at: now }
    }

    pub(super) fn of_sign_up(created_at: Timestamp) -> Self {
        Self { outcome: Outcome::Created, post_id: None, at: created_at }
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
        Some(Self { outcome, post_id: Some(post_id), at: now })
    }

    /// Returns the outcome of a vote with this effect.
    pub(super) fn vote(&self) -> VoteOutcome {
        match self.outcome {
            Outcome::Created => VoteOutcome::Added,
            Outcome::Changed => VoteOutcome::Changed,
            Outcome::Deleted => VoteOutcome::Withdrawn,
        }
    }

    /// Returns the post as the write left it.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the row has no post.
    pub(super) fn post(&self, content: &PostContent, owner_id: UserId) -> Result<Post> {
        let id = self.post_id.ok_or_else(|| StoreError::internal("a kept write has no post"))?;
        Ok(Post {
            id,
            title: content.title.clone(),
            content: content.content.clone(),
            published: content.published,
            created_at: self.at,
            owner_id,
        })
    }
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
}
