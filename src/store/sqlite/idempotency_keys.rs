//! Writes with an idempotency key in SQLite. Each is one write of the writer: it looks the key up,
//! and keeps it with the effect of the write.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::callers::caller_params;
use super::error::deletion_failed;
use super::posts::{create_post, delete_post, find_post, update_post};
use super::row::timestamp;
use super::statement::statements;
use super::users::create_user;
use super::votes::cast_vote;
use crate::domain::caller::Caller;
use crate::domain::idempotency_key::{EXPIRED_KEYS_DELETED, IdempotencyKey};
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::user::{NewUser, User, UserId};
use crate::domain::vote::Vote;
use crate::store::idempotency_keys::{EarlierUse, Effect, KeptKey, KeptParts};
use crate::store::{
    ChangePost, CreateUser, KeyedWriteStore, Once, Result, StoreError, VoteOutcome,
};

statements! {
    FIND_KEY = "SELECT kept.fingerprint, kept.outcome, kept.post_id, kept.at, kept.expires_at,
                   kept.reply
               FROM users
               LEFT JOIN idempotency_keys AS kept
                 ON kept.user_id = users.id AND kept.key = ?4
              WHERE users.id = ?1 AND users.tokens_valid_from BETWEEN ?2 AND ?3
                AND users.disabled_at IS NULL";
    FIND_KEY_OF_NEW_USER =
        "SELECT kept.fingerprint, kept.outcome, kept.post_id, kept.at, kept.expires_at,
                   kept.reply, users.id
               FROM users
               JOIN idempotency_keys AS kept ON kept.user_id = users.id AND kept.key = ?2
              WHERE users.email = ?1";
    // The row of an expired key is replaced.
    KEEP_KEY = "INSERT OR REPLACE INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at, reply)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    // A single key: for a set of them SQLite fills a temporary table, at each write.
    DELETE_EXPIRED_KEY = "DELETE FROM idempotency_keys
          WHERE (user_id, key) = (SELECT user_id, key FROM idempotency_keys
                                   WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 1)";
}

#[async_trait]
impl KeyedWriteStore for SqliteStore {
    async fn create_user_once(
        &self,
        user: NewUser,
        key: IdempotencyKey,
    ) -> Result<Once<CreateUser>> {
        self.writer
            .run(move |database| {
                let now = user.created_at;
                match create_user(database, &user)? {
                    CreateUser::Created(created) => {
                        let effect = Effect::of_sign_up(now);
                        keep_key(database, created.id, &key, &effect, now)?;
                        Ok(Once::Done(CreateUser::Created(created)))
                    }
                    CreateUser::EmailTaken => replay_sign_up(database, &user, &key),
                }
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
        self.writer
            .run(move |database| {
                let replay = |effect: Effect| effect.created_post(&content, caller.user_id);
                run_once(database, caller, &key, now, replay, || {
                    let post = create_post(database, caller, &content, now)?;
                    let effect = Effect::of_creation(&post);
                    Ok((post, Some(effect)))
                })
            })
            .await
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
        self.writer
            .run(move |database| {
                let replay = |effect: Effect| replay_update(database, caller, &update, &effect);
                run_once(database, caller, &key, now, replay, || {
                    let outcome =
                        update_post(database, caller, id, &update, precondition.as_ref())?;
                    let effect = match &outcome {
                        ChangePost::Changed(updated) => Some(Effect::of_update(&update, updated)),
                        _ => None,
                    };
                    Ok((outcome, effect))
                })
            })
            .await
    }

    async fn delete_post_once(
        &self,
        caller: Caller,
        id: PostId,
        precondition: Option<Precondition>,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<ChangePost<()>>> {
        self.writer
            .run(move |database| {
                let replay = |_| Ok(ChangePost::Changed(()));
                run_once(database, caller, &key, now, replay, || {
                    let outcome = delete_post(database, caller, id, precondition.as_ref())?;
                    let is_deleted = outcome == ChangePost::Changed(());
                    Ok((outcome, is_deleted.then(|| Effect::of_deletion(id, now))))
                })
            })
            .await
            .map_err(deletion_failed)
    }

    async fn cast_vote_once(
        &self,
        caller: Caller,
        vote: Vote,
        key: IdempotencyKey,
        now: Timestamp,
    ) -> Result<Once<VoteOutcome>> {
        self.writer
            .run(move |database| {
                let replay = |effect: Effect| Ok(effect.vote());
                run_once(database, caller, &key, now, replay, || {
                    let outcome = cast_vote(database, caller, vote)?;
                    Ok((outcome, Effect::of_vote(outcome, vote.post_id, now)))
                })
            })
            .await
    }
}

/// Returns the outcome of an earlier update. A post whose texts were too long to be kept may have
/// gone since.
fn replay_update(
    database: &Connection,
    caller: Caller,
    update: &PostUpdate,
    effect: &Effect,
) -> Result<ChangePost<PostWithVotes>> {
    let current = match effect.post_id {
        Some(id) if effect.lacks_text(update) => match find_post(database, caller, id)? {
            Some(found) => Some(found.post),
            None => return Ok(ChangePost::NoSuchPost),
        },
        _ => None,
    };
    effect.updated_post(update, caller.user_id, current.as_ref()).map(ChangePost::Changed)
}

/// Runs the write, unless the caller's account has used the key. `write` returns its effect if the
/// key is to be kept, and `replay` makes the outcome from it.
fn run_once<T>(
    database: &Connection,
    caller: Caller,
    key: &IdempotencyKey,
    now: Timestamp,
    replay: impl FnOnce(Effect) -> Result<T>,
    write: impl FnOnce() -> Result<(T, Option<Effect>)>,
) -> Result<Once<T>> {
    match find_key(database, caller, key, now)? {
        EarlierUse::SameRequest(effect) => replay(effect).map(Once::Replayed),
        EarlierUse::OtherRequest => Ok(Once::KeyReused),
        EarlierUse::None => {
            let (outcome, effect) = write()?;
            if let Some(effect) = effect {
                keep_key(database, caller.user_id, key, &effect, now)?;
            }
            Ok(Once::Done(outcome))
        }
    }
}

/// Returns what the caller's account has used the key for.
fn find_key(
    database: &Connection,
    caller: Caller,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<EarlierUse> {
    let [user, earliest, latest] = caller_params(caller);
    let kept = database
        .prepare_cached(FIND_KEY)?
        .query_row(params![user, earliest, latest, key.digest], read_key)
        .optional()?
        .ok_or(StoreError::CallerRejected)?;
    kept.map_or(Ok(EarlierUse::None), |kept| kept.judge(key, now))
}

/// Returns the outcome of a sign-up whose e-mail is taken, perhaps by its own first request.
fn replay_sign_up(
    database: &Connection,
    user: &NewUser,
    key: &IdempotencyKey,
) -> Result<Once<CreateUser>> {
    let found = database
        .prepare_cached(FIND_KEY_OF_NEW_USER)?
        .query_row(params![user.email.as_str(), key.digest], |row| {
            Ok((read_key(row)?, UserId(row.get(6)?)))
        })
        .optional()?;
    let Some((Some(kept), id)) = found else {
        return Ok(Once::Done(CreateUser::EmailTaken));
    };
    Ok(match kept.judge(key, user.created_at)? {
        EarlierUse::SameRequest(effect) => {
            let user = User { id, email: user.email.clone(), created_at: effect.at, name: None };
            Once::Replayed(CreateUser::Created(user))
        }
        EarlierUse::OtherRequest | EarlierUse::None => Once::Done(CreateUser::EmailTaken),
    })
}

/// Reads a row. Returns `None` if the account has not used the key.
fn read_key(row: &Row<'_>) -> rusqlite::Result<Option<KeptKey>> {
    let Some(outcome) = row.get::<_, Option<i64>>(1)? else { return Ok(None) };
    let (post_id, at, reply) = (row.get(2)?, timestamp(row, 3)?, row.get_ref(5)?);
    Ok(Some(KeptKey {
        fingerprint: row.get_ref(0)?.as_bytes()?.try_into().ok(),
        effect: Effect::from_stored(outcome, post_id, at, reply.as_bytes_or_null()?),
        expires_at: timestamp(row, 4)?,
    }))
}

/// Keeps the key of a write, and deletes some that have expired.
fn keep_key(
    database: &Connection,
    user: UserId,
    key: &IdempotencyKey,
    effect: &Effect,
    now: Timestamp,
) -> Result<()> {
    let mut delete_expired_key = database.prepare_cached(DELETE_EXPIRED_KEY)?;
    for _ in 0..EXPIRED_KEYS_DELETED {
        if delete_expired_key.execute([now.as_microsecond()])? == 0 {
            break;
        }
    }
    database.prepare_cached(KEEP_KEY)?.execute(params![
        user.0,
        key.digest,
        key.fingerprint.0,
        effect.outcome.code(),
        effect.post_id.map(|id| id.0),
        effect.at.as_microsecond(),
        IdempotencyKey::expires_at(now).as_microsecond(),
        effect.kept.as_ref().map(KeptParts::to_json).transpose()?,
    ])?;
    Ok(())
}
