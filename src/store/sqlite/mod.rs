//! The embedded store: one SQLite file.
//!
//! One thread writes, committing what waits together; a few threads read, each on a connection
//! of its own, and others like them read lists, so that nobody's short read waits behind long ones. WAL with `synchronous = FULL`: a commit is on the disk before it is answered.
//! Other processes may use the file too (a backup, the command line): a lock is waited for
//! [`BUSY_TIMEOUT`].

mod admin;
mod callers;
mod connection;
mod events;
mod lists;
mod login_failures;
mod posts;
mod reader;
mod row;
mod search;
mod sessions;
mod statement;
mod users;
mod votes;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use crossbeam_channel::TrySendError;
use jiff::Timestamp;

use self::reader::Readers;
use self::writer::Writer;
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

pub use admin::SqliteAdmin;
pub use connection::BUSY_TIMEOUT;

pub struct SqliteStore {
    readers: Readers,
    list_readers: Readers,
    writer: Writer,
}

impl SqliteStore {
    /// Opens a database that is at the newest revision.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file cannot be opened or the threads not started.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            writer: Writer::open(path)?,
            readers: Readers::open(path, "sqlite-read")?,
            list_readers: Readers::open(path, "sqlite-list")?,
        })
    }
}

/// Every statement on the path of a request: name and text.
pub fn request_statements() -> impl Iterator<Item = (&'static str, &'static str)> {
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
    ];
    files.into_iter().flatten().copied()
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_user(&self, user: NewUser) -> Result<CreateUser> {
        self.writer.run(move |database| users::create_user(database, &user)).await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>> {
        self.readers.run(move |database| users::find_user(database, id)).await
    }

    async fn find_me(&self, caller: Caller) -> Result<User> {
        self.readers.run(move |database| users::find_me(database, caller)).await
    }

    async fn find_credentials(&self, email: Email) -> Result<Option<Credentials>> {
        self.readers.run(move |database| users::find_credentials(database, &email)).await
    }

    async fn find_own_credentials(&self, caller: Caller) -> Result<Credentials> {
        self.readers.run(move |database| users::find_own_credentials(database, caller)).await
    }

    async fn upgrade_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<()> {
        self.writer
            .run(move |database| users::upgrade_password_hash(database, id, &old, &new))
            .await
    }

    async fn change_password(
        &self,
        caller: Caller,
        new: PasswordHash,
        now: Timestamp,
    ) -> Result<TokensValidFrom> {
        self.writer.run(move |database| users::change_password(database, caller, &new, now)).await
    }

    async fn change_email(
        &self,
        caller: Caller,
        email: Email,
        now: Timestamp,
    ) -> Result<ChangeEmail> {
        self.writer.run(move |database| users::change_email(database, caller, &email, now)).await
    }

    async fn sign_out(&self, caller: Caller, now: Timestamp) -> Result<()> {
        self.writer.run(move |database| users::sign_out(database, caller, now)).await
    }

    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>> {
        self.writer.run(move |database| sessions::create_session(database, &session)).await
    }

    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession> {
        self.writer.run(move |database| sessions::rotate_session(database, &rotation)).await
    }

    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>> {
        self.readers.run(move |database| sessions::list_sessions(database, caller, now)).await
    }

    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool> {
        self.writer.run(move |database| sessions::end_sessions(database, caller, id)).await
    }

    async fn record_event(&self, user: UserId, event: Event) -> Result<()> {
        self.writer.run(move |database| events::record_event(database, user, event)).await
    }

    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>> {
        self.readers.run(move |database| events::list_events(database, caller)).await
    }

    async fn count_login_failures(&self, account: AccountKey, now: Timestamp) -> Result<u32> {
        self.readers
            .run(move |database| login_failures::count_login_failures(database, account, now))
            .await
    }

    async fn record_login_failure(&self, account: AccountKey, now: Timestamp) -> Result<()> {
        self.writer
            .run(move |database| login_failures::record_login_failure(database, account, now))
            .await
    }

    async fn clear_login_failures(&self, account: AccountKey) -> Result<()> {
        self.writer
            .run(move |database| login_failures::clear_login_failures(database, account))
            .await
    }

    async fn delete_user(&self, caller: Caller, id: UserId) -> Result<DeleteUser> {
        self.writer.run(move |database| users::delete_user(database, caller, id)).await
    }

    async fn find_caller(&self, caller: Caller) -> Result<()> {
        self.readers.run(move |database| callers::find_caller(database, caller)).await
    }

    async fn create_post(
        &self,
        caller: Caller,
        content: PostContent,
        created_at: Timestamp,
    ) -> Result<Post> {
        self.writer
            .run(move |database| posts::create_post(database, caller, &content, created_at))
            .await
    }

    async fn find_post(&self, caller: Caller, id: PostId) -> Result<Option<PostWithVotes>> {
        self.readers.run(move |database| posts::find_post(database, caller, id)).await
    }

    async fn list_posts(&self, caller: Caller, page: Page) -> Result<PostList> {
        self.list_readers.run(move |database| lists::list_posts(database, caller, &page)).await
    }

    async fn replace_post(
        &self,
        caller: Caller,
        id: PostId,
        content: PostContent,
    ) -> Result<ChangePost<Post>> {
        self.writer.run(move |database| posts::replace_post(database, caller, id, &content)).await
    }

    async fn delete_post(&self, caller: Caller, id: PostId) -> Result<ChangePost<()>> {
        self.writer.run(move |database| posts::delete_post(database, caller, id)).await
    }

    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
        self.writer.run(move |database| votes::cast_vote(database, caller, vote)).await
    }

    async fn check_ready(&self) -> Result<Readiness> {
        self.readers.run(|database| Ok(database.query_row("SELECT 1", [], |_| Ok(()))?)).await?;
        // An empty transaction takes and releases the write lock without touching the disk.
        self.writer.run(|_| Ok(Readiness::Ready)).await
    }
}

/// What the queues of the readers and of the writer can say instead of taking a job.
impl<T> From<TrySendError<T>> for StoreError {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Overloaded,
            TrySendError::Disconnected(_) => Self::unavailable("the database's threads have ended"),
        }
    }
}

/// What a statement can fail with, told apart by SQLite's result code.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly,
            SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(
                DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen | ReadOnly
                | OutOfMemory,
            ) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn of(code: i32) -> StoreError {
        StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_NOMEM,
        ] {
            assert!(matches!(of(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CORRUPT, ffi::SQLITE_CONSTRAINT] {
            assert!(matches!(of(code), StoreError::Internal(_)), "{code}");
        }
        let no_row = StoreError::from(rusqlite::Error::QueryReturnedNoRows);
        assert!(matches!(no_row, StoreError::Internal(_)));
    }

    #[test]
    fn a_queue_that_is_full_is_told_from_one_that_has_ended() {
        assert!(matches!(StoreError::from(TrySendError::Full(())), StoreError::Overloaded));
        let ended = StoreError::from(TrySendError::Disconnected(()));
        assert!(matches!(ended, StoreError::Unavailable(_)));
    }
}
