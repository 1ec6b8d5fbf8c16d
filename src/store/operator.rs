//! Accounts and posts as an operator manages them, on a database that a running service may use at
//! the same time. A method takes the ID of the account or the post and needs no caller.
//!
//! Not here: migrations and the sign-out of all accounts, see `migrate.rs`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::CreateUser;
use super::migrate::MigrateResult;
use crate::domain::email::TypedEmail;
use crate::domain::event::Event;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::{Account, NewUser, PasswordHash, UserId};

/// Maximum number of accounts or posts that one statement of a list returns.
pub(super) const ROWS_PER_PAGE: u32 = 1000;

/// Accounts and posts, as an operator manages them. A closed account does not exist for it.
#[async_trait]
pub trait OperatorStore: Send {
    /// Returns the next accounts by ascending ID, a bounded number. None after the last account.
    async fn list_accounts(&mut self, after: UserId) -> MigrateResult<Vec<Account>>;

    /// Returns the account with the e-mail as typed, or else the account with its normal form.
    async fn find_account(&mut self, email: &TypedEmail) -> MigrateResult<Option<Account>>;

    async fn add_account(&mut self, user: NewUser) -> MigrateResult<CreateUser>;

    /// Replaces the password and revokes all tokens. Returns whether the account exists.
    async fn set_password(
        &mut self,
        id: UserId,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> MigrateResult<bool>;

    /// Revokes all tokens of the account. Returns whether the account exists.
    async fn sign_out_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool>;

    /// Disables the account and revokes all of its tokens: until it is enabled, it accepts no
    /// token, and a login behaves as for an e-mail without an account. An account that is disabled
    /// already keeps its `disabled_at`. Returns whether the account exists.
    async fn disable_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool>;

    /// Lets the account log in again. Revoked tokens stay revoked. Returns whether the account
    /// exists.
    async fn enable_account(&mut self, id: UserId) -> MigrateResult<bool>;

    /// Gives the account the right of an administrator, or takes it away. Returns whether the account
    /// exists.
    async fn set_admin(&mut self, id: UserId, is_admin: bool) -> MigrateResult<bool>;

    /// Closes the account, as [`super::UserStore::delete_user`] does. Returns whether it existed.
    async fn close_account(&mut self, id: UserId) -> MigrateResult<bool>;

    /// Deletes the rows of a closed account, in the slices of [`super::UserStore::delete_user`].
    /// After an error a store that is open on the database, or will be opened, deletes the rest.
    async fn delete_rows(&mut self, closed: UserId) -> MigrateResult<()>;

    /// Records an event of the account. Does nothing if the account does not exist.
    async fn record_event(&mut self, id: UserId, event: Event) -> MigrateResult<()>;

    /// Returns the next posts by descending ID, drafts too: those below `before`, a bounded number
    /// with at most [`super::page_limits::PAGE_BYTES`] or one post. None after the last post.
    async fn list_posts(
        &mut self,
        owner: Option<UserId>,
        before: PostId,
    ) -> MigrateResult<Vec<PostWithVotes>>;

    /// Deletes a post with its votes. Returns its owner, or `None` if there is no such post.
    async fn delete_post(&mut self, id: PostId) -> MigrateResult<Option<UserId>>;
}
