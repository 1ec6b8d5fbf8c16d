//! Exports the rows of a file, and imports rows into an empty one.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::super::row::{optional_text, text, timestamp};
use super::{SqliteAdmin, commit, counts, sign_out_all};
use crate::domain::user::{TokensValidFrom, UserId};
use crate::store::migrate::MigrateError;
use crate::store::stored_time::nearest_time;
use crate::store::transfer::{
    NextIds, OldTokens, PostRow, Row, RowSource, RowWriter, TransferAdmin, TransferError, UserRow,
    VoteRow,
};

/// `?1` is the account, or null for all.
const USERS: &str = "SELECT id, email, password, name, created_at, tokens_valid_from, disabled_at,
            email_verified_at
      FROM users
     WHERE id NOT IN (SELECT user_id FROM account_deletions) AND (?1 IS NULL OR id = ?1)
     ORDER BY id";
const POSTS: &str = "SELECT id, owner_id, title, content, published, created_at FROM posts
     WHERE owner_id NOT IN (SELECT user_id FROM account_deletions) AND (?1 IS NULL OR owner_id = ?1)
     ORDER BY id";
const VOTES: &str = "SELECT post_id, user_id, dir FROM votes
     WHERE user_id NOT IN (SELECT user_id FROM account_deletions)
       AND post_id NOT IN (SELECT id FROM posts
                            WHERE owner_id IN (SELECT user_id FROM account_deletions))
       AND (?1 IS NULL OR user_id = ?1)
     ORDER BY post_id, user_id";

/// An ID that was given once stays given, also if its row is deleted.
const NEXT: &str = "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
            coalesce((SELECT max(id) FROM users), 0)) + 1,
        max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'posts'), 0),
            coalesce((SELECT max(id) FROM posts), 0)) + 1";

impl From<rusqlite::Error> for TransferError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

#[async_trait]
impl TransferAdmin for SqliteAdmin {
    async fn export(
        &mut self,
        account: Option<UserId>,
        write: &mut RowWriter<'_>,
    ) -> Result<NextIds, TransferError> {
        let database = self.existing()?.ok_or_else(|| self.missing())?;
        // One read transaction, so that all rows are of one moment.
        database.execute_batch("BEGIN")?;
        let user = account.map(|account| account.0);
        read_users(&database, user, write)?;
        read_posts(&database, user, write)?;
        read_votes(&database, user, write)?;
        Ok(database
            .query_row(NEXT, [], |row| Ok(NextIds { users: row.get(0)?, posts: row.get(1)? }))?)
    }

    async fn import(
        &mut self,
        rows: &mut dyn RowSource,
        tokens: OldTokens,
        now: Timestamp,
    ) -> Result<(), TransferError> {
        let transaction = self.begin()?;
        let is_empty =
            "SELECT NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM posts)
                           AND NOT EXISTS (SELECT 1 FROM votes)";
        if !transaction.query_row(is_empty, [], |row| row.get(0))? {
            return Err(TransferError::NotEmpty);
        }
        while let Some(row) = rows.next_row()? {
            insert(&transaction, &row).map_err(refused)?;
        }
        let next = rows.finish()?;
        let wrong = counts::find_wrong(&transaction)?;
        if !wrong.is_empty() {
            return Err(TransferError::Inconsistent(wrong));
        }
        for (table, next) in [("users", next.users), ("posts", next.posts)] {
            transaction.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
            let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
            transaction.execute(sql, params![table, next - 1])?;
        }
        // Readers of the log begin again, instead of reading every imported row.
        transaction
            .execute_batch("UPDATE change_log SET epoch = random(); DELETE FROM post_changes")?;
        if tokens == OldTokens::Revoke {
            transaction.execute("UPDATE installation SET key = randomblob(32)", [])?;
            sign_out_all(&transaction, TokensValidFrom::revoked_at(now).0.as_microsecond())?;
        }
        Ok(commit(transaction)?)
    }
}

impl SqliteAdmin {
    fn missing(&self) -> MigrateError {
        MigrateError::UnusableFile {
            path: self.path.display().to_string(),
            problem: "does not exist".to_owned(),
            hint: "name the database in DATABASE_URL".to_owned(),
        }
    }
}

fn read_users(
    database: &Connection,
    user: Option<i64>,
    write: &mut RowWriter<'_>,
) -> Result<(), TransferError> {
    let mut select = database.prepare(USERS)?;
    let mut rows = select.query([user])?;
    while let Some(row) = rows.next()? {
        write(Row::User(UserRow {
            id: row.get(0)?,
            email: text(row, 1)?.into_owned(),
            password: text(row, 2)?.into_owned(),
            name: optional_text(row, 3)?.map(std::borrow::Cow::into_owned),
            created_at: timestamp(row, 4)?,
            tokens_valid_from: timestamp(row, 5)?,
            disabled_at: row.get::<_, Option<i64>>(6)?.map(nearest_time),
            email_verified_at: row.get::<_, Option<i64>>(7)?.map(nearest_time),
        }))?;
    }
    Ok(())
}

fn read_posts(
    database: &Connection,
    user: Option<i64>,
    write: &mut RowWriter<'_>,
) -> Result<(), TransferError> {
    let mut select = database.prepare(POSTS)?;
    let mut rows = select.query([user])?;
    while let Some(row) = rows.next()? {
        write(Row::Post(PostRow {
            id: row.get(0)?,
            owner_id: row.get(1)?,
            title: text(row, 2)?.into_owned(),
            content: text(row, 3)?.into_owned(),
            published: row.get(4)?,
            created_at: timestamp(row, 5)?,
        }))?;
    }
    Ok(())
}

fn read_votes(
    database: &Connection,
    user: Option<i64>,
    write: &mut RowWriter<'_>,
) -> Result<(), TransferError> {
    let mut select = database.prepare(VOTES)?;
    let mut rows = select.query([user])?;
    while let Some(row) = rows.next()? {
        write(Row::Vote(VoteRow { post_id: row.get(0)?, user_id: row.get(1)?, dir: row.get(2)? }))?;
    }
    Ok(())
}

fn insert(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<usize> {
    match row {
        Row::User(user) => transaction
            .prepare_cached(
                "INSERT INTO users
                     (id, email, password, name, created_at, tokens_valid_from, disabled_at,
                      email_verified_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                user.id,
                user.email,
                user.password,
                user.name,
                user.created_at.as_microsecond(),
                user.tokens_valid_from.as_microsecond(),
                user.disabled_at.map(Timestamp::as_microsecond),
                user.email_verified_at.map(Timestamp::as_microsecond)
            ]),
        Row::Post(post) => transaction
            .prepare_cached(
                "INSERT INTO posts (id, owner_id, title, content, published, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                post.id,
                post.owner_id,
                post.title,
                post.content,
                post.published,
                post.created_at.as_microsecond()
            ]),
        Row::Vote(vote) => transaction
            .prepare_cached("INSERT INTO votes (post_id, user_id, dir) VALUES (?1, ?2, ?3)")?
            .execute(params![vote.post_id, vote.user_id, vote.dir]),
    }
}

/// The message of a violated constraint names columns and no values.
fn refused(error: rusqlite::Error) -> TransferError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => TransferError::Refused(error.to_string()),
        _ => error.into(),
    }
}
