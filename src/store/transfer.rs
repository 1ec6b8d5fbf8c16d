//! The rows that move between databases: what an export reads, and what an import writes.
//!
//! Not here: the format of the lines, see `cli/transfer_lines/`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::migrate::{MigrateError, SchemaAdmin};
use crate::domain::user::UserId;

/// An account, a post or a vote, as it is stored. Rows come in this order, each kind by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    User(UserRow),
    Post(PostRow),
    Vote(VoteRow),
}

/// The kinds of rows, in the order of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    User,
    Post,
    Vote,
}

impl Row {
    #[must_use]
    pub fn kind(&self) -> RowKind {
        match self {
            Self::User(_) => RowKind::User,
            Self::Post(_) => RowKind::Post,
            Self::Vote(_) => RowKind::Vote,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: i64,
    pub email: String,
    pub password: String,
    pub name: Option<String>,
    pub created_at: Timestamp,
    pub tokens_valid_from: Timestamp,
    pub disabled_at: Option<Timestamp>,
    pub email_verified_at: Option<Timestamp>,
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("UserRow").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRow {
    pub id: i64,
    pub owner_id: i64,
    pub title: String,
    pub content: String,
    pub published: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteRow {
    pub post_id: i64,
    pub user_id: i64,
    /// 1 or -1.
    pub dir: i16,
}

/// The first IDs that were never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextIds {
    pub users: i64,
    pub posts: i64,
}

/// Whether tokens that the exported database had issued stay valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldTokens {
    Keep,
    Revoke,
}

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The database has rows.
    #[error("the database is not empty: an import fills an empty one; there is no merging")]
    NotEmpty,
    /// The database refused a row. The reason never has the content of the row.
    #[error("the database refused the row: {0}")]
    Refused(String),
    /// The counts differ after all rows are there.
    #[error("the imported rows are not consistent: {}", .0.join("; "))]
    Inconsistent(Vec<String>),
    /// The other side could not be written or read.
    #[error(transparent)]
    Lines(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub type RowWriter<'a> = dyn FnMut(Row) -> Result<(), TransferError> + Send + 'a;

/// The rows of an import.
pub trait RowSource: Send {
    /// Returns the next row, or `None` after the last.
    ///
    /// # Errors
    /// [`TransferError::Lines`] if the row is invalid.
    fn next_row(&mut self) -> Result<Option<Row>, TransferError>;

    /// Checks that the rows are complete. Call it after the last row.
    ///
    /// # Errors
    /// [`TransferError::Lines`] if rows are missing or were changed.
    fn finish(&mut self) -> Result<NextIds, TransferError>;
}

/// Moves all rows out of a database, or into one.
#[async_trait]
pub trait TransferAdmin: SchemaAdmin {
    /// Reads the rows of one moment. Closed accounts are left out, with their posts and votes. With
    /// an account, reads only the account, its posts and its votes.
    async fn export(
        &mut self,
        account: Option<UserId>,
        write: &mut RowWriter<'_>,
    ) -> Result<NextIds, TransferError>;

    /// Writes rows into an empty database, in one transaction. After an error the database is as
    /// before.
    async fn import(
        &mut self,
        rows: &mut dyn RowSource,
        tokens: OldTokens,
        now: Timestamp,
    ) -> Result<(), TransferError>;
}
