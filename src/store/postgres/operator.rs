//! Accounts and posts in PostgreSQL as an operator manages them. The serving role has all rights that
//! the statements need.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::address::Address;
use super::budget::{PoolLimits, Work};
use super::column::column;
use super::connection::{QueryError, Value};
use super::deletions::PostgresSlices;
use super::distributed::select_distributed_page;
use super::events::record;
use super::locks::lock_posts;
use super::pool::Pool;
use super::row::{is_open, read_post, select_page};
use super::statement::{Statement, statements};
use super::users::{add_user, close_account_if, read_user};
use crate::domain::email::TypedEmail;
use crate::domain::event::Event;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::{Account, NewUser, PasswordHash, TokensValidFrom, UserId};
use crate::store::deletions::{MIN_PAUSE, Slice, SliceStore as _, Step, step_after};
use crate::store::migrate::MigrateResult;
use crate::store::operator::ROWS_PER_PAGE;
use crate::store::{CreateUser, OperatorStore, Result, StoreError};

/// An account that is not closed. Its row says so itself, so that the condition also holds for a
/// row that another statement closed meanwhile.
macro_rules! is_not_closed {
    () => {
        "id = $1 AND tokens_valid_from <> '9999-01-01 00:00+00'"
    };
}

/// The next posts of the owner `$3`, either published ones or drafts.
macro_rules! owned {
    ($published:literal) => {
        concat!(
            "(SELECT * FROM posts
               WHERE owner_id = $3 AND published = ",
            $published,
            " AND id < $2 AND ",
            is_open!("owner_id"),
            " ORDER BY id DESC LIMIT $1)"
        )
    };
}

macro_rules! any_posts {
    ($select:ident) => {
        $select!(
            concat!(
                "SELECT * FROM posts WHERE id < $2 AND ",
                is_open!("owner_id"),
                " ORDER BY id DESC LIMIT $1"
            ),
            "id DESC"
        )
    };
}

macro_rules! any_posts_of_owner {
    ($select:ident) => {
        $select!(
            concat!(
                "SELECT * FROM (",
                owned!("TRUE"),
                " UNION ALL ",
                owned!("FALSE"),
                ") AS owned ORDER BY id DESC LIMIT $1"
            ),
            "id DESC"
        )
    };
}

statements! {
    LIST_ACCOUNTS(INT8, INT8) = concat!(
        "SELECT id::bigint, email, created_at, name, disabled_at, is_admin FROM users
          WHERE id > $1 AND ", is_open!("id"), "
          ORDER BY id LIMIT $2"
    );
    FIND_ACCOUNT(TEXT, TEXT) = concat!(
        "SELECT id::bigint, email, created_at, name, disabled_at, is_admin FROM users
          WHERE id = (SELECT id FROM users WHERE email IN ($1, $2)
                       ORDER BY (email = $1) DESC LIMIT 1)
            AND ", is_open!("id")
    );
    // tokens_valid_from increases even if the clock went back.
    SET_PASSWORD(INT8, TEXT, TIMESTAMPTZ) = concat!(
        "UPDATE users
            SET password = $2,
                tokens_valid_from = greatest($3, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE ", is_not_closed!(), "
         RETURNING id::bigint"
    );
    SIGN_OUT_ACCOUNT(INT8, TIMESTAMPTZ) = concat!(
        "UPDATE users
            SET tokens_valid_from = greatest($2, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE ", is_not_closed!(), "
         RETURNING id::bigint"
    );
    DISABLE_ACCOUNT(INT8, TIMESTAMPTZ, TIMESTAMPTZ) = concat!(
        "UPDATE users
            SET disabled_at = coalesce(disabled_at, $2),
                tokens_valid_from = greatest($3, (tokens_valid_from AT TIME ZONE 'UTC'
                    + interval '1 microsecond') AT TIME ZONE 'UTC')
          WHERE ", is_not_closed!(), "
         RETURNING id::bigint"
    );
    ENABLE_ACCOUNT(INT8) = concat!(
        "UPDATE users SET disabled_at = NULL WHERE ", is_not_closed!(), " RETURNING id::bigint"
    );
    SET_ADMIN(INT8, BOOL) = concat!(
        "UPDATE users SET is_admin = $2 WHERE ", is_not_closed!(), " RETURNING id::bigint"
    );
    CLOSE_ANY_ACCOUNT(INT8) = close_account_if!(is_not_closed!());
    LIST_ANY_POSTS(INT8, INT8) =
        any_posts!(select_page), any_posts!(select_distributed_page);
    LIST_ANY_POSTS_OF_OWNER(INT8, INT8, INT8) =
        any_posts_of_owner!(select_page), any_posts_of_owner!(select_distributed_page);
    // The deletion locks the post before its votes, and a batch of votes locks them the other way
    // round.
    DELETE_ANY_POST(INT8) = concat!(
        "WITH locked AS MATERIALIZED (", lock_posts!("SELECT $1"), ")
         DELETE FROM posts WHERE (SELECT count(*) FROM locked) > 0 AND id = $1
         RETURNING owner_id::bigint"
    );
}

/// The connection of a command. It is opened for the first statement.
pub struct PostgresOperator {
    pool: Pool,
    slices: PostgresSlices,
}

impl PostgresOperator {
    /// # Errors
    /// If the trusted certificates cannot be read.
    pub fn open(address: &Address) -> Result<Self> {
        let pool = Pool::new(address, PoolLimits::for_connections(0))?.for_work(Work::Long);
        Ok(Self { slices: PostgresSlices(pool.clone()), pool })
    }

    /// Returns whether the statement returned a row.
    async fn changes(&self, statement: &Statement, values: &[Value<'_>]) -> MigrateResult<bool> {
        let rows = self.pool.query(statement, values).await.map_err(StoreError::from)?;
        Ok(!rows.is_empty())
    }
}

#[async_trait]
impl OperatorStore for PostgresOperator {
    async fn list_accounts(&mut self, after: UserId) -> MigrateResult<Vec<Account>> {
        let values: [Value<'_>; 2] = [&after.0, &i64::from(ROWS_PER_PAGE)];
        let rows = self.pool.query(&LIST_ACCOUNTS, &values).await.map_err(StoreError::from)?;
        Ok(rows.iter().map(read_account).collect::<Result<_>>()?)
    }

    async fn find_account(&mut self, email: &TypedEmail) -> MigrateResult<Option<Account>> {
        let [typed, normal] = email.forms();
        let rows = match self.pool.query(&FIND_ACCOUNT, &[&typed, &normal]).await {
            // The encoding of the database lacks a character, so no account has the e-mail.
            Err(QueryError::Unrepresentable(_)) => return Ok(None),
            found => found.map_err(StoreError::from)?,
        };
        Ok(rows.first().map(read_account).transpose()?)
    }

    async fn add_account(&mut self, user: NewUser) -> MigrateResult<CreateUser> {
        Ok(add_user(&self.pool, &user).await?)
    }

    async fn set_password(
        &mut self,
        id: UserId,
        password_hash: PasswordHash,
        now: Timestamp,
    ) -> MigrateResult<bool> {
        let now = TokensValidFrom::revoked_at(now).0;
        self.changes(&SET_PASSWORD, &[&id.0, &password_hash.as_str(), &now]).await
    }

    async fn sign_out_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool> {
        self.changes(&SIGN_OUT_ACCOUNT, &[&id.0, &TokensValidFrom::revoked_at(now).0]).await
    }

    async fn disable_account(&mut self, id: UserId, now: Timestamp) -> MigrateResult<bool> {
        let revoked_at = TokensValidFrom::revoked_at(now).0;
        self.changes(&DISABLE_ACCOUNT, &[&id.0, &now, &revoked_at]).await
    }

    async fn enable_account(&mut self, id: UserId) -> MigrateResult<bool> {
        self.changes(&ENABLE_ACCOUNT, &[&id.0]).await
    }

    async fn set_admin(&mut self, id: UserId, is_admin: bool) -> MigrateResult<bool> {
        self.changes(&SET_ADMIN, &[&id.0, &is_admin]).await
    }

    async fn close_account(&mut self, id: UserId) -> MigrateResult<bool> {
        self.changes(&CLOSE_ANY_ACCOUNT, &[&id.0]).await
    }

    async fn delete_rows(&mut self, closed: UserId) -> MigrateResult<()> {
        let mut next = Some(Step::VotesCast);
        while let Some(step) = next {
            let slice = self.slices.delete_slice(closed, step).await?;
            if slice == Slice::Busy {
                // The service has found the account and deletes a slice itself.
                tokio::time::sleep(MIN_PAUSE).await;
            }
            next = step_after(step, slice);
        }
        Ok(())
    }

    async fn record_event(&mut self, id: UserId, event: Event) -> MigrateResult<()> {
        Ok(record(&self.pool, id, event).await?)
    }

    async fn list_posts(
        &mut self,
        owner: Option<UserId>,
        before: PostId,
    ) -> MigrateResult<Vec<PostWithVotes>> {
        let limit = i64::from(ROWS_PER_PAGE);
        let rows = match owner {
            None => self.pool.query(&LIST_ANY_POSTS, &[&limit, &before.0]).await,
            Some(owner) => {
                let values: [Value<'_>; 3] = [&limit, &before.0, &owner.0];
                self.pool.query(&LIST_ANY_POSTS_OF_OWNER, &values).await
            }
        };
        let rows = rows.map_err(StoreError::from)?;
        Ok(rows.iter().map(read_post).collect::<Result<_>>()?)
    }

    async fn delete_post(&mut self, id: PostId) -> MigrateResult<Option<UserId>> {
        let rows = self.pool.delete(&DELETE_ANY_POST, &[&id.0]).await?;
        Ok(rows.first().map(|row| column(row, 0).map(UserId)).transpose()?)
    }
}

/// Reads a row of ID, e-mail, `created_at`, name, `disabled_at` and `is_admin`.
pub(super) fn read_account(row: &Row) -> Result<Account> {
    Ok(Account { user: read_user(row)?, disabled_at: column(row, 4)?, is_admin: column(row, 5)? })
}
