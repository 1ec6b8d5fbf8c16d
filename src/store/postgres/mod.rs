//! The production store: a PostgreSQL database, 14 to 18.
//!
//! What many ask for at once shares a statement ([`super::batch`]); everything else is a statement
//! of its own. All of it runs on tasks of the store's: a caller that leaves interrupts nothing, and
//! no connection goes back to the pool in the middle of something. An answer is given after the
//! commit.

mod address;
mod admin;
mod callers;
mod connection;
mod error;
mod events;
mod lists;
mod login_failures;
mod pool;
mod posts;
mod row;
mod schema;
mod search;
mod sessions;
mod statement;
mod tls;
mod users;
mod votes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use self::callers::FindCallers;
use self::lists::ListPosts;
use self::pool::Pool;
use self::posts::{CreatePosts, FindPosts, NewPost};
use self::votes::{CastVotes, WithdrawVotes};
use super::batch::{Bounds, Lane};
use super::{
    ChangeEmail, ChangePost, CreateUser, DeleteUser, PostList, Readiness, Result, RotateSession,
    Store, StoreError, VoteOutcome,
};
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::Event;
use crate::domain::page::Page;
use crate::domain::post::{Post, PostContent, PostId, PostWithVotes};
use crate::domain::session::{NewSession, Rotation, Session, SessionId};
use crate::domain::user::{
    AccountKey, Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId,
};
use crate::domain::vote::Vote;

pub use address::{Address, AddressFault};
pub use admin::{Patience, PostgresAdmin, statements};
pub use connection::connect;
pub use statement::Statement;

/// How long an answer may take, whatever happens to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// A queue of many batches would be worked off too late; more than this is refused at once.
const LANE: Bounds = Bounds { queue: 4096, members: 256, patience: PATIENCE };

/// The same for what carries the texts of posts, each of which may have 2 MiB.
const LANE_OF_TEXTS: Bounds = Bounds { members: 64, ..LANE };

pub struct PostgresStore {
    pool: Arc<Pool>,
    callers: Lane<FindCallers>,
    posts: Lane<FindPosts>,
    lists: Lane<ListPosts>,
    new_posts: Lane<CreatePosts>,
    votes: Lane<CastVotes>,
    withdrawals: Lane<WithdrawVotes>,
}

impl PostgresStore {
    /// Connects when the first request comes: a database that is out of reach is no fault yet.
    ///
    /// # Errors
    /// If the certificates that the server's is to be compared with cannot be read.
    pub fn open(address: &Address) -> Result<Self> {
        let pool = Arc::new(Pool::new(address)?);
        Ok(Self {
            callers: Lane::open(FindCallers(Arc::clone(&pool)), LANE),
            posts: Lane::open(FindPosts(Arc::clone(&pool)), LANE_OF_TEXTS),
            lists: Lane::open(ListPosts(Arc::clone(&pool)), LANE),
            new_posts: Lane::open(CreatePosts(Arc::clone(&pool)), LANE_OF_TEXTS),
            votes: Lane::open(CastVotes(Arc::clone(&pool)), LANE),
            withdrawals: Lane::open(WithdrawVotes(Arc::clone(&pool)), LANE),
            pool,
        })
    }

    /// Runs the operation on a task of its own: it ends whether or not its caller stays.
    async fn run<T: Send + 'static, F>(&self, operation: impl FnOnce(Arc<Pool>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = tokio::spawn(operation(Arc::clone(&self.pool)));
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(StoreError::internal(error)),
            Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
        }
    }
}

/// Every statement on the path of a request.
pub fn request_statements() -> impl Iterator<Item = &'static Statement> {
    let files = [
        callers::STATEMENTS,
        users::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        lists::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
        schema::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_user(&self, user: NewUser) -> Result<CreateUser> {
        self.run(|pool| async move { users::create_user(&pool, &user).await }).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>> {
        self.run(move |pool| async move { users::find_user(&pool, id).await }).await
    }

    async fn find_me(&self, caller: Caller) -> Result<User> {
        self.run(move |pool| async move { users::find_me(&pool, caller).await }).await
    }

    async fn find_credentials(&self, email: Email) -> Result<Option<Credentials>> {
        self.run(|pool| async move { users::find_credentials(&pool, &email).await }).await
    }

    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials> {
        self.run(move |pool| async move { users::find_own_credentials(&pool, caller).await }).await
    }

    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()> {
        self.run(
            move |pool| async move { users::upgrade_password_hash(&pool, id, &old, &new).await },
        )
        .await
    }

    async fn change_password(
        &self,
        caller: Caller,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<TokensValidFrom> {
        self.run(move |pool| async move { users::change_password(&pool, caller, &new, now).await })
            .await
    }

    async fn change_email(
        &self,
        caller: Caller,
        email: Email,
        now: Timestamp,
    ) -> Result<ChangeEmail> {
        self.run(move |pool| async move { users::change_email(&pool, caller, &email, now).await })
            .await
    }

    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()> {
        self.run(move |pool| async move { users::sign_out(&pool, caller, now).await }).await
    }

    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>> {
        self.run(move |pool| async move { sessions::create_session(&pool, &session).await }).await
    }

    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession> {
        self.run(move |pool| async move { sessions::rotate_session(&pool, &rotation).await }).await
    }

    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>> {
        self.run(move |pool| async move { sessions::list_sessions(&pool, caller, now).await }).await
    }

    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool> {
        self.run(move |pool| async move { sessions::end_sessions(&pool, caller, id).await }).await
    }

    async fn record_event(&self, user: UserId, event: Event) -> Result<()> {
        self.run(move |pool| async move { events::record_event(&pool, user, event).await }).await
    }

    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>> {
        self.run(move |pool| async move { events::list_events(&pool, caller).await }).await
    }

    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32> {
        self.run(move |pool| async move {
            login_failures::count_login_failures(&pool, account, now).await
        })
        .await
    }

    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()> {
        self.run(move |pool| async move {
            login_failures::record_login_failure(&pool, account, now).await
        })
        .await
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()> {
        self.run(
            move |pool| async move { login_failures::clear_login_failures(&pool, account).await },
        )
        .await
    }

    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser> {
        self.run(move |pool| async move { users::delete_user(&pool, caller, id).await }).await
    }

    async fn find_caller(&self, caller: Caller) -> Result<()> {
        self.callers.ask(caller).await
    }

    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post> {
        self.new_posts.ask(NewPost { author: caller, content, created_at }).await
    }

    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>> {
        self.posts.ask((caller, id)).await
    }

    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList> {
        lists::list_posts(self, caller, page).await
    }

    async fn replace_post(
        &self,
        caller: Caller,
        id: PostId,
        content: PostContent,
    ) -> Result<ChangePost<Post>> {
        self.run(move |pool| async move { posts::replace_post(&pool, caller, id, &content).await })
            .await
    }

    async fn delete_post(&self, caller: Caller, id: PostId) -> Result<ChangePost<()>> {
        self.run(move |pool| async move { posts::delete_post(&pool, caller, id).await }).await
    }

    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
        match vote.direction {
            Some(direction) => self.votes.ask((caller, vote.post_id, direction)).await,
            None => self.withdrawals.ask((caller, vote.post_id, ())).await,
        }
    }

    async fn check_ready(&self) -> Result<Readiness> {
        self.run(|pool| async move { pool.check_ready().await }).await
    }
}
