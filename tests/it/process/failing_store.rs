//! A store whose methods all fail.

use std::collections::HashMap;
use std::{fmt, io};

use async_trait::async_trait;
use jiff::Timestamp;
use post_api::domain::administration::{AccountPage, DayCount, EventPage, ListPage, RowCounts};
use post_api::domain::caller::Caller;
use post_api::domain::change::{ChangePosition, ChangedPost, Changes, Listening};
use post_api::domain::display_name::{DisplayName, NameChange};
use post_api::domain::email::{Email, TypedEmail};
use post_api::domain::event::Event;
use post_api::domain::idempotency_key::IdempotencyKey;
use post_api::domain::installation::InstallationKey;
use post_api::domain::page::Page;
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use post_api::domain::ranking::RankedPost;
use post_api::domain::recipient::Recipient;
use post_api::domain::session::{NewSession, Rotation, Session, SessionId};
use post_api::domain::user::{
    AccountKey, Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId,
};
use post_api::domain::vote::{CastVote, Vote, VotePage};
use post_api::metrics::{Collect, Scrape};
use post_api::store::{
    AdministrationStore, CallerStore, ChangeEmail, ChangePost, ChangeStore, CloseStore, CreateUser,
    DeleteUser, EventStore, InstallationStore, KeyedWriteStore, LoginFailureStore, Once, PostList,
    PostStore, QueueLengths, RankSource, RankingStore, Readiness, ReadinessStore, RecipientStore,
    Result, RotateSession, SessionStore, StoreError, UserStore, VoteOutcome, VoteStore,
};

/// A cause that must not reach a client.
pub(super) const CAUSE: &str = "the very private cause";

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Failure {
    Unavailable,
    Internal,
    Overloaded,
    Referenced,
    Panic,
}

/// A store whose methods all fail in the same way.
pub(super) struct FailingStore(pub(super) Failure);

impl FailingStore {
    fn fail<T>(&self) -> Result<T> {
        let cause = || io::Error::other(CAUSE).into();
        match self.0 {
            Failure::Unavailable => Err(StoreError::Unavailable(cause())),
            Failure::Internal => Err(StoreError::Internal(cause())),
            Failure::Overloaded => Err(StoreError::Overloaded),
            Failure::Referenced => Err(StoreError::Referenced(cause())),
            Failure::Panic => panic!("{CAUSE}"),
        }
    }
}

#[async_trait]
impl CallerStore for FailingStore {
    async fn find_caller(&self, _: Caller) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl AdministrationStore for FailingStore {
    async fn is_administrator(&self, _: Caller) -> Result<bool> {
        self.fail()
    }
    async fn list_accounts(&self, _: Caller, _: ListPage) -> Result<Option<AccountPage>> {
        self.fail()
    }
    async fn list_all_events(&self, _: Caller, _: ListPage) -> Result<Option<EventPage>> {
        self.fail()
    }
    async fn count_all_rows(&self) -> Result<RowCounts> {
        self.fail()
    }
    async fn count_days(&self, _: Vec<Timestamp>) -> Result<Vec<DayCount>> {
        self.fail()
    }
}

impl QueueLengths for FailingStore {
    fn queue_lengths(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
}

#[async_trait]
impl UserStore for FailingStore {
    async fn create_user(&self, _: NewUser) -> Result<CreateUser> {
        self.fail()
    }
    async fn find_user(&self, _: UserId) -> Result<Option<User>> {
        self.fail()
    }
    async fn find_me(&self, _: Caller) -> Result<User> {
        self.fail()
    }
    async fn find_credentials(&self, _: TypedEmail) -> Result<Option<Credentials>> {
        self.fail()
    }
    async fn find_own_credentials(&self, _: Caller) -> Result<Credentials> {
        self.fail()
    }
    async fn upgrade_password_hash(
        &self,
        _: UserId,
        _: PasswordHash,
        _: PasswordHash,
    ) -> Result<()> {
        self.fail()
    }
    async fn change_password(
        &self,
        _: Caller,
        _: PasswordHash,
        _: Timestamp,
    ) -> Result<TokensValidFrom> {
        self.fail()
    }
    async fn change_email(
        &self,
        _: Caller,
        _: Email,
        _: NameChange,
        _: Timestamp,
    ) -> Result<ChangeEmail> {
        self.fail()
    }
    async fn change_name(&self, _: Caller, _: Option<DisplayName>) -> Result<User> {
        self.fail()
    }
    async fn find_names(&self, _: Vec<UserId>) -> Result<HashMap<UserId, DisplayName>> {
        self.fail()
    }
    async fn sign_out(&self, _: Caller, _: Timestamp) -> Result<()> {
        self.fail()
    }
    async fn delete_user(&self, _: Caller, _: UserId) -> Result<DeleteUser> {
        self.fail()
    }
}

#[async_trait]
impl RecipientStore for FailingStore {
    async fn find_recipient(&self, _: TypedEmail) -> Result<Option<Recipient>> {
        self.fail()
    }
    async fn find_recipient_by_id(&self, _: UserId) -> Result<Option<Recipient>> {
        self.fail()
    }
    async fn reset_password(&self, _: Recipient, _: PasswordHash, _: Timestamp) -> Result<bool> {
        self.fail()
    }
    async fn verify_email(&self, _: Recipient, _: Timestamp) -> Result<bool> {
        self.fail()
    }
    async fn find_me_verified(&self, _: Caller) -> Result<(User, Option<Timestamp>)> {
        self.fail()
    }
}

#[async_trait]
impl SessionStore for FailingStore {
    async fn create_session(&self, _: NewSession) -> Result<Option<SessionId>> {
        self.fail()
    }
    async fn rotate_session(&self, _: Rotation) -> Result<RotateSession> {
        self.fail()
    }
    async fn list_sessions(&self, _: Caller, _: Timestamp) -> Result<Vec<Session>> {
        self.fail()
    }
    async fn end_sessions(&self, _: Caller, _: Option<SessionId>) -> Result<bool> {
        self.fail()
    }
}

#[async_trait]
impl EventStore for FailingStore {
    async fn record_event(&self, _: UserId, _: Event) -> Result<()> {
        self.fail()
    }
    async fn list_events(&self, _: Caller) -> Result<Vec<Event>> {
        self.fail()
    }
}

#[async_trait]
impl LoginFailureStore for FailingStore {
    async fn count_login_failures(&self, _: AccountKey, _: Timestamp) -> Result<u32> {
        self.fail()
    }
    async fn record_login_failure(&self, _: AccountKey, _: Timestamp) -> Result<()> {
        self.fail()
    }
    async fn clear_login_failures(&self, _: AccountKey) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl InstallationStore for FailingStore {
    async fn find_installation_key(&self) -> Result<InstallationKey> {
        self.fail()
    }
}

#[async_trait]
impl PostStore for FailingStore {
    async fn create_post(&self, _: Caller, _: PostContent, _: Timestamp) -> Result<Post> {
        self.fail()
    }
    async fn find_post(&self, _: Caller, _: PostId) -> Result<Option<PostWithVotes>> {
        self.fail()
    }
    async fn list_posts(&self, _: Caller, _: Page) -> Result<PostList> {
        self.fail()
    }
    async fn find_public_post(&self, _: PostId) -> Result<Option<PostWithVotes>> {
        self.fail()
    }
    async fn list_public_posts(&self, _: Page) -> Result<PostList> {
        self.fail()
    }
    async fn update_post(
        &self,
        _: Caller,
        _: PostId,
        _: PostUpdate,
        _: Option<Precondition>,
    ) -> Result<ChangePost<PostWithVotes>> {
        self.fail()
    }
    async fn delete_post(
        &self,
        _: Caller,
        _: PostId,
        _: Option<Precondition>,
    ) -> Result<ChangePost<()>> {
        self.fail()
    }
}

#[async_trait]
impl ChangeStore for FailingStore {
    async fn has_change_log(&self) -> Result<bool> {
        Ok(true)
    }
    async fn listen_to_changes(&self) -> Result<Listening> {
        self.fail()
    }
    async fn read_changes(&self, _: ChangePosition, _: u32) -> Result<Changes> {
        self.fail()
    }
    async fn find_changed_posts(
        &self,
        _: Vec<PostId>,
        _: DraftVisibility,
    ) -> Result<Vec<ChangedPost>> {
        self.fail()
    }
    async fn forget_changes(&self) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl KeyedWriteStore for FailingStore {
    async fn create_user_once(&self, _: NewUser, _: IdempotencyKey) -> Result<Once<CreateUser>> {
        self.fail()
    }
    async fn create_post_once(
        &self,
        _: Caller,
        _: PostContent,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<Post>> {
        self.fail()
    }
    async fn update_post_once(
        &self,
        _: Caller,
        _: PostId,
        _: PostUpdate,
        _: Option<Precondition>,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<ChangePost<PostWithVotes>>> {
        self.fail()
    }
    async fn delete_post_once(
        &self,
        _: Caller,
        _: PostId,
        _: Option<Precondition>,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<ChangePost<()>>> {
        self.fail()
    }
    async fn cast_vote_once(
        &self,
        _: Caller,
        _: Vote,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<VoteOutcome>> {
        self.fail()
    }
}

#[async_trait]
impl RankingStore for FailingStore {
    async fn rank_posts(&self, _: RankSource, _: DraftVisibility) -> Result<Vec<RankedPost>> {
        self.fail()
    }
}

#[async_trait]
impl VoteStore for FailingStore {
    async fn cast_vote(&self, _: Caller, _: Vote) -> Result<VoteOutcome> {
        self.fail()
    }
    async fn find_votes(&self, _: Caller, _: Vec<PostId>) -> Result<Vec<CastVote>> {
        self.fail()
    }
    async fn list_votes(&self, _: Caller, _: u32, _: Option<PostId>) -> Result<VotePage> {
        self.fail()
    }
}

#[async_trait]
impl ReadinessStore for FailingStore {
    async fn check_ready(&self) -> Result<Readiness> {
        self.fail()
    }
}

#[async_trait]
impl CloseStore for FailingStore {
    async fn close(&self) {}
}

impl Collect for FailingStore {
    fn collect(&self, _: &mut Scrape<'_>) -> fmt::Result {
        Ok(())
    }
}
