//! Changes of a post by its author in PostgreSQL.
//!
//! A precondition is checked without an open transaction: the post is read, and the statement of the
//! change compares the content with the one that was read. If another change came in between, both
//! steps are repeated. `xmin` cannot replace the comparison, because a dump and Citus do not keep it.

use tokio_postgres::Row;

use super::callers::caller_params;
use super::column::column;
use super::connection::Value;
use super::found_posts::find_post;
use super::locks::lock_posts;
use super::pool::Pool;
use super::row::{post, read_post};
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::text::Text;
use crate::store::{ChangePost, Result, StoreError};

/// How often a precondition is checked if each time another change comes in between.
const MAX_CHECKS: usize = 10;

/// The post `$1` of the author `$2`, if the account accepts the token.
macro_rules! is_own_post {
    () => {
        "id = $1 AND owner_id = $2
            AND EXISTS (SELECT FROM users
                         WHERE users.id = $2 AND tokens_valid_from BETWEEN $3 AND $4)"
    };
}

/// The content that the precondition was checked on.
macro_rules! is_unchanged {
    () => {
        " AND title = $8 AND content = $9 AND published = $10"
    };
}

macro_rules! replace_post {
    ($unchanged:expr) => {
        concat!(
            "UPDATE posts SET title = $5, content = $6, published = $7
              WHERE ",
            is_own_post!(),
            $unchanged,
            "
             RETURNING created_at"
        )
    };
}

macro_rules! update_post {
    ($unchanged:expr) => {
        concat!(
            "UPDATE posts
                SET title = coalesce($5, title), content = coalesce($6, content),
                    published = coalesce($7, published)
              WHERE ",
            is_own_post!(),
            $unchanged,
            "
             RETURNING id::bigint, title, content, published, created_at, owner_id::bigint,
                       (SELECT votes FROM vote_counts WHERE post_id = posts.id)"
        )
    };
}

// The deletion locks the post before its votes, and a batch of votes locks them the other way
// round.
macro_rules! delete_post {
    ($unchanged:expr) => {
        concat!(
            "WITH locked AS MATERIALIZED (",
            lock_posts!("SELECT $1"),
            ")
             DELETE FROM posts
              WHERE ",
            is_own_post!(),
            $unchanged,
            "
                AND (SELECT count(*) FROM locked) > 0
             RETURNING id::bigint"
        )
    };
}

statements! {
    REPLACE_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL) = replace_post!("");
    REPLACE_UNCHANGED_POST(
        INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL, TEXT, TEXT, BOOL
    ) = replace_post!(is_unchanged!());
    UPDATE_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL) = update_post!("");
    UPDATE_UNCHANGED_POST(
        INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL, TEXT, TEXT, BOOL
    ) = update_post!(is_unchanged!());
    DELETE_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ) = delete_post!("");
    DELETE_UNCHANGED_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL) =
        delete_post!(" AND title = $5 AND content = $6 AND published = $7");
}

/// A change of a post by its author, and what the post must be like before.
pub(super) struct PostChange {
    pub(super) caller: Caller,
    pub(super) id: PostId,
    pub(super) precondition: Option<Precondition>,
}

/// The statement of a change, and the one that also compares the content.
struct Statements {
    change: &'static Statement,
    change_unchanged: &'static Statement,
    /// Rows of an operator's tables can refer to a post that is deleted.
    is_deletion: bool,
}

impl PostChange {
    pub(super) async fn replace(
        &self,
        pool: &Pool,
        content: &PostContent,
    ) -> Result<ChangePost<Post>> {
        let (title, text) = (content.title.as_str(), content.content.as_str());
        let values: [Value<'_>; 3] = [&title, &text, &content.published];
        let statements = Statements {
            change: &REPLACE_POST,
            change_unchanged: &REPLACE_UNCHANGED_POST,
            is_deletion: false,
        };
        let replaced = self.run(pool, &statements, &values).await?;
        replaced.try_map(|row| Ok(post(self.id, content, column(&row, 0)?, self.caller.user_id)))
    }

    pub(super) async fn update(
        &self,
        pool: &Pool,
        update: &PostUpdate,
    ) -> Result<ChangePost<PostWithVotes>> {
        let title = update.title.as_ref().map(Text::as_str);
        let content = update.content.as_ref().map(Text::as_str);
        let values: [Value<'_>; 3] = [&title, &content, &update.published];
        let statements = Statements {
            change: &UPDATE_POST,
            change_unchanged: &UPDATE_UNCHANGED_POST,
            is_deletion: false,
        };
        self.run(pool, &statements, &values).await?.try_map(|row| read_post(&row))
    }

    pub(super) async fn delete(&self, pool: &Pool) -> Result<ChangePost<()>> {
        let statements = Statements {
            change: &DELETE_POST,
            change_unchanged: &DELETE_UNCHANGED_POST,
            is_deletion: true,
        };
        self.run(pool, &statements, &[]).await?.try_map(|_| Ok(()))
    }

    /// Runs the change with these values, and returns its row.
    async fn run(
        &self,
        pool: &Pool,
        statements: &Statements,
        new: &[Value<'_>],
    ) -> Result<ChangePost<Row>> {
        let Some(precondition) = &self.precondition else {
            let changed =
                self.run_statement(pool, statements.change, statements.is_deletion, &[new]).await?;
            return match changed {
                Some(row) => Ok(ChangePost::Changed(row)),
                None => explain_no_change(pool, self.caller, self.id).await,
            };
        };
        for _ in 0..MAX_CHECKS {
            let Some(found) = find_post(pool, self.caller, self.id).await? else {
                return Ok(ChangePost::NoSuchPost);
            };
            let current = found.post;
            if current.owner_id != self.caller.user_id {
                return Ok(ChangePost::NotOwner);
            }
            if !precondition.is_met_by(&current) {
                return Ok(ChangePost::PreconditionFailed);
            }
            let (title, content) = (current.title.as_str(), current.content.as_str());
            let old: [Value<'_>; 3] = [&title, &content, &current.published];
            let changed = self
                .run_statement(
                    pool,
                    statements.change_unchanged,
                    statements.is_deletion,
                    &[new, &old],
                )
                .await?;
            if let Some(row) = changed {
                return Ok(ChangePost::Changed(row));
            }
        }
        Err(StoreError::unavailable("the post was changed between each check and its change"))
    }

    async fn run_statement(
        &self,
        pool: &Pool,
        statement: &'static Statement,
        is_deletion: bool,
        values: &[&[Value<'_>]],
    ) -> Result<Option<Row>> {
        let (author, earliest, latest) = caller_params(self.caller);
        let own: [Value<'_>; 4] = [&self.id.0, &author, &earliest, &latest];
        let values = own.into_iter().chain(values.iter().copied().flatten().copied());
        let values: Vec<Value<'_>> = values.collect();
        let rows = if is_deletion {
            pool.delete(statement, &values).await?
        } else {
            pool.query(statement, &values).await?
        };
        Ok(rows.into_iter().next())
    }
}

/// Returns why a statement did not change the post.
pub(super) async fn explain_no_change<T>(
    pool: &Pool,
    caller: Caller,
    id: PostId,
) -> Result<ChangePost<T>> {
    match find_post(pool, caller, id).await? {
        Some(_) => Ok(ChangePost::NotOwner),
        None => Ok(ChangePost::NoSuchPost),
    }
}
