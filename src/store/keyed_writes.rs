//! The part of the storage contract for writes with an idempotency key.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{ChangePost, CreateUser, Result, VoteOutcome};
use crate::domain::caller::Caller;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::user::NewUser;
use crate::domain::vote::Vote;

/// Writes that happen once, however often they are requested with one key.
///
/// The step that does the write also keeps its key for a day. Until then a retry gets the outcome of
/// the first request, also at another process; of several concurrent requests, one does the write.
/// A write that is refused keeps no key. A key belongs to one account, so two accounts can use the
/// same one. Nothing that is kept reveals a password.
#[async_trait]
pub trait KeyedWriteStore: Send + Sync + 'static {
    /// Like [`super::UserStore::create_user`]. The key belongs to the new account, and a retry is
    /// known by its e-mail. So the same key with another e-mail is the key of another account, and
    /// the outcome is never [`Once::KeyReused`].
    async fn create_user_once(
        &self,
        user: NewUser,
        key: IdempotencyKey,
    ) -> Result<Once<CreateUser>>;

    /// Like [`super::PostStore::create_post`].
    async fn create_post_once(
        &self,
        caller: Caller,
        content: PostContent,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<Post>>;

    /// Like [`super::PostStore::update_post`]. A retry does not meet the precondition any more, so
    /// the key comes first.
    async fn update_post_once(
        &self,
        caller: Caller,
        id: PostId,
        update: PostUpdate,
        precondition: Option<Precondition>,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<ChangePost<PostWithVotes>>>;

    /// Like [`super::PostStore::delete_post`], after the key as in an update.
    async fn delete_post_once(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<ChangePost<()>>>;

    /// Like [`super::VoteStore::cast_vote`].
    async fn cast_vote_once(
        &self,
        caller: Caller,
        vote: Vote,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<VoteOutcome>>;
}

/// The outcome of a [`KeyedWriteStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once<T> {
    /// The request was executed.
    Done(T),
    /// An earlier request did the write. This is the outcome of then.
    Replayed(T),
    /// The account has used the key for another request; nothing changed.
    KeyReused,
}
