//! What the service asks of a store. This page is the whole contract; the rooms below fulfil it,
//! and one suite of tests holds every store against it.
//!
//! Each method is one whole, atomic operation: there is no transaction to begin or to end here.
//! Every store promises that
//!
//! - a read sees every write that was acknowledged before it was asked;
//! - an acknowledged write survives the end of the process and of the machine's power;
//! - a post's votes are the sum of the votes cast on it, whoever wrote them;
//! - a number that a user or a post once had is never given again;
//! - an operation whose future is dropped happens whole or not at all.
//!
//! A refusal says less than an acknowledgement: after [`StoreError::Unavailable`] a write may
//! nevertheless have happened, because the outcome of a commit can be unknown. It has happened
//! whole or not at all; who repeats it must bear its happening twice.
//!
//! "Not found" is an `Option` or a named variant, an expected conflict a named variant, and
//! everything else a [`StoreError`]. Methods that act for a [`Caller`] find out in the same step
//! whether the caller's account exists and accepts their token, and answer [`StoreError::CallerRejected`] if
//! it does not. Once it was acknowledged that an account's tokens end, none of them is accepted any more.
//!
//! Not here: HTTP, hashing, and what a request must look like.

mod batch;
mod error;
pub mod migrate;
pub mod page_limits;
mod post_list;
pub mod postgres;
pub mod sqlite;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::Event;
use crate::domain::page::Page;
use crate::domain::post::{Post, PostContent, PostId, PostWithVotes};
use crate::domain::session::{NewSession, Rotation, Salt, Session, SessionId};
use crate::domain::user::{
    AccountKey, Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId,
};
use crate::domain::vote::Vote;

pub use error::StoreError;
pub use post_list::PostList;

pub type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds an account; of several for one address exactly one is added.
    async fn create_user(&self, user: NewUser) -> Result<CreateUser>;

    async fn find_user(&self, id: UserId) -> Result<Option<User>>;

    /// The caller's own account.
    async fn find_me(&self, caller: Caller) -> Result<User>;

    /// What a login with this address is checked against.
    async fn find_credentials(&self, email: Email) -> Result<Option<Credentials>>;

    /// What a password that the caller gives once more is checked against.
    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials>;

    /// Puts a stronger hash of the same password in the place of `old`. Nothing happens if
    /// something else has taken its place meanwhile.
    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()>;

    /// Gives the caller's account another password and ends all of its tokens; new ones are valid from
    /// the mark that is returned.
    async fn change_password(
        &self,
        caller: Caller,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<TokensValidFrom>;

    /// Gives the caller's account another address and ends all of its tokens.
    async fn change_email(
        &self,
        caller: Caller,
        email: Email,
        now: Timestamp,
    ) -> Result<ChangeEmail>;

    /// Ends all tokens of the caller's account, the one that they came with too.
    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()>;

    /// Begins a session, and forgets those of the account that have ended or are too many
    /// ([`crate::domain::session::MAX_SESSIONS`]). `None` if the account is gone, or its mark has moved since.
    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>>;

    /// Puts the successor in the place of the session's good token, if it is the one that was presented.
    /// Of several who present it at once one does, and the others are given the same.
    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession>;

    /// The caller's sessions that have not ended, those used last before the others.
    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends one session of the caller's, or all; whether there was one.
    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool>;

    /// Keeps an event of the account, if that is there, and forgets old ones.
    async fn record_event(&self, user: UserId, event: Event) -> Result<()>;

    /// The newest events of the caller's account, the newest first
    /// ([`crate::domain::event::MAX_EVENTS`]).
    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>>;

    /// Wrong passwords in a row for the account, since it was last cleared or they were forgotten
    /// ([`crate::domain::policy::login_failures_forgotten_at`]).
    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32>;

    /// Adds one, and forgets some that are due.
    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()>;

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()>;

    /// Removes the caller's own account with their posts and votes; the counts of the posts
    /// that they had voted on follow.
    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser>;

    /// Nothing but the question whether the caller's account exists and accepts their token.
    async fn find_caller(&self, caller: Caller) -> Result<()>;

    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post>;

    /// `None` also for a draft that is hidden from the caller.
    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>>;

    /// Newest first: by descending number.
    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList>;

    /// Replaces what the author wrote, if the caller is the author.
    async fn replace_post(
        &self,
        caller: Caller,
        id: PostId,
        content: PostContent,
    ) -> Result<ChangePost<Post>>;

    /// Removes the post with its votes, if the caller is its author.
    async fn delete_post(&self, caller: Caller, id: PostId) -> Result<ChangePost<()>>;

    /// Casts, turns or withdraws the caller's vote: at most one for each post.
    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome>;

    /// Whether the store answers and would take a write. Nothing is written to find out: a full disk
    /// is not noticed here.
    async fn check_ready(&self) -> Result<Readiness>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// The schema is not the one that this binary works with.
    WrongRevision,
    /// A standby, or a database that was told not to take writes.
    ReadOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateUser {
    Created(User),
    /// Another account has the address.
    EmailTaken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEmail {
    /// The account as it is now; new tokens are valid from the mark.
    Changed(User, TokensValidFrom),
    /// Another account has the address; nothing changed.
    EmailTaken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteUser {
    Deleted,
    /// The account is somebody else's.
    NotOwner,
    NoSuchUser,
}

/// The outcome of [`Store::rotate_session`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateSession {
    /// The successor is the current token from now on.
    Rotated(UserId, TokensValidFrom),
    /// The token was rotated within [`crate::domain::session::REUSE_INTERVAL`]. Its successor exists
    /// already and was made with this salt.
    Repeated(UserId, TokensValidFrom, Salt),
    /// The token was rotated before that. One of its two holders is a thief, so the session has ended.
    Reused(UserId),
    /// The session does not exist, or has ended.
    NoSuchSession,
}

/// The outcome of [`Store::cast_vote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteOutcome {
    /// The caller had no vote on the post.
    Added,
    /// The caller's vote had the opposite direction.
    Changed,
    Withdrawn,
    /// The caller's vote has this direction already; nothing changed.
    AlreadyCast,
    /// The caller has no vote to withdraw.
    NotCast,
    /// The post does not exist, or is a draft that is hidden from the caller.
    NoSuchPost,
}

/// What became of a change that only a post's author may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangePost<T> {
    Changed(T),
    /// The post is somebody else's; nothing changed.
    NotOwner,
    /// No such post, or a draft that is hidden from the caller.
    NoSuchPost,
}
