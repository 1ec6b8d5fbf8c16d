//! Posts that are created, changed or deleted with an idempotency key, in PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;

use super::callers::valid_from_params;
use super::column::{StoredTime, column};
use super::connection::{QueryError, Value};
use super::expired_keys::{delete_expired_keys, expired_keys_deleted};
use super::found_posts::find_post;
use super::idempotency_keys::{KeyUse, KeyedWrites, Written};
use super::locks::wait_briefly;
use super::pool::Pool;
use super::post_changes::PostChange;
use super::sequence;
use super::statement::{Statement, statements};
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes};
use crate::store::batch::LockKey;
use crate::store::idempotency_keys::{Effect, Outcome};
use crate::store::{ChangePost, Result, StoreError};

statements! {
    // IDs come from the sequence in the order of the rows, and the numbers of both connect a post
    // with its key. Two processes keep the same keys in the same order. The author and a
    // kept key are found by subqueries of each row: a join could read all of them.
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
                AND (SELECT users.id FROM users
                      WHERE users.id = written.owner_id
                        AND users.tokens_valid_from BETWEEN written.least AND written.most
                        AND users.disabled_at IS NULL) IS NOT NULL
                AND (SELECT kept.user_id FROM idempotency_keys AS kept
                      WHERE kept.user_id = written.owner_id AND kept.key = written.key) IS NULL
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

    const LEAVES_OUT_KEPT: bool = true;

    fn key(new: &NewPostOnce) -> &KeyUse {
        &new.key
    }

    async fn replay(&self, _: &Pool, new: &NewPostOnce, effect: &Effect) -> Result<Post> {
        effect.created_post(&new.content, new.key.caller.user_id)
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&NewPostOnce],
    ) -> std::result::Result<Vec<Result<Written<Post>>>, QueryError> {
        let titles: Vec<_> = requests.iter().map(|new| new.content.title.as_str()).collect();
        let contents: Vec<_> = requests.iter().map(|new| new.content.content.as_str()).collect();
        let published: Vec<_> = requests.iter().map(|new| new.content.published).collect();
        let nows = || requests.iter().map(|new| new.key.now);
        let times: Vec<_> = nows().map(StoredTime).collect();
        let authors: Vec<_> = requests.iter().map(|new| new.key.caller.user_id.0).collect();
        let (earliest, latest) = valid_from_params(requests.iter().map(|new| new.key.caller));
        let digests: Vec<&[u8]> = requests.iter().map(|new| &new.key.key.digest[..]).collect();
        let fingerprints: Vec<&[u8]> =
            requests.iter().map(|new| &new.key.key.fingerprint.0[..]).collect();
        let expiries: Vec<_> = nows().map(IdempotencyKey::expires_at).map(StoredTime).collect();
        let now = nows().min().unwrap_or(Timestamp::MIN);
        let limit = expired_keys_deleted(pool, requests.len());
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
            if id.is_none() {
                return Ok(Written::LeftOut);
            }
            let (outcome, at) = (Outcome::Created, new.key.now);
            let effect = Effect { outcome, post_id: id, at, kept: None };
            effect.created_post(&new.content, new.key.caller.user_id).map(Written::Kept)
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

pub(super) struct UpdatePostOnce;

pub(super) struct KeyedUpdate {
    pub(super) key: KeyUse,
    pub(super) change: PostChange,
    pub(super) update: PostUpdate,
}

#[async_trait]
impl KeyedWrites for UpdatePostOnce {
    type Request = KeyedUpdate;
    type Outcome = ChangePost<PostWithVotes>;

    fn key(request: &KeyedUpdate) -> &KeyUse {
        &request.key
    }

    /// A post whose texts were too long to be kept may have gone since.
    async fn replay(
        &self,
        pool: &Pool,
        request: &KeyedUpdate,
        effect: &Effect,
    ) -> Result<ChangePost<PostWithVotes>> {
        let KeyedUpdate { key: KeyUse { caller, .. }, change, update } = request;
        let current = if effect.lacks_text(update) {
            match find_post(pool, *caller, change.id).await? {
                Some(found) => Some(found.post),
                None => return Ok(ChangePost::NoSuchPost),
            }
        } else {
            None
        };
        effect.updated_post(update, caller.user_id, current.as_ref()).map(ChangePost::Changed)
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&KeyedUpdate],
    ) -> std::result::Result<Vec<Result<Written<ChangePost<PostWithVotes>>>>, QueryError> {
        let mut outcomes = Vec::new();
        for KeyedUpdate { key, change, update } in requests {
            outcomes.push(Ok(change.update(pool, update, Some(key)).await?.into()));
        }
        Ok(outcomes)
    }
}

pub(super) struct DeletePostOnce;

pub(super) struct KeyedDeletion {
    pub(super) key: KeyUse,
    pub(super) change: PostChange,
}

#[async_trait]
impl KeyedWrites for DeletePostOnce {
    type Request = KeyedDeletion;
    type Outcome = ChangePost<()>;

    fn key(request: &KeyedDeletion) -> &KeyUse {
        &request.key
    }

    async fn replay(&self, _: &Pool, _: &KeyedDeletion, _: &Effect) -> Result<ChangePost<()>> {
        Ok(ChangePost::Changed(()))
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&KeyedDeletion],
    ) -> std::result::Result<Vec<Result<Written<ChangePost<()>>>>, QueryError> {
        let mut outcomes = Vec::new();
        for KeyedDeletion { key, change } in requests {
            outcomes.push(Ok(change.delete(pool, Some(key)).await?.into()));
        }
        Ok(outcomes)
    }
}

impl<T> From<ChangePost<T>> for Written<ChangePost<T>> {
    fn from(outcome: ChangePost<T>) -> Self {
        match outcome {
            ChangePost::Changed(_) => Self::Kept(outcome),
            _ => Self::Refused(outcome),
        }
    }
}
