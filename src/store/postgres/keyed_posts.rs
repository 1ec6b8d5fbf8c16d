//! Posts that are created, replaced or deleted with an idempotency key, in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;

use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_foreign_key_violation;
use super::idempotency_keys::{
    KeyUse, KeyedWrites, Written, delete_expired_keys, expired_keys_deleted,
};
use super::locks::{lock_posts, wait_briefly};
use super::pool::{Pool, deletion_failed};
use super::post_changes::explain_no_change;
use super::sequence;
use super::statement::{Statement, statements};
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{Post, PostContent, PostId};
use crate::store::batch::LockKey;
use crate::store::idempotency_keys::{Effect, Outcome};
use crate::store::{ChangePost, Result, StoreError};

statements! {
    // IDs come from the sequence in the order of the rows, and the numbers of both connect a post
    // with its key. Two processes keep the same keys in the same order.
    CREATE_POSTS_ONCE(
        TEXT_ARRAY, TEXT_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, INT8_ARRAY, TIMESTAMPTZ_ARRAY,
        TIMESTAMPTZ_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ, INT8
    ) = concat!(
        "WITH accepted AS MATERIALIZED (
             SELECT written.*, row_number() OVER (ORDER BY place) AS number
               FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY
                 AS written (title, content, published, created_at, owner_id, least, most, key,
                             fingerprint, expires_at, place)
              WHERE (SELECT ", wait_briefly!(), ") IS NOT NULL
                AND EXISTS (SELECT FROM users WHERE users.id = written.owner_id
                               AND users.tokens_valid_from BETWEEN written.least AND written.most)
         ), inserted AS (
             INSERT INTO posts (title, content, published, created_at, owner_id)
             SELECT title, content, published, created_at, owner_id
               FROM accepted
              ORDER BY number
             RETURNING id::bigint AS id
         ), numbered AS (
             SELECT id, row_number() OVER (ORDER BY id) AS number FROM inserted
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at)
             SELECT owner_id, key, fingerprint, 1, id, created_at, expires_at
               FROM accepted JOIN numbered USING (number)
              ORDER BY owner_id, key
         ), ", delete_expired_keys!("$11", "$12"), "
         SELECT place, id FROM accepted JOIN numbered USING (number)"
    );
    REPLACE_POST_ONCE(
        INT8, INT8, TEXT, TEXT, BOOL, TIMESTAMPTZ, TIMESTAMPTZ, BYTEA, BYTEA, TIMESTAMPTZ,
        TIMESTAMPTZ, INT8
    ) = concat!(
        "WITH changed AS (
             UPDATE posts SET title = $3, content = $4, published = $5
              WHERE id = $1 AND owner_id = $2
                AND EXISTS (SELECT FROM users
                             WHERE users.id = $2 AND users.tokens_valid_from BETWEEN $6 AND $7)
             RETURNING created_at
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at)
             SELECT $2, $8, $9, 2, $1, created_at, $10 FROM changed
         ), ", delete_expired_keys!("$11", "$12"), "
         SELECT created_at FROM changed"
    );
    // As in DELETE_POST, the deletion locks the post before its votes.
    DELETE_POST_ONCE(
        INT8, INT8, TIMESTAMPTZ, TIMESTAMPTZ, BYTEA, BYTEA, TIMESTAMPTZ, TIMESTAMPTZ, INT8
    ) = concat!(
        "WITH locked AS MATERIALIZED (", lock_posts!("SELECT $1"), "
         ), removed AS (
             DELETE FROM posts
              WHERE (SELECT count(*) FROM locked) > 0 AND id = $1 AND owner_id = $2
                AND EXISTS (SELECT FROM users
                             WHERE users.id = $2 AND users.tokens_valid_from BETWEEN $3 AND $4)
             RETURNING id
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at)
             SELECT $2, $5, $6, 3, $1, $8, $7 FROM removed
         ), ", delete_expired_keys!("$8", "$9"), "
         SELECT id::bigint FROM removed"
    );
}

pub(super) struct CreatePostsOnce;

pub(super) struct NewPostOnce {
    pub(super) key: KeyUse,
    pub(super) content: PostContent,
}

#[async_trait]
impl KeyedWrites for CreatePostsOnce {
    type Request = NewPostOnce;
    type Outcome = Post;

    fn key(new: &NewPostOnce) -> &KeyUse {
        &new.key
    }

    fn replay(new: &NewPostOnce, effect: &Effect) -> Result<Post> {
        effect.post(&new.content, new.key.caller.user_id)
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&NewPostOnce],
    ) -> std::result::Result<Vec<Result<Written<Post>>>, QueryError> {
        let titles: Vec<_> = requests.iter().map(|new| new.content.title.as_str()).collect();
        let contents: Vec<_> = requests.iter().map(|new| new.content.content.as_str()).collect();
        let published: Vec<_> = requests.iter().map(|new| new.content.published).collect();
        let times: Vec<Timestamp> = requests.iter().map(|new| new.key.now).collect();
        let authors: Vec<_> = requests.iter().map(|new| new.key.caller.user_id.0).collect();
        let range = |new: &&NewPostOnce| new.key.caller.valid_from_range;
        let earliest: Vec<_> = requests.iter().map(|new| range(new).earliest()).collect();
        let latest: Vec<_> = requests.iter().map(|new| range(new).latest()).collect();
        let digests: Vec<&[u8]> = requests.iter().map(|new| &new.key.key.digest[..]).collect();
        let fingerprints: Vec<&[u8]> =
            requests.iter().map(|new| &new.key.key.fingerprint.0[..]).collect();
        let expiries: Vec<_> = times.iter().map(|now| IdempotencyKey::expires_at(*now)).collect();
        let now = times.iter().min().copied().unwrap_or(Timestamp::MIN);
        let limit = expired_keys_deleted(requests.len());
        let values: [Value<'_>; 12] = [
            &titles,
            &contents,
            &published,
            &times,
            &authors,
            &earliest,
            &latest,
            &digests,
            &fingerprints,
            &expiries,
            &now,
            &limit,
        ];
        let rows = pool.query(&CREATE_POSTS_ONCE, &values).await?;
        let mut ids = vec![None; requests.len()];
        for row in &rows {
            let place: i64 = column(row, 0).map_err(QueryError::Row)?;
            let id = column(row, 1).map_err(QueryError::Row)?;
            let index = usize::try_from(place - 1).ok();
            if let Some(slot) = index.and_then(|index| ids.get_mut(index)) {
                *slot = Some(PostId(id));
            }
        }
        let created = requests.iter().zip(ids).map(|(new, id)| {
            // A post without an ID was not inserted.
            let post_id = Some(id.ok_or(StoreError::CallerRejected)?);
            let effect = Effect { outcome: Outcome::Created, post_id, at: new.key.now };
            Self::replay(new, &effect).map(Written::Kept)
        });
        Ok(created.collect())
    }

    async fn explain_duplicate(&self, pool: &Pool, error: tokio_postgres::Error) -> StoreError {
        sequence::explain_duplicate(pool, "posts", error).await
    }

    fn lock_keys(new: &NewPostOnce) -> Vec<LockKey> {
        vec![LockKey::User(new.key.caller.user_id)]
    }
}

pub(super) struct ReplacePostOnce;

pub(super) struct PostReplacement {
    pub(super) key: KeyUse,
    pub(super) id: PostId,
    pub(super) content: PostContent,
}

#[async_trait]
impl KeyedWrites for ReplacePostOnce {
    type Request = PostReplacement;
    type Outcome = ChangePost<Post>;

    fn key(change: &PostReplacement) -> &KeyUse {
        &change.key
    }

    fn replay(change: &PostReplacement, effect: &Effect) -> Result<ChangePost<Post>> {
        effect.post(&change.content, change.key.caller.user_id).map(ChangePost::Changed)
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&PostReplacement],
    ) -> std::result::Result<Vec<Result<Written<ChangePost<Post>>>>, QueryError> {
        let mut outcomes = Vec::new();
        for change in requests {
            let KeyUse { caller, key, now } = change.key;
            let (title, text) = (change.content.title.as_str(), change.content.content.as_str());
            let range = caller.valid_from_range;
            let values: [Value<'_>; 12] = [
                &change.id.0,
                &caller.user_id.0,
                &title,
                &text,
                &change.content.published,
                &range.earliest(),
                &range.latest(),
                &key.digest.as_slice(),
                &key.fingerprint.0.as_slice(),
                &IdempotencyKey::expires_at(now),
                &now,
                &expired_keys_deleted(1),
            ];
            let rows = pool.query(&REPLACE_POST_ONCE, &values).await?;
            outcomes.push(match rows.first() {
                Some(row) => column(row, 0).and_then(|at| {
                    let post_id = Some(change.id);
                    let effect = Effect { outcome: Outcome::Changed, post_id, at };
                    Self::replay(change, &effect).map(Written::Kept)
                }),
                None => explain_no_change(pool, caller, change.id).await.map(Written::Refused),
            });
        }
        Ok(outcomes)
    }
}

pub(super) struct DeletePostOnce;

pub(super) struct PostDeletion {
    pub(super) key: KeyUse,
    pub(super) id: PostId,
}

#[async_trait]
impl KeyedWrites for DeletePostOnce {
    type Request = PostDeletion;
    type Outcome = ChangePost<()>;

    fn key(deletion: &PostDeletion) -> &KeyUse {
        &deletion.key
    }

    fn replay(_: &PostDeletion, _: &Effect) -> Result<ChangePost<()>> {
        Ok(ChangePost::Changed(()))
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&PostDeletion],
    ) -> std::result::Result<Vec<Result<Written<ChangePost<()>>>>, QueryError> {
        let mut outcomes = Vec::new();
        for deletion in requests {
            let KeyUse { caller, key, now } = deletion.key;
            let range = caller.valid_from_range;
            let values: [Value<'_>; 9] = [
                &deletion.id.0,
                &caller.user_id.0,
                &range.earliest(),
                &range.latest(),
                &key.digest.as_slice(),
                &key.fingerprint.0.as_slice(),
                &IdempotencyKey::expires_at(now),
                &now,
                &expired_keys_deleted(1),
            ];
            outcomes.push(match pool.try_delete(&DELETE_POST_ONCE, &values).await {
                Ok(rows) if rows.is_empty() => {
                    explain_no_change(pool, caller, deletion.id).await.map(Written::Refused)
                }
                Ok(_) => Ok(Written::Kept(ChangePost::Changed(()))),
                Err(error) if is_foreign_key_violation(error.code()) => Err(deletion_failed(error)),
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }
}
