//! Changes of a post by its author in PostgreSQL, with or without an idempotency key.
//!
//! A precondition is checked without an open transaction: the post is read, and the statement of the
//! change compares the content with the one that was read. If another change came in between, both
//! steps are repeated. `xmin` cannot replace the comparison, because a dump and Citus do not keep it.
//!
//! Not here: how a change with a key happens once, see `idempotency_keys.rs`.

use std::time::Duration;

use tokio_postgres::Row;

use super::callers::caller_params;
use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_foreign_key_violation;
use super::expired_keys::{delete_expired_keys, expired_keys_deleted};
use super::found_posts::find_post;
use super::idempotency_keys::KeyUse;
use super::locks::lock_posts;
use super::pool::{Pool, deletion_failed};
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{Post, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::text::Text;
use crate::store::idempotency_keys::{Effect, KEPT_TEXT_BYTES, KeptParts, Outcome};
use crate::store::{ChangePost, Result, StoreError};

/// How often a precondition is checked if each time another change comes in between. With each check,
/// one of the clients that change the post at the same time succeeds.
const MAX_CHECKS: u32 = 100;

/// How much longer a client waits at most before each further check.
const CHECK_DELAY: Duration = Duration::from_millis(1);

/// The post `$1` of the author `$2`, if the account accepts the token, and if the post has the
/// content that the precondition was checked on. Without a precondition that content is null.
macro_rules! is_own_post {
    ($title:literal, $content:literal, $published:literal) => {
        concat!(
            "id = $1 AND owner_id = $2
                AND EXISTS (SELECT FROM users
                             WHERE users.id = $2 AND tokens_valid_from BETWEEN $3 AND $4
                               AND disabled_at IS NULL)
                AND (",
            $title,
            " IS NULL OR (title = ",
            $title,
            " AND content = ",
            $content,
            " AND published = ",
            $published,
            "))"
        )
    };
}

/// Returns the parts that the update does not have. The client knows the others.
macro_rules! update_post {
    () => {
        concat!(
            "UPDATE posts
                SET title = coalesce($5, title), content = coalesce($6, content),
                    published = coalesce($7, published)
              WHERE ",
            is_own_post!("$8", "$9", "$10"),
            "
             RETURNING created_at, CASE WHEN $5 IS NULL THEN title END AS title,
                       CASE WHEN $6 IS NULL THEN content END AS content,
                       CASE WHEN $7 IS NULL THEN published END AS published,
                       coalesce((SELECT votes FROM vote_counts WHERE post_id = $1), 0)
                         AS votes"
        )
    };
}

// The deletion locks the post before its votes, and a batch of votes locks them the other way
// round.
macro_rules! lock_post {
    () => {
        concat!("locked AS MATERIALIZED (", lock_posts!("SELECT $1"), ")")
    };
}

macro_rules! delete_post {
    () => {
        concat!(
            "DELETE FROM posts
              WHERE ",
            is_own_post!("$5", "$6", "$7"),
            "
                AND (SELECT count(*) FROM locked) > 0
             RETURNING id::bigint"
        )
    };
}

statements! {
    UPDATE_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL, TEXT, TEXT, BOOL) =
        update_post!();
    // The reply is that of `KeptParts::to_json`, without texts that are too long. In a database with
    // the encoding SQL_ASCII it cannot be converted, and need not be.
    UPDATE_POST_ONCE(
        INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL, TEXT, TEXT, BOOL, BYTEA, BYTEA,
        TIMESTAMPTZ, TIMESTAMPTZ, INT8, INT8
    ) = concat!(
        "WITH changed AS (", update_post!(), "
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at, reply)
             SELECT $2, $11, $12, 2, $1, created_at, $13,
                    convert_to(json_build_array(CASE WHEN is_short THEN title END,
                                                CASE WHEN is_short THEN content END,
                                                published, votes)::text,
                               CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII'
                                                          ELSE 'UTF8' END)
               FROM (SELECT changed.*,
                            coalesce(octet_length(title), 0) + coalesce(octet_length(content), 0)
                              <= $16 AS is_short
                       FROM changed) AS changed
         ), ", delete_expired_keys!("$14", "$15"), "
         SELECT created_at, title, content, published, votes FROM changed"
    );
    DELETE_POST(INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL) =
        concat!("WITH ", lock_post!(), " ", delete_post!());
    DELETE_POST_ONCE(
        INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, TEXT, TEXT, BOOL, BYTEA, BYTEA, TIMESTAMPTZ,
        TIMESTAMPTZ, INT8
    ) = concat!(
        "WITH ", lock_post!(), ", changed AS (", delete_post!(), "
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at)
             SELECT $2, $8, $9, 3, $1, $11, $10 FROM changed
         ), ", delete_expired_keys!("$11", "$12"), "
         SELECT id FROM changed"
    );
}

/// A change of a post by its author, and what the post must be like before.
pub(super) struct PostChange {
    pub(super) caller: Caller,
    pub(super) id: PostId,
    pub(super) precondition: Option<Precondition>,
}

/// The statement of a change, and its values besides those of the post.
struct Write<'a> {
    statement: &'static Statement,
    new: &'a [Value<'a>],
    key: Option<&'a KeyUse>,
    /// Rows of an operator's tables can refer to a post that is deleted.
    is_deletion: bool,
}

impl PostChange {
    /// Updates the post, and keeps the key if there is one.
    pub(super) async fn update(
        &self,
        pool: &Pool,
        update: &PostUpdate,
        key: Option<&KeyUse>,
    ) -> std::result::Result<ChangePost<PostWithVotes>, QueryError> {
        let title = update.title.as_ref().map(Text::as_str);
        let content = update.content.as_ref().map(Text::as_str);
        let new: [Value<'_>; 3] = [&title, &content, &update.published];
        let statement = if key.is_some() { &UPDATE_POST_ONCE } else { &UPDATE_POST };
        let write = Write { statement, new: &new, key, is_deletion: false };
        let updated = self.run(pool, &write).await?;
        let read = |row| self.read_updated(update, &row);
        updated.try_map(read).map_err(QueryError::Row)
    }

    /// Deletes the post, and keeps the key if there is one.
    pub(super) async fn delete(
        &self,
        pool: &Pool,
        key: Option<&KeyUse>,
    ) -> std::result::Result<ChangePost<()>, QueryError> {
        let statement = if key.is_some() { &DELETE_POST_ONCE } else { &DELETE_POST };
        let write = Write { statement, new: &[], key, is_deletion: true };
        let deleted = self.run(pool, &write).await?;
        deleted.try_map(|_| Ok(())).map_err(QueryError::Row)
    }

    /// Returns the row of the change.
    async fn run(
        &self,
        pool: &Pool,
        write: &Write<'_>,
    ) -> std::result::Result<ChangePost<Row>, QueryError> {
        let Some(precondition) = &self.precondition else {
            return match self.run_statement(pool, write, None).await? {
                Some(row) => Ok(ChangePost::Changed(row)),
                None => self.explain_no_change(pool).await.map_err(QueryError::Row),
            };
        };
        for check in 0..MAX_CHECKS {
            wait_at_random(CHECK_DELAY * check).await;
            let found = find_post(pool, self.caller, self.id).await.map_err(QueryError::Row)?;
            let Some(PostWithVotes { post: current, .. }) = found else {
                return Ok(ChangePost::NoSuchPost);
            };
            if current.owner_id != self.caller.user_id {
                return Ok(ChangePost::NotOwner);
            }
            if !precondition.is_met_by(&current) {
                return Ok(ChangePost::PreconditionFailed);
            }
            if let Some(row) = self.run_statement(pool, write, Some(&current)).await? {
                return Ok(ChangePost::Changed(row));
            }
        }
        Err(QueryError::Row(StoreError::Overloaded))
    }

    /// Runs the statement, if the post still is as it was when it was checked.
    async fn run_statement(
        &self,
        pool: &Pool,
        write: &Write<'_>,
        checked: Option<&Post>,
    ) -> std::result::Result<Option<Row>, QueryError> {
        let (author, earliest, latest) = caller_params(self.caller);
        let title = checked.map(|post| post.title.as_str());
        let content = checked.map(|post| post.content.as_str());
        let published = checked.map(|post| post.published);
        let mut values: Vec<Value<'_>> = vec![&self.id.0, &author, &earliest, &latest];
        values.extend(write.new);
        let checked: [Value<'_>; 3] = [&title, &content, &published];
        values.extend(checked);
        let key = write.key.map(|KeyUse { key, now, .. }| {
            let (digest, fingerprint) = (key.digest.as_slice(), key.fingerprint.0.as_slice());
            (
                digest,
                fingerprint,
                IdempotencyKey::expires_at(*now),
                *now,
                expired_keys_deleted(pool, 1),
            )
        });
        let kept_bytes = i64::try_from(KEPT_TEXT_BYTES).unwrap_or(i64::MAX);
        if let Some((digest, fingerprint, expires_at, now, limit)) = &key {
            let of_key: [Value<'_>; 5] = [digest, fingerprint, expires_at, now, limit];
            values.extend(of_key);
            if !write.is_deletion {
                values.push(&kept_bytes);
            }
        }
        let rows = if write.is_deletion {
            pool.try_delete(write.statement, &values).await.map_err(|error| {
                if is_foreign_key_violation(error.code()) {
                    QueryError::Row(deletion_failed(error))
                } else {
                    error
                }
            })?
        } else {
            pool.query(write.statement, &values).await?
        };
        Ok(rows.into_iter().next())
    }

    /// Returns the post after an update.
    fn read_updated(&self, update: &PostUpdate, row: &Row) -> Result<PostWithVotes> {
        let text = |index| -> Result<_> {
            Ok(column::<Option<String>>(row, index)?.map(Text::from_stored))
        };
        let parts = PostUpdate { title: text(1)?, content: text(2)?, published: column(row, 3)? };
        let kept = Some(KeptParts { parts, votes: column(row, 4)? });
        let (post_id, at) = (Some(self.id), column(row, 0)?);
        let effect = Effect { outcome: Outcome::Changed, post_id, at, kept };
        effect.updated_post(update, self.caller.user_id, None)
    }

    /// Returns why a statement did not change the post.
    async fn explain_no_change<T>(&self, pool: &Pool) -> Result<ChangePost<T>> {
        match find_post(pool, self.caller, self.id).await? {
            Some(_) => Ok(ChangePost::NotOwner),
            None => Ok(ChangePost::NoSuchPost),
        }
    }
}

/// Waits for a random part of the time, so that clients that met once do not meet again.
async fn wait_at_random(longest: Duration) {
    if longest.is_zero() {
        return;
    }
    let part = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    tokio::time::sleep(longest.mul_f64(part)).await;
}

impl<T> ChangePost<T> {
    /// Converts what was changed.
    fn try_map<U>(self, convert: impl FnOnce(T) -> Result<U>) -> Result<ChangePost<U>> {
        Ok(match self {
            Self::Changed(changed) => ChangePost::Changed(convert(changed)?),
            Self::NotOwner => ChangePost::NotOwner,
            Self::PreconditionFailed => ChangePost::PreconditionFailed,
            Self::NoSuchPost => ChangePost::NoSuchPost,
        })
    }
}
