//! Exports the rows of a database, and imports rows into an empty one with COPY.

use std::error::Error as _;
use std::pin::{Pin, pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CopyInSink, Error};

use super::super::column::column;
use super::{NEW_EPOCH, PostgresAdmin, counts, script};
use crate::domain::user::{TokensValidFrom, UserId};
use crate::store::StoreError;
use crate::store::transfer::{
    NextIds, OldTokens, PostRow, Row, RowKind, RowSource, RowWriter, TransferAdmin, TransferError,
    UserRow, VoteRow,
};

/// After this many rows a COPY ends and the next begins. PostgreSQL keeps something for each row until
/// the end of the statement.
const ROWS_PER_COPY: usize = 100_000;

/// `$1` is the account, or null for all.
const USERS: &str = "SELECT id::bigint, email, password, name, created_at, tokens_valid_from, disabled_at,
            email_verified_at
      FROM users
     WHERE id <> ALL (ARRAY(SELECT user_id FROM account_deletions)) AND ($1::bigint IS NULL OR id = $1)
     ORDER BY id";
const POSTS: &str = "SELECT id::bigint, owner_id::bigint, title, content, published, created_at
      FROM posts
     WHERE owner_id <> ALL (ARRAY(SELECT user_id FROM account_deletions))
       AND ($1::bigint IS NULL OR owner_id = $1)
     ORDER BY id";
const VOTES: &str = "SELECT post_id::bigint, user_id::bigint, dir::integer FROM votes
     WHERE user_id <> ALL (ARRAY(SELECT user_id FROM account_deletions))
       AND NOT EXISTS (SELECT FROM account_deletions AS closed JOIN posts ON owner_id = closed.user_id
                        WHERE posts.id = votes.post_id)
       AND ($1::bigint IS NULL OR user_id = $1)
     ORDER BY votes.post_id, votes.user_id";

/// Returns the table of a kind, and its columns in the order in which they are copied.
fn table_of(kind: RowKind) -> (&'static str, &'static str) {
    match kind {
        RowKind::User => (
            "users",
            "id, email, password, name, created_at, tokens_valid_from, disabled_at, \
             email_verified_at",
        ),
        RowKind::Post => ("posts", "id, owner_id, title, content, published, created_at"),
        RowKind::Vote => ("votes", "post_id, user_id, dir"),
    }
}

impl From<Error> for TransferError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

#[async_trait]
impl TransferAdmin for PostgresAdmin {
    async fn export(
        &mut self,
        account: Option<UserId>,
        write: &mut RowWriter<'_>,
    ) -> Result<NextIds, TransferError> {
        let begin =
            script::begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", Some(&self.quoted_schema));
        self.client.batch_execute(&begin).await?;
        let outcome = self.read_all(account, write).await;
        self.client.batch_execute("ROLLBACK").await?;
        outcome
    }

    async fn import(
        &mut self,
        rows: &mut dyn RowSource,
        tokens: OldTokens,
        now: Timestamp,
    ) -> Result<(), TransferError> {
        let begin = script::begin("ISOLATION LEVEL READ COMMITTED", Some(&self.quoted_schema));
        self.client.batch_execute(&begin).await?;
        let outcome = self.write_all(rows, tokens, now).await;
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.client.batch_execute(end).await;
        outcome?;
        Ok(ended?)
    }
}

impl PostgresAdmin {
    async fn read_all(
        &self,
        account: Option<UserId>,
        write: &mut RowWriter<'_>,
    ) -> Result<NextIds, TransferError> {
        let user = account.map(|account| account.0);
        let selects = [(RowKind::User, USERS), (RowKind::Post, POSTS), (RowKind::Vote, VOTES)];
        for (kind, sql) in selects {
            let mut rows = pin!(self.client.query_raw(sql, [user]).await?);
            while let Some(row) = rows.try_next().await? {
                write(read_row(kind, &row)?)?;
            }
        }
        Ok(NextIds { users: self.next_id("users").await?, posts: self.next_id("posts").await? })
    }

    /// Returns the first ID that the sequence has not given.
    async fn next_id(&self, table: &str) -> Result<i64, TransferError> {
        let sequence = self.sequence(table).await?;
        let sql = format!(
            "SELECT greatest((SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END
                                FROM {sequence}),
                             (SELECT coalesce(max(id), 0) + 1 FROM {table}))::bigint"
        );
        Ok(column(&self.client.query_one(&sql, &[]).await?, 0)?)
    }

    async fn sequence(&self, table: &str) -> Result<String, TransferError> {
        let sql = "SELECT pg_get_serial_sequence($1, 'id')";
        let found: Option<String> = column(&self.client.query_one(sql, &[&table]).await?, 0)?;
        let missing = || StoreError::internal(format!("{table}.id has no sequence"));
        Ok(found.ok_or_else(missing)?)
    }

    async fn write_all(
        &self,
        rows: &mut dyn RowSource,
        tokens: OldTokens,
        now: Timestamp,
    ) -> Result<(), TransferError> {
        // A service that runs already can read meanwhile.
        self.client.batch_execute("LOCK TABLE users, posts, votes IN EXCLUSIVE MODE").await?;
        let is_empty =
            "SELECT NOT EXISTS (SELECT id FROM users) AND NOT EXISTS (SELECT id FROM posts)
                           AND NOT EXISTS (SELECT post_id FROM votes)";
        if !column::<bool>(&self.client.query_one(is_empty, &[]).await?, 0)? {
            return Err(TransferError::NotEmpty);
        }
        self.copy_rows(rows).await?;
        let next = rows.finish()?;
        for (table, next) in [("users", next.users), ("posts", next.posts)] {
            let sequence = self.sequence(table).await?;
            let sql = "SELECT setval($1::text::regclass, $2, false)";
            self.client.query_one(sql, &[&sequence, &next]).await?;
        }
        // Readers of the log begin again, instead of reading every imported row.
        let forget = format!("{NEW_EPOCH}; DELETE FROM post_changes");
        self.client.batch_execute(&forget).await?;
        if tokens == OldTokens::Revoke {
            let key = "UPDATE installation SET key =
                sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))";
            self.client.execute(key, &[]).await?;
            let now = TokensValidFrom::revoked_at(now).0;
            self.client.execute(super::SIGN_OUT_ALL, &[&now]).await?;
        }
        let wrong = counts::find_wrong(&self.client).await?;
        if wrong.is_empty() { Ok(()) } else { Err(TransferError::Inconsistent(wrong)) }
    }

    async fn copy_rows(&self, rows: &mut dyn RowSource) -> Result<(), TransferError> {
        let mut current: Option<Copy> = None;
        while let Some(row) = rows.next_row()? {
            let kind = row.kind();
            let is_over = |copy: &Copy| copy.kind != kind || copy.rows == ROWS_PER_COPY;
            if let Some(copy) = current.take_if(|copy| is_over(copy)) {
                copy.finish().await?;
            }
            let mut copy = match current.take() {
                Some(copy) => copy,
                None => self.begin_copy(kind).await?,
            };
            copy.write(&row).await?;
            current = Some(copy);
        }
        match current {
            Some(copy) => copy.finish().await,
            None => Ok(()),
        }
    }

    async fn begin_copy(&self, kind: RowKind) -> Result<Copy, TransferError> {
        let (table, columns) = table_of(kind);
        // An adopted table has IDs of 32 bits.
        let described = self.client.prepare(&format!("SELECT {columns} FROM {table}")).await?;
        let types: Vec<Type> =
            described.columns().iter().map(|column| column.type_().clone()).collect();
        let sql = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
        let sink: CopyInSink<Bytes> = self.client.copy_in(&sql).await?;
        let writer = Box::pin(BinaryCopyInWriter::new(sink, &types));
        Ok(Copy { kind, rows: 0, types, writer })
    }
}

fn read_row(kind: RowKind, row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    Ok(match kind {
        RowKind::User => Row::User(UserRow {
            id: column(row, 0)?,
            email: column(row, 1)?,
            password: column(row, 2)?,
            name: column(row, 3)?,
            created_at: column(row, 4)?,
            tokens_valid_from: column(row, 5)?,
            disabled_at: column(row, 6)?,
            email_verified_at: column(row, 7)?,
        }),
        RowKind::Post => Row::Post(PostRow {
            id: column(row, 0)?,
            owner_id: column(row, 1)?,
            title: column(row, 2)?,
            content: column(row, 3)?,
            published: column(row, 4)?,
            created_at: column(row, 5)?,
        }),
        RowKind::Vote => Row::Vote(VoteRow {
            post_id: column(row, 0)?,
            user_id: column(row, 1)?,
            dir: if column::<i32>(row, 2)? < 0 { -1 } else { 1 },
        }),
    })
}

/// A COPY in progress.
struct Copy {
    kind: RowKind,
    rows: usize,
    types: Vec<Type>,
    writer: Pin<Box<BinaryCopyInWriter>>,
}

impl Copy {
    async fn write(&mut self, row: &Row) -> Result<(), TransferError> {
        self.rows += 1;
        let types = &self.types;
        let id = |index: usize, id: i64| integer(types.get(index), id);
        let values: Vec<Box<dyn ToSql + Sync + Send + '_>> = match row {
            Row::User(user) => vec![
                id(0, user.id)?,
                Box::new(&user.email),
                Box::new(&user.password),
                Box::new(&user.name),
                Box::new(user.created_at),
                Box::new(user.tokens_valid_from),
                Box::new(user.disabled_at),
                Box::new(user.email_verified_at),
            ],
            Row::Post(post) => vec![
                id(0, post.id)?,
                id(1, post.owner_id)?,
                Box::new(&post.title),
                Box::new(&post.content),
                Box::new(post.published),
                Box::new(post.created_at),
            ],
            Row::Vote(vote) => {
                vec![id(0, vote.post_id)?, id(1, vote.user_id)?, id(2, vote.dir.into())?]
            }
        };
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| -> &(dyn ToSql + Sync) { value.as_ref() }).collect();
        self.writer.as_mut().write(&values).await.map_err(refused)
    }

    async fn finish(mut self) -> Result<(), TransferError> {
        self.writer.as_mut().finish().await.map(|_| ()).map_err(refused)
    }
}

/// Returns the number in the type of its column.
fn integer(
    column: Option<&Type>,
    number: i64,
) -> Result<Box<dyn ToSql + Sync + Send>, TransferError> {
    let too_large = || TransferError::Refused("an ID is too large for its column".to_owned());
    Ok(match column {
        Some(&Type::INT2) => Box::new(i16::try_from(number).map_err(|_| too_large())?),
        Some(&Type::INT4) => Box::new(i32::try_from(number).map_err(|_| too_large())?),
        _ => Box::new(number),
    })
}

/// Describes a refusal by its code and constraint: the details have values of the row.
fn refused(error: Error) -> TransferError {
    let refusal = error.source().and_then(|source| source.downcast_ref());
    match refusal {
        Some(refusal) => {
            let refusal: &tokio_postgres::error::DbError = refusal;
            let constraint = refusal.constraint().map(|name| format!(", {name}"));
            let code = refusal.code().code();
            TransferError::Refused(format!("SQLSTATE {code}{}", constraint.unwrap_or_default()))
        }
        None => error.into(),
    }
}
