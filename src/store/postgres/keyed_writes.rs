//! The operations with an idempotency key on the PostgreSQL store, and the sign-up among them. A
//! sign-up has no account before it, so its key is looked up by its e-mail.
//!
//! Not here: how a write happens once, see `idempotency_keys.rs`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::PostgresStore;
use super::column::column;
use super::connection::Value;
use super::expired_keys::{delete_expired_keys, expired_keys_deleted};
use super::idempotency_keys::{KeyUse, read_key, run_once};
use super::keyed_posts::{DeletePostOnce, KeyedDeletion, KeyedUpdate, NewPostOnce, UpdatePostOnce};
use super::keyed_votes::VoteOnce;
use super::pool::Pool;
use super::post_changes::PostChange;
use super::statement::{Statement, statements};
use super::users::{insert_user, insert_user_row};
use crate::domain::caller::Caller;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::user::{NewUser, TokensValidFrom, User, UserId};
use crate::domain::vote::Vote;
use crate::store::idempotency_keys::EarlierUse;
use crate::store::{
    ChangePost, CreateUser, KeyedWriteStore, Once, Result, StoreError, VoteOutcome,
};

statements! {
    CREATE_USER_ONCE(TEXT, TEXT, TIMESTAMPTZ, TIMESTAMPTZ, BYTEA, BYTEA, TIMESTAMPTZ, INT8) =
        concat!(
            "WITH created AS (", insert_user_row!(), "
             ), kept AS (
                 INSERT INTO idempotency_keys (user_id, key, fingerprint, outcome, at, expires_at)
                 SELECT id, $5, $6, 1, $3, $7 FROM created
             ), ", delete_expired_keys!("$3", "$8"), "
             SELECT id FROM created"
        );
    FIND_KEY_OF_NEW_USER(TEXT, BYTEA) =
        "SELECT users.id::bigint, kept.fingerprint, kept.outcome::integer, kept.post_id, kept.at,
                kept.expires_at, kept.reply
           FROM users
           JOIN idempotency_keys AS kept ON kept.user_id = users.id AND kept.key = $2
          WHERE users.email = $1";
}

#[async_trait]
impl KeyedWriteStore for PostgresStore {
    async fn create_user_once(
        &self,
        user: NewUser,
        key: IdempotencyKey,
    ) -> Result<Once<CreateUser>> {
        self.run(async move |pool| {
            let (email, hash) = (user.email.as_str(), user.password_hash.as_str());
            let tokens_valid_from = TokensValidFrom::of_new_account(user.created_at).0;
            let values: [Value<'_>; 8] = [
                &email,
                &hash,
                &user.created_at,
                &tokens_valid_from,
                &key.digest.as_slice(),
                &key.fingerprint.0.as_slice(),
                &IdempotencyKey::expires_at(user.created_at),
                &expired_keys_deleted(&pool, 1),
            ];
            let Some(rows) = insert_user(&pool, &CREATE_USER_ONCE, &values, email).await? else {
                return replay_sign_up(&pool, &user, &key).await;
            };
            let no_row = || StoreError::internal("an insert returned no row");
            let id = UserId(column(rows.first().ok_or_else(no_row)?, 0)?);
            let user =
                User { id, email: user.email.clone(), created_at: user.created_at, name: None };
            Ok(Once::Done(CreateUser::Created(user)))
        })
        .await
    }

    async fn create_post_once(
        &self,
        caller: Caller,
        content: PostContent,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<Post>> {
        let new = NewPostOnce { key: KeyUse { caller, key, now }, content };
        let created = self.new_posts_once.submit(new).await;
        self.with_caller_first(caller, created).await
    }

    async fn update_post_once(
        &self,
        caller: Caller,
        id: PostId,
        update: PostUpdate,
        precondition: Option<Precondition>,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<ChangePost<PostWithVotes>>> {
        let change = PostChange { caller, id, precondition };
        let update = KeyedUpdate { key: KeyUse { caller, key, now }, change, update };
        let updated =
            self.run(async move |pool| run_once(&UpdatePostOnce, &pool, &update).await).await;
        self.with_caller_first(caller, updated).await
    }

    async fn delete_post_once(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<ChangePost<()>>> {
        let change = PostChange { caller, id, precondition };
        let deletion = KeyedDeletion { key: KeyUse { caller, key, now }, change };
        self.run(async move |pool| run_once(&DeletePostOnce, &pool, &deletion).await).await
    }

    async fn cast_vote_once(
        &self,
        caller: Caller,
        vote: Vote,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<VoteOutcome>> {
        self.votes_once.submit(VoteOnce { key: KeyUse { caller, key, now }, vote }).await
    }
}

/// Returns the outcome of a sign-up whose e-mail is taken, perhaps by its own first request.
async fn replay_sign_up(
    pool: &Pool,
    user: &NewUser,
    key: &IdempotencyKey,
) -> Result<Once<CreateUser>> {
    let values: [Value<'_>; 2] = [&user.email.as_str(), &key.digest.as_slice()];
    let rows = pool.query(&FIND_KEY_OF_NEW_USER, &values).await?;
    let Some(row) = rows.first() else { return Ok(Once::Done(CreateUser::EmailTaken)) };
    let Some(kept) = read_key(row, 1)? else { return Ok(Once::Done(CreateUser::EmailTaken)) };
    Ok(match kept.judge(key, user.created_at)? {
        EarlierUse::SameRequest(effect) => {
            let id = UserId(column(row, 0)?);
            let user = User { id, email: user.email.clone(), created_at: effect.at, name: None };
            Once::Replayed(CreateUser::Created(user))
        }
        EarlierUse::OtherRequest | EarlierUse::None => Once::Done(CreateUser::EmailTaken),
    })
}
