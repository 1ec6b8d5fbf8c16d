//! The storage contract: one trait per resource, and the outcomes of its methods. Both stores
//! implement every trait, and one conformance suite runs on both.
//!
//! Each method is one atomic operation; the contract has no begin and no commit. Every store
//! promises:
//!
//! - A read sees every write that was acknowledged before the read was requested.
//! - An acknowledged write survives a crash of the process and a power failure.
//! - A post's votes are the sum of the votes cast on it, also if another program writes votes.
//! - The ID of a user or a post is never used twice.
//! - An operation whose future is dropped is applied entirely or not at all.
//!
//! After [`StoreError::Unavailable`] the outcome of a write is unknown: it was applied entirely or
//! not at all. A caller that retries must tolerate the operation having been applied already.
//!
//! "Not found" is an `Option` or a named variant, an expected conflict is a named variant, and
//! everything else is a [`StoreError`]. A method that takes a [`Caller`] checks in the same step
//! that the account exists and accepts the token; otherwise it fails with
//! [`StoreError::CallerRejected`]. After the store has acknowledged that the tokens of an account
//! are revoked, it accepts none of them.
//!
//! Not here: HTTP, hashing, and the validation of requests.

mod administration;
mod batch;
mod change_row;
mod changes;
mod deletions;
mod error;
mod idempotency_keys;
pub mod inspection;
mod keyed_writes;
mod list_memory;
mod measured;
pub mod migrate;
mod operator;
mod outcomes;
pub mod page_limits;
mod post_list;
pub mod postgres;
mod rankings;
mod recipients;
pub mod sqlite;
mod stored_text;
mod stored_time;
pub mod transfer;

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::caller::Caller;
use crate::domain::display_name::{DisplayName, NameChange};
use crate::domain::email::{Email, TypedEmail};
use crate::domain::event::Event;
use crate::domain::installation::InstallationKey;
use crate::domain::page::Page;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::ranking::RankedPost;
use crate::domain::session::{NewSession, Rotation, Session, SessionId};
use crate::domain::user::{
    AccountKey, Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId,
};
use crate::domain::vote::{CastVote, Vote, VotePage};
use crate::metrics::Collect;

pub use administration::{AdministrationStore, QueueLengths};
pub use changes::ChangeStore;
pub use error::StoreError;
pub use keyed_writes::{KeyedWriteStore, Once};
pub use measured::MeasuredStore;
pub use operator::OperatorStore;
pub use outcomes::{ChangePost, RotateSession, VoteOutcome};
pub use post_list::{PostList, SerializedList};
pub use rankings::RankSource;
pub use recipients::RecipientStore;

pub type Result<T> = std::result::Result<T, StoreError>;

/// The whole contract.
pub trait Store:
    CallerStore
    + AdministrationStore
    + InstallationStore
    + UserStore
    + RecipientStore
    + SessionStore
    + EventStore
    + LoginFailureStore
    + PostStore
    + RankingStore
    + VoteStore
    + ChangeStore
    + KeyedWriteStore
    + ReadinessStore
    + CloseStore
    + Collect
{
}

impl<T> Store for T where
    T: CallerStore
        + AdministrationStore
        + InstallationStore
        + UserStore
        + RecipientStore
        + SessionStore
        + EventStore
        + LoginFailureStore
        + PostStore
        + RankingStore
        + VoteStore
        + ChangeStore
        + KeyedWriteStore
        + ReadinessStore
        + CloseStore
        + Collect
{
}

#[async_trait]
pub trait CallerStore: Send + Sync + 'static {
    /// Returns [`StoreError::CallerRejected`] if the account does not exist or does not accept the
    /// token.
    async fn find_caller(&self, caller: Caller) -> Result<()>;
}

#[async_trait]
pub trait InstallationStore: Send + Sync + 'static {
    /// Returns the key of the database, which never changes.
    async fn find_installation_key(&self) -> Result<InstallationKey>;
}

#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Adds an account. If several calls with one e-mail are concurrent, exactly one adds it.
    async fn create_user(&self, user: NewUser) -> Result<CreateUser>;

    async fn find_user(&self, id: UserId) -> Result<Option<User>>;

    /// Returns the caller's own account.
    async fn find_me(&self, caller: Caller) -> Result<User>;

    /// Returns the data that a login with this e-mail is checked against: those of the account with
    /// the e-mail as typed, or else of the account with its normal form. The work does not depend on
    /// whether there is an account.
    async fn find_credentials(&self, email: TypedEmail) -> Result<Option<Credentials>>;

    /// Returns the data that the caller's password is checked against when they confirm a change.
    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials>;

    /// Replaces the hash `old` by a stronger hash of the same password, unless the hash has changed
    /// since.
    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()>;

    /// Replaces the password of the caller's account and revokes all of its tokens. Returns the
    /// time from which new tokens are valid.
    async fn change_password(
        &self,
        caller: Caller,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<TokensValidFrom>;

    /// Replaces the e-mail of the caller's account, also its name if the change says so, and revokes
    /// all of its tokens.
    async fn change_email(
        &self,
        caller: Caller,
        email: Email,
        name: NameChange,
        now: Timestamp,
    ) -> Result<ChangeEmail>;

    /// Replaces the name of the caller's account. `None` removes it. Tokens stay valid.
    async fn change_name(&self, caller: Caller, name: Option<DisplayName>) -> Result<User>;

    /// Returns the names of those of the accounts that have one. A closed account has none.
    async fn find_names(&self, accounts: Vec<UserId>) -> Result<HashMap<UserId, DisplayName>>;

    /// Revokes all tokens of the caller's account, also the one of this request.
    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()>;

    /// Deletes the caller's own account with its posts and votes. The counts of the posts that the
    /// account voted on are updated.
    ///
    /// First the account is closed, in one step: its tokens and sessions end, no other method shows
    /// anything of the account, and its e-mail is free. Then the rows are deleted in slices, in the
    /// background. An account with some thousand rows is gone when this returns. A larger one is
    /// only closed, and until its last slice the other posts count its votes. A crash interrupts a
    /// deletion only until a store is opened on the database.
    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser>;
}

#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Starts a session, and deletes the sessions of the account that have ended or exceed
    /// [`crate::domain::session::MAX_SESSIONS`]. Returns `None` if the account does not exist or
    /// its `tokens_valid_from` has moved.
    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>>;

    /// Makes the successor the current token of the session, if the presented token is the current
    /// one. If several calls with one token are concurrent, one rotates it, and the others get the
    /// same successor.
    ///
    /// The rotation and its confirmation are two steps, and this returns a successor only after
    /// both. So if a rotation is not confirmed, no client has the successor. Then its predecessor
    /// can be retried as long as the session lasts, at every process.
    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession>;

    /// Returns the caller's sessions that have not ended, the most recently used first.
    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends one session of the caller, or all if `id` is `None`. Returns whether a session was
    /// deleted.
    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool>;
}

#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Records an event of the account and deletes old ones. Does nothing if the account does not
    /// exist.
    async fn record_event(&self, user: UserId, event: Event) -> Result<()>;

    /// Returns the newest [`crate::domain::event::MAX_EVENTS`] events of the caller's account, the
    /// newest first.
    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>>;
}

#[async_trait]
pub trait LoginFailureStore: Send + Sync + 'static {
    /// Returns the consecutive login failures of the account since they were last cleared or
    /// expired ([`crate::domain::policy::login_failures_forgotten_at`]).
    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32>;

    /// Adds one failure, and deletes some that have expired.
    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()>;

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()>;
}

#[async_trait]
pub trait PostStore: Send + Sync + 'static {
    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post>;

    /// Returns `None` also for a draft that is hidden from the caller.
    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>>;

    /// Returns posts by descending ID, that is, newest first.
    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList>;

    /// Like [`PostStore::find_post`], for a client without an account: finds only published posts.
    async fn find_public_post(&self, id: PostId) -> Result<Option<PostWithVotes>>;

    /// Like [`PostStore::list_posts`], for a client without an account: lists only published posts,
    /// and no own drafts.
    async fn list_public_posts(&self, page: Page) -> Result<PostList>;

    /// Replaces the parts of a post that the update has, if the caller is its author and the post
    /// meets the precondition. No other change can come between the check and the update.
    async fn update_post(
        &self,
        caller: Caller,
        id: PostId,
        update: PostUpdate,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<PostWithVotes>>;

    /// Deletes a post with its votes, under the same conditions as [`PostStore::update_post`].
    async fn delete_post(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
    ) -> Result<ChangePost<()>>;
}

#[async_trait]
pub trait RankingStore: Send + Sync + 'static {
    /// Returns the posts that a ranking is made of, in any order: those that a caller with this
    /// visibility of drafts sees. Reads many rows, so callers share the result.
    async fn rank_posts(
        &self,
        source: RankSource,
        drafts: DraftVisibility,
    ) -> Result<Vec<RankedPost>>;
}

#[async_trait]
pub trait VoteStore: Send + Sync + 'static {
    /// Casts, changes or withdraws the caller's vote. A caller has at most one vote per post.
    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome>;

    /// Returns the caller's votes on those of the posts that the caller can see, by descending ID
    /// of the post.
    async fn find_votes(&self, caller: Caller, posts: Vec<PostId>) -> Result<Vec<CastVote>>;

    /// Returns up to `limit` of the caller's votes on posts that the caller can see, by descending
    /// ID of the post, from the first one below `before`. Reads at most
    /// [`page_limits::MAX_VOTES_READ`] votes, so a page with a next one can have fewer votes, or
    /// none.
    async fn list_votes(
        &self,
        caller: Caller,
        limit: u32,
        before: Option<PostId>,
    ) -> Result<VotePage>;
}

#[async_trait]
pub trait ReadinessStore: Send + Sync + 'static {
    /// Checks that the database responds and accepts writes. The check writes nothing, so it does
    /// not detect a full disk. After a failed write on SQLite, the check writes until a write
    /// succeeds.
    async fn check_ready(&self) -> Result<Readiness>;
}

#[async_trait]
pub trait CloseStore: Send + Sync + 'static {
    /// Finishes the queued writes and closes the connections. Then the file of an embedded database
    /// has every acknowledged write. Later calls fail with [`StoreError::Unavailable`].
    async fn close(&self);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// The schema is not at the revision that this binary needs.
    WrongRevision,
    /// The database is a standby, or is set to read-only.
    ReadOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateUser {
    Created(User),
    /// Another account has the e-mail.
    EmailTaken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEmail {
    /// The changed account, and the time from which new tokens are valid.
    Changed(User, TokensValidFrom),
    /// Another account has the e-mail; nothing changed.
    EmailTaken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteUser {
    Deleted,
    /// The account is not the caller's.
    NotOwner,
    NoSuchUser,
}
